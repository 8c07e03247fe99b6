"""Wald statistics: the distribution that they refer to, standard errors by the delta method, and tables of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.record import Record


@dataclass(frozen=True)
class Reference:
    """The distribution of a statistic: t with `df` degrees of freedom, one number or one each; infinite: the normal."""

    df: Any

    def p_values(self, statistic: Any) -> Any:
        """Two-sided."""
        from scipy import special

        size = -np.abs(np.asarray(statistic, dtype=np.float64))
        return 2.0 * (special.ndtr(size) if self._is_normal else special.stdtr(self.df, size))

    def quantile(self, share: float) -> Any:
        """What a statistic stays below with chance `share`."""
        from scipy import special

        return special.ndtri(share) if self._is_normal else special.stdtrit(self.df, share)

    @property
    def _is_normal(self) -> bool:
        return np.ndim(self.df) == 0 and bool(np.isinf(self.df))


NORMAL = Reference(np.inf)


def check_level(level: float) -> None:
    """Nothing, for the level of an interval.

    Raises: OptionError for one outside of (0, 1).
    """
    if isinstance(level, str) or level is None or not 0.0 < level < 1.0:
        raise OptionError(f"level= lies between 0 and 1, as 0.95; got {level!r}.")


def quantile(record: Record, level: float) -> float:
    """The two-sided quantile of a `level` interval: of the t or normal that tests refer to.

    Raises: OptionError for a level outside of (0, 1).
    """
    check_level(level)
    return float(Reference(record.reference_df).quantile(0.5 + level / 2.0))


def quantiles(record: Record, level: float) -> Tensor:
    """(p,) the same of each coefficient, which may have degrees of freedom of its own.

    Raises: OptionError for a level outside of (0, 1).
    """
    check_level(level)
    each = _of_coefficients(record).quantile(0.5 + level / 2.0)
    return torch.from_numpy(np.broadcast_to(each, (len(record.names),)).copy())


def p_values(record: Record, statistic: Any) -> Any:
    """Two-sided p-values of Wald statistics."""
    return Reference(record.reference_df).p_values(statistic)


def coefficient_p_values(record: Record, statistic: Any) -> Any:
    """Those of the coefficients' own statistics (p,)."""
    return _of_coefficients(record).p_values(statistic)


def _of_coefficients(record: Record) -> Reference:
    dfs = record.facts.coefficient_dfs
    return Reference(record.reference_df if dfs is None else np.array(dfs))


def statistics(gap: np.ndarray, error: np.ndarray) -> np.ndarray:
    """gap / error; NaN where the error is zero: rounding over nothing would look like proof."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0.0, np.nan, gap / error)


def errors_of(derivatives: Tensor, covariance: Tensor) -> Tensor:
    """(m,) standard errors by the delta method: sqrt(g' V g) of each row g of (m, p) derivatives."""
    return ((derivatives @ covariance) * derivatives).sum(1).clamp(min=0.0).sqrt()


def wald_columns(record: Record, estimate: Any, error: Any, level: float, null: Any = 0.0) -> dict[str, Any]:
    """The columns estimate, std.error, statistic, p.value, conf.low, conf.high; `statistic` tests against `null`.

    Raises: OptionError for a level outside of (0, 1).
    """
    estimate, error, null = np.asarray(estimate), np.asarray(error), np.asarray(null)
    half = quantile(record, level) * error
    statistic = statistics(estimate - null, error)
    return {
        "estimate": estimate,
        "std.error": error,
        "statistic": statistic,
        "p.value": p_values(record, statistic),
        "conf.low": estimate - half,
        "conf.high": estimate + half,
    }
