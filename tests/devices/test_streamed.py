"""Rows that stay in host memory and are moved to the device a block at a time give what resident rows give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import torchglm
import torchglm.design.transfer as transfer
from torchglm import glm, placing
from torchglm.design.design import Design
from torchglm.numerics.products import long_product


@pytest.fixture
def far(second_device, monkeypatch) -> torch.device:
    """Every design that is placed on the second device is streamed to it, 128 rows at a time."""
    monkeypatch.setattr(placing, "room_on", lambda device: 0.0)
    monkeypatch.setattr(Design, "block_rows", property(lambda self: 128))
    return second_device


FITS = [
    ("poisson", "count ~ a*g + b + C(h, contr.sum):c", {}),
    ("poisson", "count ~ a + b", {"exposure": "e", "freq_weights": "w"}),
    ("gamma", "positive ~ g + h", {"weights": "w", "dispersion": "ml"}),
    ("binomial", "cbind(yes, 1 - yes) ~ a", {}),
    ("poisson", "count ~ 1", {}),
]


@pytest.mark.parametrize("family, formula, arguments", FITS, ids=str)
def test_fits(far, data, family, formula, arguments):
    found, expected = (glm(formula, data, family, device=device, **arguments) for device in ("cuda", "cpu"))
    design = found.estimate.objective.design
    assert design.y.device.type == "cpu"  # the rows have stayed
    assert design.device == far
    pd.testing.assert_series_equal(found.params, expected.params, rtol=1e-9, atol=1e-11)
    pd.testing.assert_series_equal(found.bse, expected.bse, rtol=1e-9)
    pd.testing.assert_series_equal(found.fittedvalues, expected.fittedvalues, rtol=1e-9)
    assert found.llf == pytest.approx(expected.llf, rel=1e-11)


@pytest.mark.parametrize("covariance", ["HC0", "HC3", "cluster", "CR2", "HAC"])
def test_covariances(far, data, covariance):
    options = {"cluster": "firm"} if covariance in ("cluster", "CR2") else {}
    fits = [glm("count ~ a*g + b", data, "poisson", device=device) for device in ("cuda", "cpu")]
    found, expected = (fit.with_covariance(covariance, **options).bse for fit in fits)
    pd.testing.assert_series_equal(found, expected, rtol=1e-9)


@pytest.mark.parametrize("model", ["ordinal", "multinomial"])
def test_several_predictors(far, data, model):
    fits = [getattr(torchglm, model)("rating ~ a + g", data, device=device) for device in ("cuda", "cpu")]
    found, expected = (fit.params for fit in fits)
    pd.testing.assert_series_equal(found, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("solver", ["irls", "lbfgs", "sgd"])
def test_many_rows_and_samples(far, many, monkeypatch, solver):
    monkeypatch.setattr(Design, "block_rows", property(lambda self: 16_384))
    found, expected = (glm("count ~ a + b", many, "poisson", device=d, solver=solver) for d in ("cuda", "cpu"))
    pd.testing.assert_series_equal(found.params, expected.params, rtol=1e-6, atol=1e-8)


def test_blocks_are_the_rows_in_order(far, data):
    resident = glm("count ~ a + g", data, "poisson", offset="e", weights="w + 1", device="cpu").estimate
    design = resident.objective.design
    streamed = design.streamed(far)
    for spans in (None, ((10, 150), (300, 301), (400, 600)), ((0, 0),)):
        here, there = (list(_rows(replace(one, spans=spans))) for one in (design, streamed))
        for mine, theirs in zip(here, there, strict=True):
            assert torch.equal(mine, theirs)


def _rows(design: Design):
    """What the blocks of a design hold, copied: a block is dead when the next comes."""
    for block in design.blocks(64):
        columns = block.columns[0]
        yield torch.tensor([float(block.start), float(block.rows)])
        yield from (one.cpu().clone() for one in (block.y, columns.dense, columns.coded[0].codes, block.weight))
        yield block.offsets[0].cpu().clone()


def test_the_next_block_travels_while_one_is_computed(far, data, monkeypatch):
    """Never more than two blocks are under way, and the second is sent before the first is computed."""
    events = []
    sent = Design._sent
    monkeypatch.setattr(Design, "_sent", lambda self, courier: events.append("sent") or sent(self, courier))
    design = glm("count ~ a", data, "poisson", device="cpu").estimate.objective.design.streamed(far)
    events.extend("computed" for _ in design.blocks(200))
    assert events == ["sent", "sent", "computed", "sent", "computed", "computed"]


def test_columns_larger_than_a_stage(second_device, monkeypatch):
    monkeypatch.setattr(transfer, "STAGE_BYTES", 64)
    courier = transfer.Courier(transfer.Onto(second_device, torch.float32))
    wide = torch.arange(60, dtype=torch.float64).reshape(3, 20)
    codes = torch.arange(100, dtype=torch.int16)[::3]
    sent = [courier.send(wide), courier.send(codes), courier.exact(wide[0]), courier.send(torch.zeros(2, 0))]
    courier.ready().arrived()
    assert [one.device for one in sent] == [second_device] * 4
    assert [one.dtype for one in sent] == [torch.float32, torch.int16, torch.float64, torch.float32]
    assert torch.equal(sent[0].cpu().double(), wide)
    assert torch.equal(sent[1].cpu(), codes)
    assert torch.equal(sent[2].cpu(), wide[0])


def test_a_design_that_fits_is_resident(second_device, data, monkeypatch):
    asked = glm("count ~ a + g", data, "poisson", device="cpu").estimate.objective.design
    assert asked.bytes >= len(data) * (8 + 8 + 1)
    monkeypatch.setattr(placing, "room_on", lambda device: asked.bytes + 1.0)
    assert glm("count ~ a + g", data, "poisson", device="cuda").estimate.objective.design.onto is None
    monkeypatch.setattr(placing, "room_on", lambda device: asked.bytes - 1.0)
    assert glm("count ~ a + g", data, "poisson", device="cuda").estimate.objective.design.onto is not None


@pytest.mark.parametrize("rows", [0, 5, 8_192, 20_000])
def test_long_products(second_device, rows):
    rng = np.random.default_rng(rows)
    left, right = (torch.from_numpy(rng.normal(size=(k, rows))) for k in (3, 4))
    expected = (left.numpy().astype(np.longdouble) @ right.numpy().astype(np.longdouble).T).astype(np.float64)
    for there in (False, True):
        sides = [side.to(second_device) if there else side for side in (left, right)]
        assert long_product(*sides).cpu().numpy() == pytest.approx(expected, rel=1e-12, abs=1e-11)
        for precision in ("float32", "tf32"):
            found = long_product(*sides, precision).cpu()
            assert found.dtype == torch.float64
            assert found.numpy() == pytest.approx(expected, abs=1e-5 * max(rows, 1) ** 0.5)


MANY = {
    "groups": lambda data, d: glm("count ~ a + b", data, "poisson", by="firm", device=d, offset="e"),
    "robust groups": lambda data, d: glm("yes ~ a", data, "binomial", by="firm", device=d, covariance="HC1"),
    "responses": lambda data, d: glm("~ a + g", data, "poisson", responses=["count", "zeros"], device=d, weights="w"),
    "negative binomials": lambda data, d: torchglm.negative_binomial(
        "~ a + g", data, responses=["count", "zeros"], device=d, exposure="e"
    ),
}


@pytest.mark.filterwarnings("ignore::torchglm.errors.TorchGLMWarning")
@pytest.mark.parametrize("way", MANY, ids=str)
def test_many_models(far, data, way):
    found, expected = (MANY[way](data, device) for device in ("cuda", "cpu"))
    pd.testing.assert_frame_equal(found.params, expected.params, rtol=1e-7, atol=1e-9)
    pd.testing.assert_frame_equal(found.bse, expected.bse, rtol=1e-7)
    pd.testing.assert_frame_equal(found.glance(), expected.glance(), rtol=1e-7)


RESAMPLED = {
    "bootstrap": lambda fit: fit.bootstrap(5, seed=1).replicates,
    "wild": lambda fit: fit.bootstrap(5, kind="wild", seed=1).replicates,
    "clusters": lambda fit: fit.bootstrap(5, kind="clusters", cluster="firm", seed=1).replicates,
    "jackknife": lambda fit: fit.jackknife(cluster="firm").replicates,
    "permutations": lambda fit: fit.permutation_test(5, groups="firm", seed=1).replicates,
    "folds": lambda fit: fit.cross_validate(4, seed=1).folds,
    "folds of groups": lambda fit: fit.cross_validate(4, groups="firm", seed=1).folds,
}


@pytest.mark.parametrize("way", RESAMPLED, ids=str)
def test_resampling(far, data, way):
    fits = [glm("count ~ a + g", data, "poisson", device=device) for device in ("cuda", "cpu")]
    found, expected = (RESAMPLED[way](fit) for fit in fits)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-7, atol=1e-9)
