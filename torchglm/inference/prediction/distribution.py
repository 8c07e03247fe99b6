"""The distribution of a response by its family, as scipy.stats has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from torchglm.errors import OptionError
from torchglm.families.family import Family

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
WHOLE = (*COUNTS, "binomial")


def without_distribution(family: Family) -> str:
    """Why a family has none here."""
    if family.name == "tweedie":
        return "The distribution function of the tweedie family is not computed here; fit.simulate() draws from it."
    return f"The {family.name} family has no distribution: it says only how the variance follows the mean."


def distribution(family: Family, mu: np.ndarray, phi: float, w: np.ndarray | float = 1.0) -> Any:
    """A frozen scipy.stats distribution of responses with means `mu`, dispersion phi and precision weights w.

    Of a binomial it is that of the successes in w trials.
    Raises: OptionError for a family that is no distribution, for counts with precision weights, and where phi is 0.
    """
    from scipy import stats

    if family.name not in SCIPY:
        raise OptionError(f"{without_distribution(family)} Families with one: {', '.join(SCIPY)}.")
    if phi == 0.0:
        raise OptionError("The dispersion is zero: the fit meets every response, and their distribution is a point.")
    if family.name in COUNTS and bool((np.nan_to_num(np.asarray(w), nan=1.0) != 1.0).any()):
        raise OptionError(f"A {family.name} count with precision weights has no distribution: give freq_weights=.")
    return SCIPY[family.name](stats, mu, phi / w, w, family)
