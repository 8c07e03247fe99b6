"""Prediction intervals for new responses: quantiles of the family's distribution, averaged over the error of eta.

A new response is drawn from the family at a mean that is itself known with error: eta ~ N(eta_hat, se^2). Its
distribution is the mixture of the two,

    F(y) = integral of F_family(y; mu(eta), phi) N(eta; eta_hat, se^2) d eta,

here by Gauss-Hermite quadrature, inverted by bisection. For a gaussian with the identity link the mixture is normal
with variance phi + se^2, and with an estimated phi the t quantile is used, as in R's predict.lm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.family import Family
from torchglm.inference.hypotheses.linear import quantile
from torchglm.inference.record import Record

NODES = 21
NEGLIGIBLE = 1e-6  # the chance of an eta beyond the domain that is left out
CumulativeDistribution = Callable[[Any, Any, float, Family], Any]


def _poisson(y: Any, mu: Any, phi: float, family: Family) -> Any:
    from scipy import special

    return special.pdtr(np.floor(y), mu)


def _binomial(y: Any, mu: Any, phi: float, family: Family) -> Any:
    return np.where(y >= 1.0, 1.0, np.where(y >= 0.0, 1.0 - mu, 0.0))  # one trial


def _gamma(y: Any, mu: Any, phi: float, family: Family) -> Any:
    from scipy import special

    return special.gammainc(1.0 / phi, np.maximum(y, 0.0) / (phi * mu))


def _inverse_gaussian(y: Any, mu: Any, phi: float, family: Family) -> Any:
    from scipy import stats

    return stats.invgauss.cdf(y, mu * phi, scale=1.0 / phi)


def _negative_binomial(y: Any, mu: Any, phi: float, family: Family) -> Any:
    from scipy import special

    theta = float(family.theta)  # type: ignore[attr-defined]
    return special.betainc(theta, np.floor(y) + 1.0, theta / (theta + mu))


def _gaussian(y: Any, mu: Any, phi: float, family: Family) -> Any:
    from scipy import special

    return special.ndtr((y - mu) / phi**0.5)


DISTRIBUTIONS: dict[str, CumulativeDistribution] = {
    "gaussian": _gaussian,
    "poisson": _poisson,
    "binomial": _binomial,
    "gamma": _gamma,
    "inverse_gaussian": _inverse_gaussian,
    "negative_binomial": _negative_binomial,
}
WHOLE = ("poisson", "binomial", "negative_binomial")


def prediction_interval(record: Record, eta: Tensor, se: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """(rows,) lower and upper ends of the interval that holds a new response with chance `level`.

    Scale: response; a new row has weight one, and a binomial one trial.
    Raises: OptionError for a family that is no distribution.
    """
    family, phi = record.family, record.numbers.phi
    if family.name not in DISTRIBUTIONS:
        raise OptionError(
            f"A prediction interval needs a distribution; the {family.name} family says only how the variance follows "
            'the mean. Ask for interval="confidence".'
        )
    if family.name == "gaussian" and family.link.name == "identity":
        half = quantile(record, level) * (phi + se.square()).sqrt()
        return eta - half, eta + half
    mu, share = _mixture(family, eta, se)
    cdf = DISTRIBUTIONS[family.name]

    def mixture(y: Any) -> Any:
        return (cdf(y[:, None], mu, phi, family) * share).sum(1)

    whole = family.name in WHOLE
    ends = [_quantile(mixture, chance, mu, whole) for chance in (0.5 - level / 2.0, 0.5 + level / 2.0)]
    unbounded = torch.from_numpy(np.isnan(share).any(1))  # a mean this uncertain leaves the domain
    low, high = (torch.from_numpy(end).masked_fill(unbounded, torch.nan) for end in ends)
    return low, high


def _mixture(family: Family, eta: Tensor, se: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(rows, nodes) means and their weights, which add up to one.

    Nodes beyond the domain are left out where they hold less than `NEGLIGIBLE` together; else the weights are NaN.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    mu = family.mean(eta[:, None] + se[:, None] * torch.from_numpy(nodes)).numpy()
    inside = np.isfinite(mu)
    share = np.where(inside, weights / weights.sum(), 0.0)
    held = share.sum(1, keepdims=True)
    center = family.mean(eta)[:, None].numpy()
    return np.where(inside, mu, center), share / np.where(held > 1.0 - NEGLIGIBLE, held, np.nan)


def _quantile(cdf: Callable[[Any], Any], chance: float, mu: Any, whole: bool) -> Any:
    """The smallest y with cdf(y) >= chance: bracketed by doubling, then bisected; whole numbers for counts."""
    low, high = np.full(len(mu), -1.0), np.fmax(np.nan_to_num(mu).max(1), 1.0)
    for _ in range(200):
        short = cdf(high) < chance
        if not short.any():
            break
        high = np.where(short, 2.0 * high + 1.0, high)
    for _ in range(200):
        deep = cdf(low) >= chance
        if not deep.any() or whole:
            break
        low = np.where(deep, 2.0 * low - 1.0, low)
    for _ in range(120):
        middle = np.floor((low + high) / 2.0) if whole else (low + high) / 2.0
        enough = cdf(middle) >= chance
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high
