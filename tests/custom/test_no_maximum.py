"""Likelihoods of one's own where a search might end at no maximum: saddles, ridges, and directions without an end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import optimize

from torchglm import custom
from torchglm.errors import ConvergenceWarning, SeparationWarning
from torchglm.solvers.solver import Status


def mixture(y, low, high, weight):
    chance = torch.nn.functional.logsigmoid
    return -torch.logaddexp(chance(weight) - (y - low) ** 2 / 2, chance(-weight) - (y - high) ** 2 / 2)


def normal(y, mean, log_sd):
    return 0.5 * ((y - mean) * torch.exp(-log_sd)) ** 2 + log_sd


def product(y, a, b):
    return 0.5 * (y - a * b) ** 2


def test_equal_components_are_left():
    """Where both means are equal the slope is zero: a saddle between two maxima."""
    rng = np.random.default_rng(0)
    y = np.r_[rng.normal(-3.0, 1.0, 200), rng.normal(3.0, 1.0, 300)]
    fit = custom("y ~ 1", {"y": y}, mixture)

    def nll(theta):
        return float(mixture(torch.tensor(y), *torch.tensor(theta, dtype=torch.float64)).sum())

    best = optimize.minimize(nll, [-2.0, 2.0, 0.0], tol=1e-10)
    assert fit.converged
    assert -fit.llf == pytest.approx(best.fun, abs=1e-6)
    assert sorted(fit.params[:2]) == pytest.approx(sorted(best.x[:2]), abs=1e-4)


def test_a_ridge_is_no_maximum():
    with pytest.warns(ConvergenceWarning, match="say nothing of some coefficients"):
        fit = custom("y ~ 1", {"y": 2.0 + np.random.default_rng(1).normal(size=100)}, product)
    assert fit.status == Status.UNDETERMINED.value
    assert not fit.converged
    assert fit.params.prod() == pytest.approx(np.random.default_rng(1).normal(size=100).mean() + 2.0)
    assert fit.bse.isna().all()


def test_a_constant_response_has_no_variance():
    data = {"y": [3.0] * 20, "x": [0.0, 1.0] * 10}
    with pytest.warns(SeparationWarning, match="log_sd -> -inf"):
        fit = custom("y ~ x", data, normal)
    assert fit.infinite == {"log_sd": "-"}
    assert not fit.converged


def test_nor_has_an_exact_fit():
    """But for rounding of the means, which ends the fall of log_sd somewhere."""
    with pytest.warns(ConvergenceWarning, match="still falls"):
        assert not custom("y ~ x", {"y": np.arange(20.0), "x": np.arange(20.0)}, normal).converged


def test_predictors_are_named_by_the_function():
    data = {"y": np.arange(6.0), "x": [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]}
    assert list(custom("y ~ x", data, normal).params.index) == ["mean_Intercept", "mean_x", "log_sd"]
    assert list(custom("y ~ x", data, lambda y, eta, df=4.0: (y - eta) ** 2).params.index) == ["Intercept", "x"]
