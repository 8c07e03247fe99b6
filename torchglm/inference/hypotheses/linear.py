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
from torchglm.inference.hypotheses.constraints import restrictions
from torchglm.inference.record import Record

REPEATED = 1e-14  # the smallest root, for each restriction, of a spread of unit diagonal that tells restrictions apart


def quantile(record: Record, level: float) -> float:
    """The two-sided quantile of a `level` interval: of the t or normal that tests refer to.

    Raises: OptionError for a level outside of (0, 1).
    """
    return float(_quantile(record.reference_df, level))


def quantiles(record: Record, level: float) -> Tensor:
    """(p,) the same of each coefficient, which may have degrees of freedom of its own.

    Raises: OptionError for a level outside of (0, 1).
    """
    each = _quantile(_dfs(record), level)
    return torch.from_numpy(np.broadcast_to(each, (len(record.names),)).copy())


def p_values(record: Record, statistic: Any) -> Any:
    """Two-sided p-values of Wald statistics."""
    return _two_sided(record.reference_df, statistic)


def coefficient_p_values(record: Record, statistic: Any) -> Any:
    """Those of the coefficients' own statistics (p,)."""
    return _two_sided(_dfs(record), statistic)


def _dfs(record: Record) -> Any:
    dfs = record.facts.coefficient_dfs
    return record.reference_df if dfs is None else np.array(dfs)


def _quantile(df: Any, level: float) -> Any:
    from scipy import special

    if not 0.0 < level < 1.0:
        raise OptionError(f"level= lies between 0 and 1, as 0.95; got {level!r}.")
    upper = 0.5 + level / 2.0
    return special.ndtri(upper) if np.ndim(df) == 0 and np.isinf(df) else special.stdtrit(df, upper)


def _two_sided(df: Any, statistic: Any) -> Any:
    from scipy import special

    size = np.abs(np.asarray(statistic, dtype=np.float64))
    return 2.0 * (special.ndtr(-size) if np.ndim(df) == 0 and np.isinf(df) else special.stdtr(df, -size))


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
