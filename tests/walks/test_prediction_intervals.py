"""Prediction intervals near an end of the domain of the mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from torchglm import glm
from torchglm.inference.prediction.interval import prediction_interval


@pytest.fixture
def fit():
    rng = np.random.default_rng(3)
    x = rng.uniform(-1.0, 1.0, size=200)
    return glm("y ~ x", {"x": x, "y": rng.wald(1.0, 4.0, size=200)}, "inverse_gaussian")


def chance_below(y: float, eta: float, se: float, phi: float) -> float:
    """F(y) of the mixture over eta > 0, by adaptive quadrature; eta = 1 / mu^2."""

    def inner(t: float) -> float:
        mu = t**-0.5
        return stats.invgauss.cdf(y, mu * phi, scale=1.0 / phi) * stats.norm.pdf(t, eta, se)

    return integrate.quad(inner, max(eta - 9 * se, 1e-12), eta + 9 * se, epsabs=1e-11, limit=400)[0]


@pytest.mark.parametrize("ratio", [5.2, 6.0, 7.0, 20.0])
def test_a_far_node_beyond_the_domain_is_left_out(fit, ratio):
    """The farthest node lies 7.85 standard errors out."""
    eta, se = 1.0, 1.0 / ratio
    ends = prediction_interval(fit.record, torch.tensor([eta]).double(), torch.tensor([se]).double(), 0.9)
    chances = [chance_below(float(end), eta, se, fit.scale) for end in ends]
    assert chances == pytest.approx([0.05, 0.95], abs=2e-4)


def test_a_mean_that_may_well_leave_the_domain_has_no_interval(fit):
    eta, se = torch.tensor([1.0, 1.0]).double(), torch.tensor([0.5, 0.1]).double()
    low, high = prediction_interval(fit.record, eta, se, 0.9)
    assert torch.isnan(low).tolist() == torch.isnan(high).tolist() == [True, False]


@pytest.mark.parametrize("with_link", ["identity", "sqrt", "log"])
def test_intervals_hold_new_responses(with_link):
    rng = np.random.default_rng(5)
    x = rng.uniform(0.5, 2.0, size=400)
    data = {"x": x, "y": rng.poisson(2.0 + 3.0 * x).astype(float)}
    ends = glm("y ~ x", data, "poisson", with_link).predict(data, interval="prediction", level=0.9)
    held = ((data["y"] >= ends["lower"]) & (data["y"] <= ends["upper"])).mean()
    assert 0.9 <= held <= 0.97  # whole numbers hold a little more
