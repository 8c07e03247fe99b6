"""Adjustments for many tests at once: p-values, and the quantiles of simultaneous intervals.

none        each test by itself
bonferroni  p m
sidak       1 - (1 - p)^m
holm        step-down Bonferroni (Holm 1979)
fdr         false discovery rate, step-up (Benjamini & Hochberg 1995)
tukey       all pairs of k estimates, by the studentized range

Intervals have no step-down form: under holm and fdr they are Bonferroni's, as in R's emmeans.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from torchglm.errors import OptionError, did_you_mean
from torchglm.inference.wald import Reference


@dataclass(frozen=True)
class Simultaneous:
    """The tests that are adjusted together: how many, and of how many estimates all pairs are compared, or 0."""

    tests: int
    estimates: int
    reference: Reference


def _holm(p: np.ndarray, m: int) -> np.ndarray:
    return np.maximum.accumulate(p * np.arange(m, m - len(p), -1))


def _fdr(p: np.ndarray, m: int) -> np.ndarray:
    return np.minimum.accumulate((p * m / np.arange(1, len(p) + 1))[::-1])[::-1]


SORTED: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "none": lambda p, m: p,
    "bonferroni": lambda p, m: p * m,
    "sidak": lambda p, m: -np.expm1(m * np.log1p(-p)),
    "holm": _holm,
    "fdr": _fdr,
}
METHODS = (*SORTED, "tukey")


def check_method(method: str) -> None:
    """Nothing, for a method that exists.

    Raises: OptionError.
    """
    if method not in METHODS:
        raise OptionError(f"There is no adjustment {method!r}. {did_you_mean(str(method), METHODS)}")


def adjusted(statistic: np.ndarray, method: str, joint: Simultaneous) -> np.ndarray:
    """The adjusted two-sided p-values; NaN stays, and counts as a test, as in emmeans."""
    if method == "tukey":
        return _tukey(statistic, joint)
    p = joint.reference.p_values(statistic)
    out, defined = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = defined[np.argsort(p[defined], kind="stable")]
    with np.errstate(divide="ignore"):  # sidak of p = 1
        out[order] = np.minimum(SORTED[method](p[order], joint.tests), 1.0)
    return out


def _tukey(statistic: np.ndarray, joint: Simultaneous) -> np.ndarray:
    from scipy import stats

    size = np.sqrt(2.0) * np.abs(statistic)
    out = np.full(len(size), np.nan)
    for place in np.flatnonzero(~np.isnan(size)):
        out[place] = stats.studentized_range.sf(size[place], joint.estimates, joint.reference.df)
    return out


def critical(level: float, method: str, joint: Simultaneous) -> float:
    """What |estimate| / se is compared with, so that all intervals hold together with chance `level`."""
    error, m = 1.0 - level, max(joint.tests, 1)
    if method == "none":
        return float(joint.reference.quantile(1.0 - error / 2.0))
    if method == "tukey":
        from scipy import stats

        return float(stats.studentized_range.ppf(level, joint.estimates, joint.reference.df)) / np.sqrt(2.0)
    each = -np.expm1(np.log1p(-error) / m) if method == "sidak" else error / m
    return float(joint.reference.quantile(1.0 - each / 2.0))
