"""Row terms far out: finite and right wherever float64 can hold the exact value, which mpmath gives."""

from __future__ import annotations

import math
import sys

import mpmath
import pytest
import torch

from torchglm.families import Binomial, Gamma, Gaussian, InverseGaussian, MeanModel, NegativeBinomial, Poisson, Tweedie
from torchglm.families.links import UnitLink

FAR = (-700.0, -350.0, -40.0, -37.0, -1e-8, 0.0, 1e-8, 20.0, 37.0, 350.0, 700.0)
UP = (1e-300, 1e-20, 1e-8, 1.0, 700.0, 1e12)


def power_nll(p):
    """The nll of V = mu^p with a log link, up to a function of y."""
    return lambda y, eta: y * mpmath.exp((1 - p) * eta) / (p - 1) + mpmath.exp((2 - p) * eta) / (2 - p)


def negative_binomial_nll(theta):
    return lambda y, eta: theta * mpmath.log1p(mpmath.exp(eta) / theta) + y * mpmath.log1p(theta * mpmath.exp(-eta))


def binomial_log_nll(y, eta):
    return -(y * eta + (1 - y) * mpmath.log(-mpmath.expm1(eta)))


def logit_nll(y, eta):
    return y * mpmath.log1p(mpmath.exp(-eta)) + (1 - y) * mpmath.log1p(mpmath.exp(eta))


CASES = [
    (Gaussian(), lambda y, eta: (y - eta) ** 2 / 2, FAR, (-2.0, 0.0, 3.0)),
    (Gaussian("log"), lambda y, eta: (y - mpmath.exp(eta)) ** 2 / 2, FAR, (-2.0, 0.0, 3.0)),
    (Poisson(), lambda y, eta: mpmath.exp(eta) - y * eta, FAR, (0.0, 3.0)),
    (Gamma(), lambda y, eta: y * eta - mpmath.log(eta), UP, (1e-3, 3.0)),
    (Gamma("log"), lambda y, eta: y * mpmath.exp(-eta) + eta, FAR, (1e-3, 3.0)),
    (InverseGaussian(), lambda y, eta: y * eta / 2 - mpmath.sqrt(eta), UP, (1e-3, 3.0)),
    (InverseGaussian("log"), lambda y, eta: y * mpmath.exp(-2 * eta) / 2 - mpmath.exp(-eta), FAR, (1e-3, 3.0)),
    (NegativeBinomial(theta=0.5), negative_binomial_nll(mpmath.mpf("0.5")), FAR, (0.0, 3.0, 1e9)),
    (NegativeBinomial(theta=1e9), negative_binomial_nll(mpmath.mpf(10) ** 9), FAR, (0.0, 3.0)),
    (Tweedie(power=1.5), power_nll(mpmath.mpf("1.5")), FAR, (0.0, 3.0)),
    (Tweedie(power=2.5), power_nll(mpmath.mpf("2.5")), FAR, (1e-3, 3.0)),
    (Binomial(), logit_nll, FAR, (0.0, 0.25, 1.0)),
    (Binomial("log"), binomial_log_nll, (-700.0, -40.0, -1.0, -1e-8, -1e-20, -1e-300), (0.0, 0.25, 1.0)),
]


def right(ours: float, exact: mpmath.mpf, noise: float) -> bool:
    if abs(exact) > sys.float_info.max:
        return not math.isnan(ours) and abs(ours) > 1e307 and (ours > 0) == (exact > 0)
    return math.isclose(ours, float(exact), rel_tol=2e-12, abs_tol=max(noise, 1e-307))


@pytest.mark.parametrize("chosen, nll, etas, ys", CASES, ids=[repr(case[0]) for case in CASES])
@pytest.mark.parametrize("information", ["observed", "expected"])
def test_closed_row_terms_are_exact_at_extremes(chosen, nll, etas, ys, information):
    grid = [torch.tensor(values, dtype=torch.float64) for values in (ys, etas)]
    y, eta = torch.cartesian_prod(*grid).unbind(1)
    terms = MeanModel(chosen).expand(y, eta.unsqueeze(1), information=information)
    with mpmath.workdps(700):
        for k in range(len(y)):
            at = mpmath.mpf(eta[k].item())
            response = mpmath.mpf(y[k].item())
            if information == "expected":
                # linear in y, so its expectation is its value at the mean
                response = mean_of(chosen, at)
            h = mpmath.mpf(10) ** -50 * (abs(at) if etas is UP or max(etas) < 0 else 1)
            curve = [nll(response, at + j * h) for j in (-1, 0, 1)]
            curvature = (curve[2] - 2 * curve[1] + curve[0]) / h**2
            curve = [nll(mpmath.mpf(y[k].item()), at + j * h) for j in (-1, 0, 1)]
            slope = (curve[2] - curve[0]) / (2 * h)
            # A sum of terms of size y or 1 cannot be more exact than their rounding.
            noise = 4e-16 * max(1.0, abs(y[k].item())) * (0.0 if exactly_additive(chosen, y[k].item()) else 1.0)
            assert right(terms.nll[k].item(), curve[1], noise * max(1.0, abs(eta[k].item()))), (y[k], at, terms.nll[k])
            assert right(terms.gradient[k, 0].item(), slope, noise), (y[k], at, terms.gradient[k])
            assert right(terms.curvature[k, 0, 0].item(), curvature, noise), (y[k], at, terms.curvature[k])


def mean_of(chosen, eta):
    known = {
        "identity": lambda t: t,
        "log": mpmath.exp,
        "inverse": lambda t: 1 / t,
        "inverse_squared": lambda t: 1 / mpmath.sqrt(t),
        "logit": lambda t: 1 / (1 + mpmath.exp(-t)),
    }
    return known[chosen.link.name](eta)


def exactly_additive(chosen, y: float) -> bool:
    """A binomial 0 or 1 has one term only, and keeps its digits down to e^-700."""
    return chosen.name == "binomial" and y in (0.0, 1.0)


@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_no_unit_link_gives_nan_beyond_any_reach(link, y):
    if not isinstance(link, UnitLink):
        return
    eta = torch.tensor([-1e4, -800.0, -746.0, 710.0, 800.0, 1e4], dtype=torch.float64)
    model = MeanModel(Binomial(link))
    for information in ("expected", "observed"):
        for term in model.expand(torch.full_like(eta, y), eta.unsqueeze(1), information=information):
            assert not bool(term.isnan().any())
    assert not bool(model.nll(torch.full_like(eta, y), eta.unsqueeze(1)).isnan().any())
