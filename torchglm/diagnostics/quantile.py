"""Randomized quantile residuals: exactly standard normal under a true model, discrete responses included.

A response is carried through its own distribution to the normal one: r = Phi^-1(u), u drawn evenly from
[F(y-), F(y)]. Where F is continuous there is nothing to draw.

Source: Dunn & Smyth (1996); statmod::qresiduals, with phi in place of its own dispersion estimate.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from torchglm.design.weights import Frequency
from torchglm.diagnostics.residuals import rows_of
from torchglm.errors import OptionError
from torchglm.inference.estimate import Estimate
from torchglm.inference.prediction.interval import DISTRIBUTIONS, WHOLE


def quantile_residuals(estimate: Estimate, phi: float, seed: int) -> Tensor:
    """(rows of the data,) residuals, NaN where a row was dropped. The same seed gives the same numbers.

    Raises: OptionError for a family that is no distribution, and for precision weights of a count, which is none.
    """
    from scipy import special

    family = estimate.family
    if family.name not in DISTRIBUTIONS:
        raise OptionError(f"Quantile residuals need a distribution; the {family.name} family has none.")
    y = rows_of(estimate, lambda model, block, z, w: block.y).cpu().numpy()
    mu = rows_of(estimate, lambda model, block, z, w: model.mean(z)).cpu().numpy()
    w = rows_of(estimate, lambda model, block, z, w: w.clone()).cpu().numpy()
    if isinstance(estimate.prepared.weights, Frequency):
        w = np.where(np.isnan(w), w, 1.0)
    if family.name in ("poisson", "negative_binomial") and bool((w[~np.isnan(w)] != 1.0).any()):
        raise OptionError(f"A {family.name} count with precision weights has no distribution: give freq_weights=.")
    if family.name == "binomial":
        successes = np.round(w * y)
        below, at = (binomial_cdf(k, w, mu) for k in (successes - 1.0, successes))
    else:
        cdf = DISTRIBUTIONS[family.name]
        at = cdf(y, mu, phi / w, family)  # type: ignore[arg-type]
        below = np.where(y >= 1.0, cdf(np.maximum(y - 1.0, 0.0), mu, phi, family), 0.0) if family.name in WHOLE else at
    drawn = below + np.random.default_rng(seed).random(len(y)) * (at - below)
    return torch.from_numpy(special.ndtri(drawn))


def binomial_cdf(k: np.ndarray, trials: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """P(successes <= k), by the regularised incomplete beta function."""
    from scipy import special

    inside = special.betainc(np.where(k < trials, trials - k, 1.0), np.maximum(k, 0.0) + 1.0, 1.0 - chance)
    return np.where(k < 0, 0.0, np.where(k >= trials, 1.0, inside))
