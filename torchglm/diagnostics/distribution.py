"""The distribution that a fit gives each row: scipy's, frozen at the fitted means, and responses drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.weights import Frequency
from torchglm.diagnostics.residuals import rows_of
from torchglm.errors import OptionError
from torchglm.families.family import Family
from torchglm.inference.estimate import Estimate

Frozen = Callable[[Any, np.ndarray, Any, Any, Any], Any]  # (scipy.stats, mu, phi / w, w, family)

SCIPY: dict[str, Frozen] = {
    "gaussian": lambda stats, mu, phi, w, family: stats.norm(mu, np.sqrt(phi)),
    "poisson": lambda stats, mu, phi, w, family: stats.poisson(mu),
    "binomial": lambda stats, mu, phi, w, family: stats.binom(np.round(w), mu),
    "gamma": lambda stats, mu, phi, w, family: stats.gamma(1.0 / phi, scale=phi * mu),
    "inverse_gaussian": lambda stats, mu, phi, w, family: stats.invgauss(mu * phi, scale=1.0 / phi),
    "negative_binomial": lambda stats, mu, phi, w, family: stats.nbinom(
        family.theta, family.theta / (family.theta + mu)
    ),
}
COUNTS = ("poisson", "negative_binomial")


def distribution(family: Family, mu: np.ndarray, phi: float, w: np.ndarray | float) -> Any:
    """A frozen scipy.stats distribution of responses with means `mu` (rows,), dispersion phi and precision weights w.

    Of a binomial it is that of the successes in w trials.
    Raises: OptionError for a family that is no distribution, and for counts with precision weights.
    """
    from scipy import stats

    if family.name not in SCIPY:
        raise OptionError(
            f"The {family.name} family has no distribution here: it says how the variance follows the mean. "
            f"Those with one: {', '.join(SCIPY)}."
        )
    if family.name in COUNTS and bool((np.nan_to_num(np.asarray(w), nan=1.0) != 1.0).any()):
        raise OptionError(f"A {family.name} count with precision weights has no distribution: give freq_weights=.")
    return SCIPY[family.name](stats, mu, phi / w, w, family)


def row_weights(estimate: Estimate) -> Tensor:
    """(rows of the data,) precision weights, trials included; one where a weight repeats its row; NaN where dropped."""
    w = rows_of(estimate, lambda model, block, z, w: w.clone()).cpu()
    return torch.where(torch.isnan(w), w, 1.0) if isinstance(estimate.prepared.weights, Frequency) else w


def fitted_distribution(estimate: Estimate, phi: float) -> Any:
    """The distribution of every row of the data under the fit; NaN where a row was dropped.

    Raises: what `distribution` raises.
    """
    mu = rows_of(estimate, lambda model, block, z, w: model.mean(z)).cpu().numpy()
    return distribution(estimate.family, mu, phi, row_weights(estimate).numpy())


def simulate(estimate: Estimate, phi: float, n: int, seed: int) -> pd.DataFrame:
    """`n` sets of responses drawn from the fit, a column each, with the data's index; NaN where a row was dropped.

    Scale: that of the response; a binomial's is the proportion of its trials.
    Raises: OptionError for a family that cannot be sampled, and for an `n` that is no positive whole number.
    Source: stats::simulate, with torch's random numbers.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise OptionError(f"n= is a positive whole number; got {n!r}.")
    mu = rows_of(estimate, lambda model, block, z, w: model.mean(z)).cpu()
    w = row_weights(estimate)
    kept = torch.isfinite(mu) & (w > 0)
    generator = torch.Generator().manual_seed(seed)
    drawn = np.full((len(mu), n), np.nan)
    for column in range(n):
        drawn[kept.numpy(), column] = estimate.family.sample(mu[kept], phi, generator, w[kept]).numpy()
    names = [f"sim_{k + 1}" for k in range(n)]
    return pd.DataFrame(drawn, index=estimate.prepared.index, columns=names)
