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
from torchglm.inference.prediction.distribution import SCIPY, WHOLE, distribution, without_distribution
from torchglm.inference.record import Record
from torchglm.inference.wald import quantile

NODES = 21
NEGLIGIBLE = 1e-6  # the chance of an eta beyond the domain that is left out


def prediction_interval(record: Record, eta: Tensor, se: Tensor, level: float) -> tuple[Tensor, Tensor]:
    """(rows,) lower and upper ends of the interval that holds a new response with chance `level`.

    Scale: response; a new row has weight one, and a binomial one trial.
    Raises: OptionError for a family that is no distribution.
    """
    family, phi = record.family, record.numbers.phi
    if family.name not in SCIPY:
        raise OptionError(
            f'A prediction interval needs a distribution. {without_distribution(family)} Ask for interval="confidence".'
        )
    if family.name == "gaussian" and family.link.name == "identity":
        half = quantile(record, level) * (phi + se.square()).sqrt()
        return eta - half, eta + half
    mu, share = _mixture(family, eta, se)
    law = distribution(family, mu, phi)

    def mixture(y: Any) -> Any:
        return (law.cdf(y[:, None]) * share).sum(1)

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
        if ((middle == low) | (middle == high)).all():
            break
        if not ((low < middle) & (middle < high)).any():
            break
        enough = cdf(middle) >= chance
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high
