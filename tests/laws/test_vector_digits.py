"""Digits where textbook forms have none left: against 60 digits of mpmath."""

from __future__ import annotations

import itertools
import math

import mpmath as mp
import pytest
import torch
from torch import Tensor

from torchglm.families import Beta, Gamma, MeanDispersion, Multinomial, NegativeBinomialSize, Ordinal, Truncated
from torchglm.numerics.gamma import digamma_excess, rising_rest, squared_trigamma, trigamma, trigamma_excess

INF = float("inf")


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(60):
        yield


def tensor(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def assert_digits(ours: Tensor, exact, rtol: float, atol: float = 0.0) -> None:
    wrong = [
        (i, float(o), float(e))
        for i, (o, e) in enumerate(zip(ours.flatten().tolist(), exact, strict=True))
        if abs(o - e) > rtol * abs(e) + atol
    ]
    assert wrong == []


POINTS = [1e-300, 1e-10, 1e-3, 0.3, 1.0, 3.0, 7.5, 14.99, 15.01, 40.0, 1e5, 1e15]


def test_polygammas_without_their_large_parts():
    x, exact = tensor(POINTS), [mp.mpf(p) for p in POINTS]
    assert_digits(digamma_excess(x), [v * (mp.digamma(v) - mp.log(v)) for v in exact], 3e-14)
    assert_digits(trigamma_excess(x), [v * v * mp.psi(1, v) - v for v in exact], 1e-14)
    assert_digits(squared_trigamma(x), [v * v * mp.psi(1, v) for v in exact], 1e-14)
    assert_digits(trigamma(x[1:]), [mp.psi(1, v) for v in exact[1:]], 1e-14)


@pytest.mark.parametrize("r", [1e-290, 1e-4, 0.1, 1.0, 14.5, 15.5, 1e3, 1e10, 1e18])
def test_the_rest_of_a_rising_factorial_and_its_derivatives(r):
    counts, size = [0.0, 1.0, 7.0, 1e3, 1e6], mp.mpf(r)
    with mp.workdps(120):
        exact = [rest_of(mp.mpf(y), size) for y in counts]
    found = rising_rest(tensor(counts), tensor([r]).expand(5))
    assert_digits(found.value, [e[0] for e in exact], 1e-14, 5e-15)
    # Relative digits to the last: r times a difference of digammas would have none at 1e18.
    floor = 3e-14 if r < 15.0 else 1e-60
    assert_digits(found.slope, [e[1] for e in exact], 1e-13, floor)
    assert_digits(found.bend, [e[2] for e in exact], 1e-13, floor)


def rest_of(y, r) -> tuple:
    total = y + r
    value = total * mp.log(total) - r * mp.log(r) - y - mp.loggamma(total) + mp.loggamma(r)
    slope = r * (mp.log(total / r) - mp.digamma(total) + mp.digamma(r))
    return value, slope, slope + r * r * (1 / total - 1 / r - mp.psi(1, total) + mp.psi(1, r))


def size_terms(y, m, s) -> tuple:
    """nll of a negative binomial, its derivatives in log theta once and twice, and in both."""
    mu, r = mp.exp(m), mp.exp(s)
    nll = mp.loggamma(y + 1) + mp.loggamma(r) - mp.loggamma(y + r) + (y + r) * mp.log(mu + r) - r * s - y * m
    by_r = mp.digamma(r) - mp.digamma(y + r) + mp.log(mu + r) - s + (y + r) / (mu + r) - 1
    twice = mp.psi(1, r) - mp.psi(1, y + r) + 2 / (mu + r) - 1 / r - (y + r) / (mu + r) ** 2
    return nll, r * by_r, r * by_r + r * r * twice, r * mu * (mu - y) / (mu + r) ** 2


@pytest.mark.parametrize("theta", [1e-4, 0.3, 5.0, 100.0, 1e4, 1e10])
def test_the_score_of_a_size_keeps_its_digits_up_to_the_poisson(theta):
    grid = list(itertools.product([0.0, 1.0, 12.0, 5000.0], [-5.0, 0.3, 2.5, 8.0], [math.log(theta)]))
    y, z = tensor([g[0] for g in grid]), tensor([g[1:] for g in grid])
    with mp.workdps(90):
        exact = [size_terms(*(mp.mpf(v) for v in g)) for g in grid]
    found = NegativeBinomialSize().expand(y, z, information="observed")
    assert_digits(found.nll, [e[0] for e in exact], 1e-13, 2e-13)
    assert_digits(found.gradient[:, 1], [e[1] for e in exact], 1e-10, 1e-22)
    assert_digits(found.curvature[:, 1, 1], [e[2] for e in exact], 1e-10, 1e-22)
    assert_digits(found.curvature[:, 0, 1], [e[3] for e in exact], 1e-11, 1e-22)


def test_a_size_without_end_is_the_poisson():
    y, eta = tensor([0.0, 1.0, 9.0]), tensor([0.4, 1.0, 2.0])
    poisson = eta.exp() - y * eta + torch.lgamma(y + 1.0)
    for log_theta in (60.0, 300.0, 700.0):
        terms = NegativeBinomialSize().expand(y, torch.stack([eta, torch.full_like(eta, log_theta)], 1))
        torch.testing.assert_close(terms.nll, poisson, rtol=1e-13, atol=1e-15)
        assert float(terms.gradient[:, 1].abs().max()) < 1e-24


def test_tables_of_counts_are_the_rows_themselves():
    generator = torch.Generator().manual_seed(0)
    y = torch.poisson(torch.full((200,), 3.0, dtype=torch.float64), generator=generator)
    eta = torch.randn(200, dtype=torch.float64, generator=generator)
    for log_theta in (-1.0, 0.7, 5.0, 20.0):
        one = torch.stack([eta, torch.full_like(eta, log_theta)], 1)
        each = one.clone()
        each[0, 1] += 1.0  # no longer the same theta in every row
        for found, wanted in zip(
            NegativeBinomialSize().expand(y, one), NegativeBinomialSize().expand(y, each), strict=True
        ):
            torch.testing.assert_close(found[1:], wanted[1:], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("tail", ["logit", "probit", "cloglog", "loglog", "cauchit"])
def test_an_interval_in_a_tail_keeps_its_digits(tail):
    def below(x):
        return {
            "logit": lambda: 1 / (1 + mp.exp(-x)),
            "probit": lambda: mp.ncdf(x),
            "cloglog": lambda: -mp.expm1(-mp.exp(x)),
            "loglog": lambda: mp.exp(-mp.exp(-x)),
            "cauchit": lambda: mp.mpf(1) / 2 + mp.atan(x) / mp.pi,
        }[tail]()

    ends = [(-30.0, -29.0), (-5.0, -4.999), (-0.5, 0.25), (-3.0, 4.0), (3.0, 3.5), (5.0, 5.5), (-9.0, 30.0)]
    z = tensor([[0.0, low, high] for low, high in ends])
    terms = Ordinal(3, tail).expand(tensor([1.0] * len(ends)), z)
    with mp.workdps(600):
        p = [below(mp.mpf(high)) - below(mp.mpf(low)) for low, high in ends]
        shift = [
            -mp.diff(lambda e, low=low, high=high: mp.log(below(high - e) - below(low - e)), 0)
            for low, high in [(mp.mpf(a), mp.mpf(b)) for a, b in ends]
        ]
        assert_digits(terms.nll, [-mp.log(q) for q in p], 1e-11, 1e-15)
        assert_digits(terms.gradient[:, 0], shift, 1e-9, 1e-15)


def test_cuts_that_do_not_increase_are_impossible_for_their_own_level():
    z = tensor([[0.0, 1.0, 1.0, 2.0]]).expand(4, 4)
    for link in ("logit", "probit"):
        found = Ordinal(4, link).nll(tensor([0.0, 1.0, 2.0, 3.0]), z)
        assert found.isinf().tolist() == [False, True, False, False]
        torch.testing.assert_close(found, Ordinal(4, link).expand(tensor([0.0, 1.0, 2.0, 3.0]), z).nll)


def test_a_scale_divides_both_ends():
    y = tensor([0.0, 1.0, 2.0, 3.0])
    z = tensor([[0.4, -1.0, 0.3, 2.0]]).expand(4, 4)
    scaled = torch.cat([z, torch.full((4, 1), 0.7, dtype=torch.float64)], 1)
    for link in ("logit", "probit", "cloglog", "loglog", "cauchit"):
        ours = Ordinal(4, link, scale=True).nll(y, scaled)
        torch.testing.assert_close(ours, Ordinal(4, link).nll(y, z * math.exp(-0.7)), rtol=1e-13, atol=0.0)


def test_two_levels_and_two_classes_are_the_logistic_regression():
    eta = tensor([-800.0, -3.0, 0.0, 40.0, 800.0]).repeat(2)
    y = tensor([0.0] * 5 + [1.0] * 5)
    wanted = torch.nn.functional.logsigmoid(torch.where(y == 1, eta, -eta)).neg()
    torch.testing.assert_close(Multinomial(2).nll(y, eta[:, None]), wanted, rtol=1e-14, atol=0.0)
    z = torch.stack([eta, torch.zeros_like(eta)], 1)
    torch.testing.assert_close(Ordinal(2).nll(y, z), wanted, rtol=1e-14, atol=0.0)


def test_softmax_is_exact_at_logits_of_a_thousand():
    z = tensor([[1000.0, -1000.0], [1000.0, 999.0], [-1000.0, -1000.0], [1000.0, 1000.0], [700.0, 0.0]])
    rows, each = z.repeat_interleave(3, 0), tensor([0.0, 1.0, 2.0]).repeat(5)
    whole = [[mp.mpf(0), *(mp.mpf(v) for v in row)] for row in z.tolist()]
    with mp.workdps(1000):
        totals = [mp.fsum(mp.exp(v) for v in row) for row in whole]
        exact = [mp.log(total) - row[k] for row, total in zip(whole, totals, strict=True) for k in range(3)]
        share = [mp.exp(row[k]) / total for row, total in zip(whole, totals, strict=True) for k in (1, 2)]
        terms = Multinomial(3).expand(each, rows)
        assert_digits(terms.nll, exact, 1e-14, 1e-300)
        assert_digits(terms.curvature[::3].diagonal(dim1=1, dim2=2), [p * (1 - p) for p in share], 1e-13, 1e-300)


def test_a_truncated_count_of_a_vanishing_mean_is_one():
    z = tensor([[-700.0], [-50.0], [-1e-3], [6.0], [700.0]])
    one = tensor([1.0] * 5)
    with mp.workdps(700):
        mu = [mp.exp(mp.mpf(v)) for v in z[:, 0].tolist()]
        exact = [m - mp.log(m) + mp.log(-mp.expm1(-m)) for m in mu]
        assert_digits(Truncated().nll(one, z), exact, 1e-13, 2e-14)
        assert_digits(Truncated().mean(z), [m / -mp.expm1(-m) for m in mu], 1e-13)


def test_large_precisions_do_not_cancel():
    y, mu = 0.3001, 0.3
    for log_phi in (0.0, 10.0, 25.0, 32.0):
        eta = tensor([mu]).logit()
        terms = Beta().expand(tensor([y]), torch.stack([eta, tensor([log_phi])], 1))
        m, phi, at = 1 / (1 + mp.exp(-mp.mpf(float(eta)))), mp.exp(mp.mpf(log_phi)), mp.mpf(y)
        a, b = m * phi, (1 - m) * phi
        nll = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(phi) - (a - 1) * mp.log(at) - (b - 1) * mp.log(1 - at)
        inner = m * (mp.digamma(a) - mp.log(at)) + (1 - m) * (mp.digamma(b) - mp.log(1 - at)) - mp.digamma(phi)
        # mu itself has 16 digits, so that y - mu = 1e-4 has 12.
        assert_digits(terms.nll, [nll], 1e-11)
        assert_digits(terms.gradient[:, 1], [phi * inner], 1e-11)
        ss = m * m * mp.psi(1, a) + (1 - m) ** 2 * mp.psi(1, b) - mp.psi(1, phi)
        assert_digits(terms.curvature[:, 1, 1], [phi * phi * ss], 1e-13)
        gamma = MeanDispersion(Gamma("log")).expand(tensor([1.0001]), tensor([[0.0, -log_phi]]))
        rest, value = mp.mpf(1.0001), phi * (mp.digamma(phi) - mp.log(phi))
        assert_digits(gamma.gradient[:, 1], [-value - phi * (rest - 1 - mp.log(rest))], 1e-11)
        assert_digits(gamma.curvature[:, 1, 1], [phi * phi * mp.psi(1, phi) - phi], 1e-13)
