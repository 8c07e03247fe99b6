"""A penalised fit does not depend on how its rows are cut into blocks."""

from __future__ import annotations

import pytest

from torchglm import glm
from torchglm.design.design import Design
from torchglm.penalties import penalised_profile_interval


@pytest.mark.parametrize("rows", [29, 64])
@pytest.mark.parametrize(
    "model", [("binomial", "probit", "firth"), ("poisson", "log", "jeffreys"), ("gamma", "log", "firth")]
)
def test_blocks(data, response, right, monkeypatch, model, rows):
    family, of, penalty = model

    def fitted():
        return glm(
            f"{response[family]} ~ {right}", data.head(130), family, of, weights="w", penalty=penalty, tolerance=1e-11
        )

    whole = fitted()
    monkeypatch.setattr(Design, "block_rows", property(lambda self: rows))
    split = fitted()
    assert ((split.params - whole.params) / whole.bse).abs().max() < 1e-10
    assert (split.bse / whole.bse - 1.0).abs().max() < 1e-10
    assert split.passes == whole.passes
    assert split.penalised_llf == pytest.approx(whole.penalised_llf, rel=1e-12, nan_ok=True)


def test_profile_in_blocks(data, monkeypatch):
    fit = glm("count ~ a + g", data, "poisson", penalty="firth")
    whole = penalised_profile_interval(fit.estimate, ["a"])
    monkeypatch.setattr(Design, "block_rows", property(lambda self: 33))
    assert [float(end[0]) for end in penalised_profile_interval(fit.estimate, ["a"])] == pytest.approx(
        [float(end[0]) for end in whole], rel=1e-9
    )
