"""Likelihoods of several predictors through the one objective: against autograd over all coefficients at once."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from torchglm import glm
from torchglm.design import design as design_module
from torchglm.families.likelihood import Likelihood
from torchglm.objective.joint import positive_part
from torchglm.objective.objective import Objective


class Softmax(Likelihood):
    """Three classes, coded 0, 1, 2; logits against the first."""

    predictors = ("one", "two")

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        logits = torch.cat([torch.zeros_like(z[:, :1]), z], dim=1)
        return torch.logsumexp(logits, 1) - logits.gather(1, y.to(torch.int64)[:, None])[:, 0]

    def mean(self, z: Tensor) -> Tensor:
        return torch.softmax(torch.cat([torch.zeros_like(z[:, :1]), z], dim=1), 1)


class NormalScale(Likelihood):
    """A mean and a log standard deviation."""

    predictors = ("mean", "log_sd")

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        return 0.5 * ((y - z[:, 0]) * torch.exp(-z[:, 1])) ** 2 + z[:, 1] + 0.5 * math.log(2 * math.pi)

    def mean(self, z: Tensor) -> Tensor:
        return z[:, 0]


# The first three share their columns.
FORMULAS = [
    ("y ~ x + g * h", "y ~ x + g * h"),
    ("y ~ x + far", "y ~ x + far"),
    ("y ~ 1", "y ~ 1"),
    ("y ~ x + z", "y ~ far + z"),
    ("y ~ x + far + g", "y ~ h + z"),
    ("y ~ g + g:z", "y ~ 1"),
    ("y ~ 0 + z", "y ~ C(g, contr.sum)"),
]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "far": rng.normal(size=n) + 100.0})
    frame["g"] = rng.choice(list("abc"), n)
    frame["h"] = rng.choice(list("uv"), n)
    frame["w"] = rng.uniform(0.5, 2.0, n)
    frame["o"] = rng.normal(size=n)
    frame["y"] = rng.integers(0, 3, n)
    return frame


def joined(frame: pd.DataFrame, formulas: tuple[str, str], likelihood: Likelihood) -> Objective:
    designs = [
        glm(f, frame, weights="w", offset=o).estimate.prepared.design
        for f, o in zip(formulas, (None, "o"), strict=True)
    ]
    columns = {text: design.columns[0] for text, design in zip(formulas, designs, strict=True)}
    both = replace(
        designs[0], columns=tuple(columns[text] for text in formulas), offsets=tuple(d.offsets[0] for d in designs)
    )
    return Objective(both, likelihood)


@pytest.mark.parametrize("formulas", FORMULAS)
@pytest.mark.parametrize("likelihood", [Softmax(), NormalScale()])
def test_sums_over_rows_are_the_derivatives_in_all_coefficients(frame, formulas, likelihood, monkeypatch):
    monkeypatch.setattr(design_module, "SMALLEST_BLOCK", 128)
    monkeypatch.setattr(design_module, "LARGEST_BLOCK", 128)
    objective = joined(frame, formulas, likelihood)
    theta = 0.1 * torch.randn(objective.layout.width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    design = objective.design
    written = [c.to_dense(design.n)[:, c.positions] for c in design.columns]  # columns in the inner order

    def value(theta: Tensor) -> Tensor:
        z = [x @ b for x, b in zip(written, objective.layout.split(theta), strict=True)]
        z = [eta if o is None else eta + o for eta, o in zip(z, design.offsets, strict=True)]
        return (likelihood.nll(design.y.double(), torch.stack(z, 1)) * design.weight).sum()

    gradient = torch.autograd.functional.jacobian(value, theta)
    hessian = torch.autograd.functional.hessian(value, theta)
    found = objective.quadratic(theta, information="observed")
    assert found.value == pytest.approx(float(value(theta)), rel=1e-12)
    torch.testing.assert_close(found.gradient, gradient, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(objective.slope(theta).gradient, gradient, rtol=1e-9, atol=1e-9)
    v = torch.linspace(-1, 1, len(theta), dtype=torch.float64)
    torch.testing.assert_close(objective.curvature_product(theta, v), hessian @ v, rtol=1e-8, atol=1e-7)
    torch.testing.assert_close(objective.diagonal(theta).diagonal, hessian.diagonal(), rtol=1e-9, atol=1e-8)
    if not found.curvature.indefinite and not bool(found.curvature.aliased.any()):
        torch.testing.assert_close(found.curvature.solve(hessian @ v), v, rtol=1e-6, atol=1e-7)
        assert float(found.length) > 0


@pytest.mark.parametrize("q", [1, 2, 3])
def test_the_positive_part_keeps_what_is_positive(q):
    rows = torch.randn(200, q, q, dtype=torch.float64, generator=torch.Generator().manual_seed(q))
    rows = rows + rows.mT
    rows[0] = 0.0
    values, vectors = torch.linalg.eigh(rows)
    expected = vectors @ torch.diag_embed(values.clamp(min=0.0)) @ vectors.mT
    torch.testing.assert_close(positive_part(rows), expected, rtol=1e-10, atol=1e-12)


def test_columns_are_shared_whatever_rows_are_taken(frame):
    design = joined(frame, FORMULAS[0], Softmax()).design
    for some in (design.take(torch.arange(7)), design.stretch(3, 9), design.sample(60), design.to(torch.device("cpu"))):
        assert some.columns[0] is some.columns[1]
        assert next(some.blocks()).groups == ((0, 1),)


def test_newton_where_the_observed_information_is_definite(frame):
    objective = joined(frame, ("y ~ x", "y ~ 1"), NormalScale())
    near, far = (objective.layout.to_inner(torch.tensor([m, 0.0, 0.0], dtype=torch.float64)) for m in (1.0, 5.0))
    aliased = objective.quadratic(near).curvature.aliased
    assert objective.quadratic(far, information="observed").curvature.indefinite
    assert objective.newton(near, aliased).information == "observed"
    point = objective.newton(far, aliased)
    assert point.information == "expected"
    assert not point.curvature.indefinite
