"""Tests and intervals of linear functions of the coefficients: L theta = r."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.constraints import restrictions
from torchglm.inference.record import Record

REPEATED = 1e-14  # the smallest root, for each restriction, of a spread of unit diagonal that tells restrictions apart


def quantile(record: Record, level: float) -> float:
    """The two-sided quantile of a `level` interval: of t with df_resid where phi is estimated, else normal.

    Raises: OptionError for a level outside of (0, 1).
    """
    from scipy import special

    if not 0.0 < level < 1.0:
        raise OptionError(f"level= lies between 0 and 1, as 0.95; got {level!r}.")
    upper = 0.5 + level / 2.0
    return float(special.stdtrit(record.df_resid, upper) if record.use_t else special.ndtri(upper))


def p_values(record: Record, statistic: Any) -> Any:
    """Two-sided p-values of Wald statistics."""
    from scipy import special

    size = np.abs(np.asarray(statistic, dtype=np.float64))
    return 2.0 * (special.stdtr(record.df_resid, -size) if record.use_t else special.ndtr(-size))


@dataclass(frozen=True)
class WaldTest:
    """A joint test of L theta = r: `statistic` is chi2, or F = chi2 / df where phi is estimated."""

    statistic: float
    df: int
    df_denominator: float | None
    pvalue: float
    hypothesis: str

    def __str__(self) -> str:
        if self.df_denominator is None:
            what = f"chi2({self.df}) = {self.statistic:.4f}"
        else:
            what = f"F({self.df}, {self.df_denominator:g}) = {self.statistic:.4f}"
        return f"Wald test of {self.hypothesis}: {what}, p = {self.pvalue:.4g}"


def wald_test(record: Record, hypothesis: Any) -> WaldTest:
    """The joint test of a hypothesis: (L theta - r)' (L V L')^-1 (L theta - r).

    Raises: what `restrictions` raises; OptionError where restrictions repeat each other or name an aliased coefficient,
    and where there are no standard errors.
    """
    from scipy import special

    asked = restrictions(record.names, hypothesis)
    theta, df = record.numbers.theta, len(asked.labels)
    shown = ", ".join(asked.labels)
    used = (asked.matrix != 0).any(0)
    if bool(torch.isnan(theta[used]).any()):
        raise OptionError(f"The hypothesis {shown!r} names a coefficient that is not defined (aliased).")
    matrix = asked.matrix[:, used]
    gap = matrix @ theta[used] - asked.target
    spread = matrix @ record.numbers.covariance[used][:, used] @ matrix.T
    chi2 = _squared_length(gap, spread, shown)
    if record.use_t:
        statistic, df2 = chi2 / df, record.df_resid
        return WaldTest(statistic, df, df2, float(special.fdtrc(df, df2, statistic)), shown)
    return WaldTest(chi2, df, None, float(special.chdtrc(df, chi2)), shown)


def _squared_length(gap: Tensor, spread: Tensor, shown: str) -> float:
    """gap' spread^-1 gap, found where every restriction has a standard error of one: units of columns change nothing.

    Raises: OptionError for a spread that is not positive definite.
    """
    errors = spread.diagonal().sqrt()
    if not bool((torch.isfinite(errors) & (errors > 0)).all()):
        raise OptionError(f"The hypothesis {shown!r} cannot be tested: the coefficients have no standard errors here.")
    roots, directions = torch.linalg.eigh(spread / errors / errors[:, None])
    if float(roots[0]) <= REPEATED * len(gap):
        raise OptionError(f"The restrictions of {shown!r} repeat each other: {len(gap)} were given.")
    return float(((directions.T @ (gap / errors)).square() / roots).sum())


def t_test(record: Record, hypothesis: Any, level: float = 0.95) -> pd.DataFrame:
    """Each restriction by itself, a row labelled by it.

    estimate            L theta
    std.error           its standard error; NaN with an aliased coefficient
    statistic, p.value  of L theta = r: (L theta - r) / std.error
    conf.low, conf.high interval of L theta

    Raises: what `restrictions` raises; OptionError for a level outside of (0, 1).
    """
    asked = restrictions(record.names, hypothesis)
    matrix = asked.matrix
    estimate = matrix @ record.numbers.theta.nan_to_num(nan=0.0)
    error = ((matrix @ record.defined_covariance) * matrix).sum(1).clamp(min=0.0).sqrt()
    named_alias = ((matrix != 0) & torch.isnan(record.numbers.theta)).any(1)
    estimate, error = (v.masked_fill(named_alias, math.nan) for v in (estimate, error))
    statistic = (estimate - asked.target) / error
    q = quantile(record, level)
    return pd.DataFrame(
        {
            "estimate": estimate.numpy(),
            "std.error": error.numpy(),
            "statistic": statistic.numpy(),
            "p.value": p_values(record, statistic),
            "conf.low": (estimate - q * error).numpy(),
            "conf.high": (estimate + q * error).numpy(),
        },
        index=pd.Index(asked.labels),
    )
