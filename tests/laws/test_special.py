"""Special functions against many digits, and their derivatives where autograd meets a branch."""

from __future__ import annotations

import mpmath
import pytest
import torch

from torchglm.numerics.quadrature import integral
from torchglm.numerics.special import blend, derivative_of, kl_div, log1mexp, log1p_minus, poisson_peak, softplus


def kl(y, mu):
    return (y * mpmath.log(y / mu) if y else mpmath.mpf(0)) - y + mu


CASES = {
    "log1mexp": (log1mexp, lambda x: mpmath.log(-mpmath.expm1(-x)), (1e-300, 1e-9, 0.3, 0.7, 3.0, 40.0, 700.0)),
    "softplus": (softplus, lambda x: mpmath.log1p(mpmath.exp(x)), (-700.0, -40.0, -1e-9, 0.0, 0.5, 30.0, 700.0)),
    "log1p_minus": (log1p_minus, lambda x: mpmath.log1p(x) - x, (-0.9, -0.2, -1e-3, 1e-12, 1e-5, 0.19, 0.21, 50.0)),
    "poisson_peak": (
        poisson_peak,
        lambda k: (k * mpmath.log(k) if k else 0) - k - mpmath.loggamma(k + 1),
        (0.0, 1e-5, 0.5, 1.0, 7.0, 14.9, 15.1, 170.0, 1e10, 1e200),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_special_function_keeps_its_digits(name):
    ours, exact, points = CASES[name]
    x = torch.tensor(points, dtype=torch.float64)
    with mpmath.workdps(400):
        wanted = torch.tensor([float(exact(mpmath.mpf(p))) for p in points], dtype=torch.float64)
    torch.testing.assert_close(ours(x), wanted, rtol=3e-15, atol=3e-15 if name == "poisson_peak" else 0.0)


def test_kl_div_keeps_its_digits():
    pairs = [(0.0, 3.0), (1.0, 1.0 + 1e-9), (5.0, 5.5), (1e-300, 1.0), (1.0, 1e-300), (3.0, 1e10), (7.0, 6.999)]
    y, mu = torch.tensor(pairs, dtype=torch.float64).unbind(1)
    with mpmath.workdps(60):
        wanted = torch.tensor([float(kl(mpmath.mpf(a), mpmath.mpf(b))) for a, b in pairs], dtype=torch.float64)
    torch.testing.assert_close(kl_div(y, mu), wanted, rtol=2e-15, atol=0.0)


@pytest.mark.parametrize(
    "function, exact, points",
    [
        (softplus, lambda x: 1 / (1 + mpmath.exp(-x)), (-40.0, 0.0, 5.0)),
        (log1mexp, lambda x: 1 / mpmath.expm1(x), (1e-20, 0.69, 0.7, 40.0)),
    ],
)
def test_autograd_passes_the_branches(function, exact, points):
    wanted = torch.tensor([float(exact(mpmath.mpf(p))) for p in points], dtype=torch.float64)
    ours = derivative_of(function, torch.tensor(points, dtype=torch.float64))
    torch.testing.assert_close(ours, wanted, rtol=1e-13, atol=0.0)


def test_the_derivative_of_a_constant_or_a_line_is_no_error():
    x = torch.tensor([1.0, 2.0])
    assert derivative_of(lambda t: torch.ones_like(t), x).tolist() == [0.0, 0.0]
    assert derivative_of(lambda t: 3.0 * t, x, order=2).tolist() == [0.0, 0.0]


def test_blend_never_multiplies_infinity_by_zero():
    inf = torch.tensor([torch.inf, 1.0, 2.0], dtype=torch.float64)
    y = torch.tensor([1.0, 1.0, 0.25], dtype=torch.float64)
    assert blend(y, inf, torch.tensor([-5.0, 7.0, 6.0], dtype=torch.float64)).tolist() == [-5.0, 7.0, 3.0]


@pytest.mark.parametrize("power", [-1.0 / 3.0, 0.0, 0.5, 3.0])
def test_quadrature_of_powers_is_exact(power):
    mu = torch.tensor([5.0, 1e-4, 1.0, 2.0], dtype=torch.float64)
    y = torch.tensor([0.0, 300.0, 1e-6, 2.0], dtype=torch.float64)
    wanted = (y ** (power + 1.0) - mu ** (power + 1.0)) / (power + 1.0)
    torch.testing.assert_close(integral(lambda t, _: t**power, mu, y), wanted, rtol=1e-13, atol=0.0)


def test_a_diverging_integral_is_infinite():
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    assert integral(lambda t, _: 1.0 / t, one, zero).item() == -torch.inf
    assert integral(lambda t, rest: rest / t**3, one, zero).item() == torch.inf
