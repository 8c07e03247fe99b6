"""What every link promises."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from torchglm.families import UnitLink
from torchglm.families.link import UNIT
from torchglm.families.links import Cauchit, CLogLog, Logit, LogLog, Probit

UNIT_LINKS = (Logit(), Probit(), CLogLog(), LogLog(), Cauchit())


def some_means(link) -> torch.Tensor:
    if link.domain == UNIT:
        return torch.tensor([1e-12, 1e-3, 0.2, 0.5, 0.8, 0.999], dtype=torch.float64)
    if link.domain.lower == 0.0:
        return torch.tensor([1e-12, 1e-3, 0.2, 0.5, 1.0, 30.0, 1e8], dtype=torch.float64)
    return torch.tensor([-1e8, -30.0, -0.5, 0.3, 1.0, 1e8], dtype=torch.float64)


def by_autograd(function, x: torch.Tensor, order: int) -> torch.Tensor:
    at = x.clone().requires_grad_(True)
    value = function(at)
    for _ in range(order):
        if not value.requires_grad:
            return torch.zeros_like(x)
        (value,) = torch.autograd.grad(value.sum(), at, create_graph=True, materialize_grads=True)
    return value.detach()


def test_the_inverse_undoes_the_link(link):
    mu = some_means(link)
    torch.testing.assert_close(link.inverse(link.link(mu)), mu, rtol=1e-11, atol=0.0)


def test_the_linear_predictor_of_a_mean_lies_in_its_domain(link):
    mu = some_means(link)
    assert bool(link.domain.contains(mu).all())
    assert bool(link.eta_domain.contains(link.link(mu)).all())


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_are_those_of_autograd(link, order):
    eta = link.link(some_means(link)[1:-1])
    closed = link.derivative(eta) if order == 1 else link.second_derivative(eta)
    torch.testing.assert_close(closed, by_autograd(link.inverse, eta, order), rtol=1e-10, atol=1e-13)


def test_the_direction_is_the_one_declared(link):
    mu = some_means(link)
    side = mu[mu > 0]
    assert bool((torch.diff(link.link(side)) < 0).all()) == link.decreasing
    assert bool((link.derivative(link.link(side)) < 0).all()) == link.decreasing


@pytest.mark.parametrize("unit", UNIT_LINKS, ids=repr)
def test_unit_links_agree_with_themselves(unit):
    eta = torch.linspace(-3.0, 3.0, 25, dtype=torch.float64)
    mu, nu = unit.inverse(eta), unit.complement(eta)
    tails = unit.tails(eta)
    torch.testing.assert_close(mu + nu, torch.ones_like(mu), rtol=1e-15, atol=0.0)
    for log, value in ((tails.log_mu, mu), (tails.log_nu, nu)):
        torch.testing.assert_close(torch.exp(log), value, rtol=1e-13, atol=0.0)
    torch.testing.assert_close(tails.log_mu, unit.log_inverse(eta), rtol=1e-13, atol=0.0)
    torch.testing.assert_close(tails.log_nu, unit.log_complement(eta), rtol=1e-13, atol=0.0)
    torch.testing.assert_close(tails.slope_mu * mu, unit.derivative(eta), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(tails.slope_nu * nu, unit.derivative(eta), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("unit", UNIT_LINKS, ids=repr)
def test_unit_link_slopes_and_bends_are_those_of_autograd(unit):
    eta = torch.linspace(-4.0, 2.5, 27, dtype=torch.float64)
    tails = unit.tails(eta)
    closed = (*tails[2:], *unit.bends(eta, tails))
    default = (*UnitLink.tails(unit, eta)[2:], *UnitLink.bends(unit, eta, tails))
    for ours, autograd in zip(closed, default, strict=True):
        torch.testing.assert_close(ours, autograd, rtol=1e-9, atol=1e-13)


def exact(unit, eta: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """log mu and log(1 - mu) in many digits."""
    t = mpmath.mpf(eta)
    if isinstance(unit, Logit):
        return -mpmath.log1p(mpmath.exp(-t)), -mpmath.log1p(mpmath.exp(t))
    if isinstance(unit, CLogLog | LogLog):
        s = mpmath.exp(t if isinstance(unit, CLogLog) else -t)
        logs = mpmath.log(-mpmath.expm1(-s)), -s
        return logs if isinstance(unit, CLogLog) else logs[::-1]
    lower = mpmath.ncdf if isinstance(unit, Probit) else lambda x: mpmath.atan2(1, -x) / mpmath.pi

    def log(x):
        return mpmath.log(lower(x)) if x <= 0 else mpmath.log1p(-lower(-x))

    return log(t), log(-t)


@pytest.mark.parametrize("eta", [-700.0, -300.0, -60.0, -37.0, -8.0, -1.0, -1e-6, 0.5, 3.0, 6.5, 37.0, 300.0, 700.0])
@pytest.mark.parametrize("unit", UNIT_LINKS, ids=repr)
def test_unit_link_tails_are_exact_at_extremes(unit, eta):
    with mpmath.workdps(450):
        h = mpmath.mpf(10) ** -30
        around = [exact(unit, mpmath.mpf(eta) + k * h) for k in (-1, 0, 1)]
        wanted = []
        for sign, (before, here, after) in zip((1, -1), zip(*around, strict=True), strict=True):
            wanted.append((here, sign * (after - before) / (2 * h), -(after - 2 * here + before) / h**2))
    at = torch.tensor([eta], dtype=torch.float64)
    tails = unit.tails(at)
    bends = unit.bends(at, tails)
    got = ((tails.log_mu, tails.slope_mu, bends.mu), (tails.log_nu, tails.slope_nu, bends.nu))
    for side, reference in zip(got, wanted, strict=True):
        for ours, number in zip(side, reference, strict=True):
            assert math.isclose(ours.item(), float(number), rel_tol=2e-12, abs_tol=1e-300), (ours.item(), float(number))
