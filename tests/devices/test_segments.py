"""Sums by cell whose order is fixed: what a GPU adds up by, here without one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import glm, negative_binomial, ordinal
from torchglm.numerics.segments import Segments


@pytest.mark.parametrize(
    "rows, cells, skew", [(0, 3, 1.0), (1, 1, 1.0), (5_000, 1, 1.0), (5_000, 4_000, 1.0), (30_000, 300, 6.0)]
)
def test_sums_are_exact_sums(rows, cells, skew):
    rng = np.random.default_rng(rows + cells)
    codes = torch.from_numpy((cells * rng.random(rows) ** skew).astype(np.int64))
    v = torch.from_numpy(rng.normal(size=rows))
    segments = Segments.of(codes, cells)
    found = segments.sums(v).tolist()
    expected = [math.fsum(v[codes == cell].tolist()) for cell in range(cells)]
    assert len(found) == cells
    assert found == pytest.approx(expected, rel=1e-13, abs=1e-13)
    assert segments.levels[-1].shape[0] == cells


def test_a_giant_cell_is_summed_in_short_runs():
    segments = Segments.of(torch.zeros(100_000, dtype=torch.int64), 2)
    assert max(level.shape[1] for level in segments.levels) <= 64
    assert sum(level.numel() for level in segments.levels) < 1.3 * 100_000
    assert segments.sums(torch.ones(100_000, dtype=torch.float64)).tolist() == [100_000.0, 0.0]


def test_rows_are_sorted_once(second_device, data, monkeypatch):
    made = []
    of = Segments.of
    monkeypatch.setattr(Segments, "of", staticmethod(lambda codes, cells: made.append(cells) or of(codes, cells)))
    fit = glm("count ~ a + g + h", data, "poisson", device="cuda")
    assert fit.passes > 3
    assert sorted(made) == sorted(set(made))  # each factor and each table once, whatever the passes


def test_twice_the_same_bits(second_device, data):
    first, second = (glm("count ~ a:g + h", data, "poisson", device="cuda").params for _ in range(2))
    assert first.equals(second)


@pytest.mark.filterwarnings("ignore::torchglm.errors.TorchGLMWarning")
def test_no_weighted_counting_on_a_device(second_device, data, monkeypatch):
    """There it would add in another order at every call."""
    bincount = torch.bincount

    def unweighted(codes, weights=None, minlength=0):
        assert weights is None or codes.device.type == "cpu"
        return bincount(codes, weights, minlength)

    monkeypatch.setattr(torch, "bincount", unweighted)
    counts = ["count", "zeros"]
    fits = {
        "groups": lambda d: glm("count ~ a", data, "poisson", by="firm", freq_weights="w", device=d).glance(),
        "sizes": lambda d: negative_binomial("~ a", data, responses=counts, weights="w + 1", device=d).glance(),
        "classes": lambda d: ordinal("rating ~ a", data, device=d).glance(),
    }
    for of in fits.values():
        pd.testing.assert_frame_equal(of("cuda"), of("cpu"), rtol=1e-8)


def test_several_rows_are_summed_at_once():
    rng = np.random.default_rng(8)
    segments = Segments.of(torch.from_numpy(rng.integers(0, 70, 9_000)), 75)
    rows = torch.from_numpy(rng.normal(size=(3, 9_000)))
    assert torch.equal(segments.sums(rows), torch.stack([segments.sums(row) for row in rows]))
