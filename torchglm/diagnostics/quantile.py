"""Randomized quantile residuals: exactly standard normal under a true model, discrete responses included.

A response is carried through its own distribution to the normal one: r = Phi^-1(u), u drawn evenly from
[F(y-), F(y)]. Where F is continuous there is nothing to draw.

Source: Dunn & Smyth (1996); statmod::qresiduals, with phi in place of its own dispersion estimate.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from torchglm.diagnostics.distribution import fitted_distribution, row_weights
from torchglm.diagnostics.residuals import rows_of
from torchglm.inference.estimate import Estimate
from torchglm.inference.prediction.distribution import WHOLE
from torchglm.numerics.seeds import check_seed


def quantile_residuals(estimate: Estimate, phi: float, seed: int) -> Tensor:
    """(rows of the data,) residuals, NaN where a row was dropped. The same seed gives the same numbers.

    Raises: OptionError for a family that is no distribution, for precision weights of a count, and on phi = 0.
    """
    law, name = fitted_distribution(estimate, phi), estimate.family.name
    y = rows_of(estimate, lambda model, block, z, w: block.y).cpu().numpy()
    if name == "binomial":
        y = np.round(row_weights(estimate).numpy() * y)
    at = law.cdf(y)
    below = law.cdf(y - 1.0) if name in WHOLE else at
    return torch.special.ndtri(torch.from_numpy(drawn_between(below, at, seed)))


def drawn_between(below: np.ndarray, at: np.ndarray, seed: int) -> np.ndarray:
    """(rows,) a number drawn evenly between each two. The same seed gives the same numbers."""
    return below + np.random.default_rng(check_seed(seed)).random(len(at)) * (at - below)
