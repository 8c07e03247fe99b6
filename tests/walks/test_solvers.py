"""All solvers reach the same maximum, whatever the family and the link."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchglm import IRLS, SGD, glm

SOLVERS = {"newton_cg": 1e-8, "lbfgs": 1e-8, "sgd": 1e-6}


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_theta(data, response, family, link, solver):
    formula = f"{response[family]} ~ a + b + g"
    wanted = glm(formula, data, family, link)
    found = glm(formula, data, family, link, solver=solver)
    assert wanted.converged
    assert found.converged
    assert ((found.params - wanted.params) / wanted.params).abs().max() < SOLVERS[solver]
    assert (found.bse / wanted.bse - 1.0).abs().max() < SOLVERS[solver]
    assert found.deviance == pytest.approx(wanted.deviance, rel=1e-10)


@pytest.mark.parametrize("name", ["gamma", "inverse_gaussian"])
@pytest.mark.parametrize("with_link", ["log", "identity", "sqrt", "inverse"])
@pytest.mark.parametrize("seed", range(4))
def test_skew_responses_from_any_seed(name, with_link, seed):
    rng = np.random.default_rng(seed)
    x, g = rng.normal(size=300), rng.choice(["a", "b", "c"], 300)
    y = rng.gamma(2.0, np.exp(1.0 + 0.15 * x + 0.4 * (g == "b")) / 2.0)
    fit = glm("y ~ x + g", {"y": y, "x": x, "g": g}, name, with_link)
    assert fit.converged
    other = glm("y ~ x + g", {"y": y, "x": x, "g": g}, name, with_link, solver="newton_cg")
    assert ((other.params - fit.params) / fit.bse).abs().max() < 1e-7


def test_the_gradient_is_zero(data, response, family, link):
    """By autograd of the family's deviance alone, on the dense matrix."""
    fit = glm(f"{response[family]} ~ a + b + g", data, family, link)
    design = fit.estimate.prepared.design
    x = design.columns[0].to_dense(design.n)
    theta = torch.tensor(fit.params.to_numpy(), requires_grad=True)
    deviance = fit.family.unit_deviance(design.y, fit.family.link.inverse(x @ theta)).sum()
    (gradient,) = torch.autograd.grad(deviance, theta)
    assert (gradient.numpy() / 2.0 * fit.bse.to_numpy() / fit.scale) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", torch.optim.Adagrad, lambda p: torch.optim.RMSprop(p, lr=1e-3)])
def test_any_optimizer(data, optimizer):
    wanted = glm("count ~ a + b + g", data, "poisson")
    solver = SGD(optimizer=optimizer, epochs=2, batch_rows=64)
    found = glm("count ~ a + b + g", data, "poisson", solver=solver)
    assert ((found.params - wanted.params) / wanted.params).abs().max() < 1e-6


def test_a_seed_decides_everything(data):
    first, second = (glm("count ~ a + b", data, "poisson", solver=SGD(seed=3)) for _ in range(2))
    assert first.params.equals(second.params)
    assert first.trace["loss"].equals(second.trace["loss"])


@pytest.mark.parametrize(
    "name, with_link", [("gaussian", None), ("poisson", None), ("binomial", "probit"), ("gamma", "log")]
)
def test_many_rows_end_where_few_passes_would(many, response, name, with_link):
    """The strategy for many rows against plain Newton steps on the same data."""
    formula = f"{response[name]} ~ a + b + g"
    quick = glm(formula, many, name, with_link)
    plain = glm(formula, many, name, with_link, solver=IRLS(reuse=False))
    assert ((quick.params - plain.params) / plain.bse).abs().max() < 1e-8
    assert (quick.bse / plain.bse - 1.0).abs().max() < 1e-8
