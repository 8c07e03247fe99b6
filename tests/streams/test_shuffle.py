"""Minibatches of columns in a file: every row once, from many places, and never the whole file for one of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import SGD, glm, stream
from torchglm.design import design, shuffle
from torchglm.design.design import Design
from torchglm.design.shuffle import POOL, STRETCH_ROWS, Shuffle


def dealt(n: int, count: int, in_file: bool, seed: int = 0) -> list[torch.Tensor]:
    deck = Shuffle(n, torch.Generator().manual_seed(seed), in_file)
    hands = []
    while len(hand := deck.deal(count)):
        hands.append(hand)
    return hands


@pytest.mark.parametrize("n", [1, 1_000, POOL * STRETCH_ROWS, 3 * POOL * STRETCH_ROWS + 17])
@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("count", [1_000, 300_000])
def test_every_row_is_dealt_once(n, in_file, count):
    hands = dealt(n, count, in_file)
    assert torch.equal(torch.cat(hands).sort().values, torch.arange(n))
    assert {len(hand) for hand in hands[:-1]} <= {count}
    assert not torch.equal(torch.cat(hands), torch.arange(n)) or n == 1


def test_rows_of_a_file_come_from_few_stretches_in_no_order():
    n = 4 * POOL * STRETCH_ROWS
    hands = dealt(n, 8_192, in_file=True)
    for hand in hands[:5]:
        places = hand // STRETCH_ROWS
        assert len(places.unique()) == POOL
        assert places.float().std() > 0.2 * places.float().max()  # from all over the file
        assert not torch.equal(hand.sort().values, hand)
    assert torch.equal(torch.cat(hands), torch.cat(dealt(n, 8_192, in_file=True)))
    assert not torch.equal(hands[0], dealt(n, 8_192, in_file=True, seed=1)[0])


def test_what_fits_a_pool_is_shuffled_as_in_memory():
    for in_file in (False, True):
        assert torch.equal(torch.cat(dealt(5_000, 64, in_file)), torch.randperm(5_000, generator=generator()))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_sgd_over_a_file_of_many_pools(monkeypatch):
    monkeypatch.setattr(shuffle, "STRETCH_ROWS", 16)
    monkeypatch.setattr(shuffle, "POOL", 4)
    monkeypatch.setattr(design, "LARGEST_BLOCK", 64)  # minibatches are gathered two at a time
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.normal(size=2_000), "g": rng.choice(list("abc"), 2_000)})
    frame["y"] = rng.poisson(np.exp(0.3 * frame["x"]))
    frame = frame.sort_values("y")  # the worst order for whoever takes rows as they lie
    seen = []
    taken = Design._taken

    def watched(self, index):
        seen.append(index)
        return taken(self, index)

    monkeypatch.setattr(Design, "_taken", watched)
    data = stream(lambda: (frame.iloc[k : k + 500] for k in range(0, 2_000, 500)))
    solver = SGD(epochs=3, batch_rows=32, learning_rate=0.02)
    fit, whole = glm("y ~ x + g", data, "poisson", solver=solver), glm("y ~ x + g", frame, "poisson")
    np.testing.assert_allclose(fit.params, whole.params, rtol=1e-9)
    assert fit.trace["loss"].iloc[3] < fit.trace["loss"].iloc[0]
    gathered = [index for index in seen if len(index) == 64]
    assert len(gathered) > 90
    assert max(len(torch.unique(index // 16)) for index in gathered) <= 2 * 4  # of one pool, or of two
