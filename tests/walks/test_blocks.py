"""One block or many: the same sums, the same fit."""

from __future__ import annotations

import pytest
import torch

from torchglm import glm
from torchglm.design.design import Design
from torchglm.families import resolve_family
from torchglm.families.mean import MeanModel
from torchglm.objective.objective import Objective

ROWS = [1, 7, 128, 399, 400]


def blocks_of(monkeypatch, rows: int) -> None:
    monkeypatch.setattr(Design, "block_rows", property(lambda self: rows))


def fitted(data, response, right, family, link):
    return glm(f"{response[family]} ~ {right}", data, family, link, weights="w", exposure="time")


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("family", ["gaussian", "poisson", "binomial", "gamma"])
def test_sums(data, response, right, monkeypatch, family, rows):
    fit = glm(f"{response[family]} ~ {right}", data, family, weights="w")
    design = fit.estimate.prepared.design
    objective = Objective(design, MeanModel(resolve_family(family)))
    theta = 0.9 * fit.estimate.solution.theta
    whole = objective.quadratic(theta)
    blocks_of(monkeypatch, rows)
    assert sum(1 for _ in design.blocks()) == -(-design.n // rows)
    split = objective.quadratic(theta)
    assert split.value == pytest.approx(whole.value, rel=1e-12)
    assert split.pearson == pytest.approx(whole.pearson, rel=1e-12)
    torch.testing.assert_close(split.gradient, whole.gradient, rtol=1e-12, atol=1e-11)
    torch.testing.assert_close(split.curvature.inverse(), whole.curvature.inverse(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("rows", [7, 128])
def test_fits(data, response, right, monkeypatch, rows):
    wholes = {family: fitted(data, response, right, family, None) for family in ("gaussian", "poisson", "binomial")}
    blocks_of(monkeypatch, rows)
    for family, whole in wholes.items():
        split = fitted(data, response, right, family, None)
        assert ((split.params - whole.params) / whole.bse).abs().max() < 1e-12
        assert (split.bse / whole.bse - 1.0).abs().max() < 1e-12
        assert (split.deviance, split.llf, split.null_deviance) == pytest.approx(
            (whole.deviance, whole.llf, whole.null_deviance), rel=1e-12
        )
        assert (split.with_covariance("HC0").bse / whole.with_covariance("HC0").bse - 1.0).abs().max() < 1e-12
        assert (split.resid_deviance - whole.resid_deviance).abs().max() < 1e-12


def test_rows_in_blocks_are_the_rows(data, right):
    design = glm(f"y ~ {right}", data).estimate.prepared.design
    rebuilt = torch.cat([block.columns[0].model_matrix() for block in design.blocks(33)])
    assert torch.equal(rebuilt, next(iter(design.blocks(400))).columns[0].model_matrix())
