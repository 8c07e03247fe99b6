"""What every family promises: deviance, variance, likelihood, sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch

from torchglm.errors import OptionError
from torchglm.families import (
    Binomial,
    Family,
    Gamma,
    Gaussian,
    InverseGaussian,
    MeanModel,
    NegativeBinomial,
    Poisson,
    Quasi,
    Tweedie,
    UnitLink,
)
from torchglm.families.links import Cauchit, CLogLog, Logit, LogLog, Probit

PHI = 0.4


def grid(family) -> tuple[torch.Tensor, torch.Tensor]:
    """Responses and means inside of the mean's domain, where no deviance is infinite."""
    if family.mean_domain.upper == 1.0:
        values = torch.tensor([1e-6, 0.1, 0.5, 0.7, 1.0 - 1e-6], dtype=torch.float64)
    elif family.mean_domain.lower == 0.0:
        values = torch.tensor([1e-3, 0.2, 1.0, 1.0 + 1e-9, 1.05, 30.0, 4e3], dtype=torch.float64)
    else:
        values = torch.tensor([-30.0, -1.0, 0.0, 0.3, 5.0], dtype=torch.float64)
    pairs = torch.cartesian_prod(values, values)
    return pairs[:, 0], pairs[:, 1]


def test_the_deviance_is_zero_at_the_mean_and_positive_elsewhere(family):
    y, mu = grid(family)
    deviance = family.unit_deviance(y, mu)
    assert bool((deviance[y == mu] == 0.0).all())
    assert bool((deviance[y != mu] > 0.0).all())


def test_the_deviance_is_the_integral_of_the_variance_function(family):
    y, mu = grid(family)
    by_quadrature = Family.unit_deviance(family, y, mu)
    torch.testing.assert_close(family.unit_deviance(y, mu), by_quadrature, rtol=2e-11, atol=0.0)


def test_the_anscombe_residual_is_its_integral(family):
    y, mu = grid(family)
    by_quadrature = Family.anscombe(family, y, mu)
    torch.testing.assert_close(family.anscombe(y, mu), by_quadrature, rtol=1e-8, atol=1e-12)


def test_the_derivative_of_the_variance_is_that_of_autograd(family):
    _, mu = grid(family)
    torch.testing.assert_close(
        family.variance_derivative(mu), Family.variance_derivative(family, mu), rtol=1e-12, atol=1e-14
    )


def test_the_start_lies_in_the_domain_of_the_mean(family):
    y = torch.tensor([0.0, 1.0], dtype=torch.float64)
    y = y[family.check_response(y)]
    start = family.start(y, torch.ones_like(y))
    assert bool(family.mean_domain.contains(start).all())


def test_the_support_is_checked_row_by_row(family):
    y = torch.tensor([math.nan, math.inf, -math.inf], dtype=torch.float64)
    assert not bool(family.check_response(y).any())
    inside, _ = grid(family)
    assert bool(family.check_response(inside).all())
    assert family.support


@pytest.mark.parametrize(
    "chosen, inside, outside",
    [
        (Poisson(), [0.0, 2.0, 2.5], [-1e-9]),
        (Binomial(), [0.0, 0.5, 1.0], [-0.1, 1.1]),
        (Gamma(), [1e-9], [0.0, -1.0]),
        (InverseGaussian(), [1e-9], [0.0, -1.0]),
        (Tweedie(), [0.0, 2.0], [-1.0]),
        (Tweedie(power=2.5), [2.0], [0.0, -1.0]),
        (Quasi(variance="mu^2"), [0.0, 2.0], [-1.0]),
        (Gaussian(), [-5.0, 0.0], [math.nan]),
    ],
)
def test_the_supports(chosen, inside, outside):
    assert chosen.check_response(torch.tensor(inside)).tolist() == [True] * len(inside)
    assert chosen.check_response(torch.tensor(outside)).tolist() == [False] * len(outside)


def sampled_means(family) -> torch.Tensor:
    if family.mean_domain.upper == 1.0:
        return torch.tensor([0.07, 0.4, 0.9], dtype=torch.float64)
    return torch.tensor([0.3, 1.5, 6.0], dtype=torch.float64)


def can_be_sampled(family) -> bool:
    try:
        family.sample(sampled_means(family)[:1], PHI, torch.Generator().manual_seed(0))
    except OptionError:
        return False
    return True


def test_who_can_be_sampled(family):
    refused = family.name.startswith("quasi") or (family.name == "tweedie" and family.power > 3.0)
    assert can_be_sampled(family) != refused


def test_the_score_has_mean_zero_and_the_information_as_variance(family):
    if not can_be_sampled(family):
        return
    rows = 40_000
    phi = PHI if family.has_dispersion and family.kernel.has_dispersion else 1.0
    mu = sampled_means(family).repeat_interleave(rows)
    y = family.sample(mu, phi, torch.Generator().manual_seed(20260115))
    assert bool(family.check_response(y).all())
    z = family.link.link(mu).unsqueeze(1)
    terms = MeanModel(family).expand(y, z)
    score = (terms.gradient[:, 0] / phi).reshape(-1, rows)
    information = (terms.curvature[:, 0, 0] / phi).reshape(-1, rows)[:, 0]
    square = score**2
    assert bool((score.mean(1).abs() < 4.5 * torch.sqrt(information / rows)).all())
    assert bool(((square.mean(1) - information).abs() < 4.5 * square.std(1) / math.sqrt(rows)).all())


def test_samples_are_repeated_by_their_seed(family):
    if not can_be_sampled(family):
        return
    mu = sampled_means(family)
    once, again = (family.sample(mu, PHI, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(once, again)


def scipy_log_prob(family, y, mu, phi, w) -> np.ndarray:
    match family.name:
        case "gaussian":
            return scipy.stats.norm.logpdf(y, mu, np.sqrt(phi / w))
        case "gamma":
            return scipy.stats.gamma.logpdf(y, w / phi, scale=mu * phi / w)
        case "inverse_gaussian":
            return scipy.stats.invgauss.logpdf(y, mu * phi / w, scale=w / phi)
        case "poisson":
            return w * scipy.stats.poisson.logpmf(y, mu)
        case "binomial":
            return scipy.stats.binom.logpmf(np.round(y * w), w, mu)
        case "negative_binomial":
            return w * scipy.stats.nbinom.logpmf(y, family.theta, family.theta / (family.theta + mu))
    raise AssertionError(family)


DISTRIBUTIONS = (Gaussian(), Gamma(), InverseGaussian(), Poisson(), Binomial(), NegativeBinomial(theta=1.7))


@pytest.mark.parametrize("chosen", DISTRIBUTIONS, ids=repr)
def test_log_prob_is_that_of_scipy(chosen):
    w = torch.tensor([1.0, 3.0, 10.0, 2.0, 5.0], dtype=torch.float64)
    if chosen.name == "binomial":
        y, mu = (
            torch.tensor([0.0, 1.0, 0.3, 0.5, 0.8], dtype=torch.float64),
            torch.tensor([0.1, 0.9, 0.4, 0.02, 0.5], dtype=torch.float64),
        )
    else:
        y, mu = (
            torch.tensor([0.0, 1.0, 3.0, 20.0, 400.0], dtype=torch.float64),
            torch.tensor([0.1, 0.9, 4.0, 17.0, 350.0], dtype=torch.float64),
        )
        y = y if chosen.check_response(y).all() else y + 0.5
    phi = PHI if chosen.has_dispersion else 1.0
    wanted = torch.from_numpy(scipy_log_prob(chosen, y.numpy(), mu.numpy(), phi, w.numpy()))
    torch.testing.assert_close(chosen.log_prob(y, mu, phi, w), wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("chosen", [f for f in DISTRIBUTIONS if not f.has_dispersion], ids=repr)
def test_the_likelihood_is_the_saturated_one_less_half_the_deviance(chosen):
    w = torch.tensor([1.0, 3.0, 10.0], dtype=torch.float64)
    y, mu = torch.tensor([0.0, 1.0, 0.3], dtype=torch.float64), torch.tensor([0.1, 0.9, 0.4], dtype=torch.float64)
    y = y if chosen.name == "binomial" else 10.0 * y
    saturated, deviance = chosen.saturated(y, w).sum().item(), (w * chosen.unit_deviance(y, mu)).sum().item()
    total = chosen.log_likelihood(deviance, 3, w.sum().item(), saturated)
    assert math.isclose(total, scipy_log_prob(chosen, y.numpy(), mu.numpy(), 1.0, w.numpy()).sum(), rel_tol=1e-12)


def test_families_that_are_no_distribution_have_no_likelihood(family):
    if family.has_likelihood:
        return
    assert math.isnan(family.log_likelihood(1.0, 3, 3.0, 0.0))


@pytest.mark.parametrize("name", ["quasi", "quasipoisson", "quasibinomial"])
def test_a_quasi_family_refuses_densities_and_samples(name):
    from torchglm.families import resolve_family

    half = torch.tensor([0.5], dtype=torch.float64)
    for call in (lambda f: f.log_prob(half, half), lambda f: f.sample(half)):
        with pytest.raises(OptionError, match=name):
            call(resolve_family(name))


def test_a_perfect_fit_has_infinite_likelihood_where_the_dispersion_is_estimated():
    for chosen in (Gaussian(), Gamma(), InverseGaussian()):
        assert chosen.log_likelihood(0.0, 5, 5.0, 0.0) == math.inf


@pytest.mark.parametrize("unit", [Logit(), Probit(), CLogLog(), LogLog(), Cauchit()], ids=repr)
def test_the_binomial_deviance_survives_means_that_round_to_one(unit: UnitLink):
    eta = torch.tensor([-30.0, -5.0, 2.0, 4.5, 30.0], dtype=torch.float64)
    model = MeanModel(Binomial(unit))
    for y, log in ((1.0, unit.log_inverse(eta)), (0.0, unit.log_complement(eta))):
        deviance = model.deviance(torch.full_like(eta, y), eta.unsqueeze(1))
        torch.testing.assert_close(deviance, -2.0 * log, rtol=1e-12, atol=0.0)
