"""Distribution functions and variances of likelihoods of several predictors: sums and integrals of their densities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from torchglm.errors import OptionError
from torchglm.families import (
    Beta,
    Custom,
    Gamma,
    Gaussian,
    Hurdle,
    InverseGaussian,
    MeanDispersion,
    Multinomial,
    NegativeBinomialSize,
    Ordinal,
    PoissonCount,
    Truncated,
    ZeroInflated,
)

NB1 = NegativeBinomialSize(kind="NB1")
NB2 = NegativeBinomialSize()
ONE, TWO = [[-1.0], [0.0], [1.3]], [[-1.0, 0.3], [0.7, 1.0], [1.3, 4.0]]
WITH_ZERO, WITH_ZERO_2 = [[-1.0, 0.4], [1.3, -2.0]], [[-1.0, 0.4, 0.3], [1.3, -2.0, 1.5]]
LEAST = {Truncated: 1}
COUNTS = [
    (PoissonCount(), ONE),
    (PoissonCount("sqrt"), [[0.4], [2.0]]),
    (NB2, TWO),
    (NB1, TWO),
    (Truncated(), ONE),
    (Truncated(NB2), TWO),
    (Truncated(NB1), TWO),
    (ZeroInflated(), WITH_ZERO),
    (ZeroInflated(NB2, "cloglog"), WITH_ZERO_2),
    (Hurdle(), WITH_ZERO),
    (Hurdle(NB1, "probit"), WITH_ZERO_2),
]
ORDERED = [
    (Ordinal(4, link), [[0.3, -1.0, 0.2, 1.4], [-1.5, -0.9, -0.8, 2.0]])
    for link in ("logit", "probit", "cloglog", "loglog", "cauchit")
] + [(Ordinal(4, scale=True), [[0.3, -1.0, 0.2, 1.4, 0.7]]), (Ordinal(2), [[0.5, -0.2]])]
names = lambda cases: [repr(case[0]) for case in cases]  # noqa: E731


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def chances(likelihood, at, y):
    """P(Y = y) for each of y, and the predictors a row each."""
    z = tensor(at).expand(len(y), -1)
    return torch.exp(-likelihood.nll(y, z)), z


@pytest.mark.parametrize("case", COUNTS + ORDERED, ids=names(COUNTS + ORDERED))
def test_distribution_functions_are_sums(case):
    likelihood, rows = case
    last = likelihood.levels if isinstance(likelihood, Ordinal) else 400
    y = torch.arange(LEAST.get(type(likelihood), 0), last, dtype=torch.float64)
    for at in rows:
        chance, z = chances(likelihood, at, y)
        torch.testing.assert_close(likelihood.cdf(y, z), chance.cumsum(0), rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(likelihood.below(y, z), chance.cumsum(0) - chance, rtol=1e-10, atol=1e-13)
        assert likelihood.cdf(y[:1] - 1.0, z[:1]).item() == 0.0


@pytest.mark.parametrize("case", COUNTS, ids=names(COUNTS))
def test_variances_are_sums(case):
    likelihood, rows = case
    y = torch.arange(LEAST.get(type(likelihood), 0), 800, dtype=torch.float64)
    for at in rows:
        chance, z = chances(likelihood, at, y)
        mean = (chance * y).sum()
        expected = (chance * (y - mean) ** 2).sum()
        torch.testing.assert_close(likelihood.variance(z[:1])[0], expected, rtol=1e-9, atol=0.0)


Y = tensor([1e-20, 0.03, 0.3, 0.9])
CONTINUOUS = [
    (Beta(), [0.4, 1.2], lambda mu, s: stats.beta(mu * s, (1 - mu) * s)),
    (MeanDispersion(Gaussian()), [0.4, -1.0], lambda mu, s: stats.norm(mu, np.sqrt(s))),
    (MeanDispersion(Gamma("log")), [0.4, -1.0], lambda mu, s: stats.gamma(1 / s, scale=mu * s)),
    (MeanDispersion(InverseGaussian("log")), [-0.4, 0.5], lambda mu, s: stats.invgauss(mu * s, scale=1 / s)),
]


@pytest.mark.parametrize("case", CONTINUOUS, ids=names(CONTINUOUS))
def test_continuous_ones_are_those_of_scipy(case):
    likelihood, at, made = case
    z = tensor([at]).expand(len(Y), -1)
    mu = float(likelihood.mean(z)[0])
    law = made(mu, np.exp(at[1]))
    np.testing.assert_allclose(likelihood.cdf(Y, z), law.cdf(Y.numpy()), rtol=1e-11, atol=1e-300)
    assert torch.equal(likelihood.below(Y, z), likelihood.cdf(Y, z))
    assert float(likelihood.variance(z)[0]) == pytest.approx(law.var(), rel=1e-12)


def test_an_inverse_gaussian_of_a_tiny_dispersion_has_one():
    z = tensor([[0.0, np.log(1e-4)]])  # exp(2 / (phi mu)) would overflow
    found = MeanDispersion(InverseGaussian("log")).cdf(tensor([1.01]), z)
    assert float(found) == pytest.approx(stats.invgauss(1e-4, scale=1e4).cdf(1.01), rel=1e-9)


def test_a_negative_binomial_close_to_a_poisson_has_its_distribution():
    y, mu = tensor([0.0, 3.0, 9.0]), np.exp(1.2)
    z = tensor([[1.2, 25.0]]).expand(3, -1)
    np.testing.assert_allclose(NB2.cdf(y, z), stats.poisson(mu).cdf(y), rtol=1e-9)


def test_what_there_is_none_of_is_refused():
    z = torch.zeros(1, 2, dtype=torch.float64)
    with pytest.raises(OptionError, match="no order"):
        Multinomial(3).cdf(z[:, 0], z)
    with pytest.raises(OptionError, match="no variance"):
        Multinomial(3).variance(z)
    own = Custom(lambda y, a, b: (y - a) ** 2 + b, ("a", "b"))
    for ask in (lambda: own.cdf(z[:, 0], z), lambda: own.variance(z), lambda: own.sample(z)):
        with pytest.raises(OptionError, match="Custom"):
            ask()
