"""Tests and intervals of linear functions of the coefficients: L theta = r."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.hypotheses.constraints import restrictions
from torchglm.inference.record import Record
from torchglm.inference.wald import errors_of, wald_columns

REPEATED = 1e-14  # the smallest root, for each restriction, of a spread of unit diagonal that tells restrictions apart


@dataclass(frozen=True)
class WaldTest:
    """A joint test of L theta = r: `statistic` is chi2, or F = chi2 / df where tests refer to t."""

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
    asked = restrictions(record.names, hypothesis)
    theta = record.numbers.theta
    shown = ", ".join(asked.labels)
    used = (asked.matrix != 0).any(0)
    if bool(torch.isnan(theta[used]).any()):
        raise OptionError(f"The hypothesis {shown!r} names a coefficient that is not defined (aliased).")
    matrix = asked.matrix[:, used]
    gap = matrix @ theta[used] - asked.target
    spread = matrix @ record.numbers.covariance[used][:, used] @ matrix.T
    return joint_test(record, gap, spread, shown)


def joint_test(record: Record, gap: Tensor, spread: Tensor, shown: str) -> WaldTest:
    """The Wald test that `gap` (m,), whose covariance is `spread` (m, m), is zero.

    Raises: what `squared_length` raises.
    """
    from scipy import special

    chi2, df = squared_length(gap, spread, shown), len(gap)
    if record.use_t:
        statistic, df2 = chi2 / df, record.reference_df
        return WaldTest(statistic, df, df2, float(special.fdtrc(df, df2, statistic)), shown)
    return WaldTest(chi2, df, None, float(special.chdtrc(df, chi2)), shown)


def squared_length(gap: Tensor, spread: Tensor, shown: str) -> float:
    """gap' spread^-1 gap, found where every restriction has a standard error of one: units of columns change nothing.

    Raises: OptionError for a spread that is not positive definite.
    """
    errors = spread.diagonal().sqrt()
    if not bool((torch.isfinite(errors) & (errors > 0)).all()):
        raise OptionError(f"The hypothesis {shown!r} cannot be tested: the coefficients have no standard errors here.")
    roots, directions = torch.linalg.eigh(spread / errors / errors[:, None])
    if float(roots[0]) <= REPEATED * len(gap):
        raise OptionError(
            f"The restrictions of {shown!r} repeat each other, or are more than the covariance can tell apart, as with "
            f"fewer clusters than restrictions: {len(gap)} were given."
        )
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
    estimate = matrix @ record.defined_theta
    error = errors_of(matrix, record.defined_covariance)
    named_alias = ((matrix != 0) & torch.isnan(record.numbers.theta)).any(1)
    estimate, error = (v.masked_fill(named_alias, math.nan) for v in (estimate, error))
    columns = wald_columns(record, estimate, error, level, asked.target)
    return pd.DataFrame(columns, index=pd.Index(asked.labels))
