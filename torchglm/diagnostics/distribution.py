"""The distribution that a fit gives each of its rows, and responses drawn from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.among_ranks import own_seed
from torchglm.design.weights import Frequency
from torchglm.diagnostics.residuals import fitted, rows_of
from torchglm.errors import OptionError
from torchglm.inference.estimate import Estimate
from torchglm.inference.prediction.distribution import distribution
from torchglm.numerics.seeds import check_seed


def row_weights(estimate: Estimate) -> Tensor:
    """(rows of the data,) precision weights, trials included; one where a weight repeats its row; NaN where dropped."""
    w = rows_of(estimate, lambda model, block, z, w: w.clone()).cpu()
    return torch.where(torch.isnan(w), w, 1.0) if isinstance(estimate.prepared.weights, Frequency) else w


def fitted_distribution(estimate: Estimate, phi: float) -> Any:
    """The distribution of every row of the data under the fit; NaN where a row was dropped.

    Raises: what `distribution` raises.
    """
    mu = fitted(estimate).cpu().numpy()
    return distribution(estimate.family, mu, phi, row_weights(estimate).numpy())


def simulate(estimate: Estimate, phi: float, n: int, seed: int) -> pd.DataFrame:
    """`n` sets of responses drawn from the fit, a column each, with the data's index; NaN where a row was dropped.

    Scale: that of the response; a binomial's is the proportion of its trials.
    Raises: OptionError for a family that cannot be sampled, for an `n` that is no positive whole number, and a seed.
    Source: stats::simulate, with torch's random numbers.
    """
    check_sets(n)
    mu = fitted(estimate).cpu()
    w = row_weights(estimate)
    kept = torch.isfinite(mu) & (w > 0)
    generator = torch.Generator().manual_seed(own_seed(estimate.prepared.design, check_seed(seed)))
    drawn = np.full((len(mu), n), np.nan)
    for column in range(n):
        drawn[kept.numpy(), column] = estimate.family.sample(mu[kept], phi, generator, w[kept]).numpy()
    return pd.DataFrame(drawn, index=estimate.prepared.index, columns=names_of(n))


def check_sets(n: object) -> None:
    """Nothing, for a number of sets.

    Raises: OptionError.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise OptionError(f"n= is a positive whole number; got {n!r}.")


def names_of(n: int) -> list[str]:
    """Of n sets of responses."""
    return [f"sim_{k + 1}" for k in range(n)]
