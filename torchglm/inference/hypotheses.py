"""Tests and intervals of linear functions of the coefficients: L theta = r."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.terms import plain
from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.inference.record import Record


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


def constraints(record: Record, hypothesis: Any) -> tuple[Tensor, Tensor]:
    """L (m, p) and r (m,) of a hypothesis in text ("x1 = x2, x3 = 0"), or a matrix (m, p) or vector (p,) with r = 0.

    Raises: UnknownNameError naming what is no coefficient; OptionError for another shape.
    """
    names, p = list(record.names), len(record.names)
    if isinstance(hypothesis, (str, list)) and (
        isinstance(hypothesis, str) or all(isinstance(h, str) for h in hypothesis)
    ):
        return _parsed(names, hypothesis if isinstance(hypothesis, str) else ", ".join(hypothesis))
    matrix = torch.as_tensor(np.asarray(hypothesis, dtype=np.float64))
    matrix = matrix[None, :] if matrix.dim() == 1 else matrix
    if matrix.dim() != 2 or matrix.shape[1] != p:
        raise OptionError(f"A hypothesis matrix has one column a coefficient, {p}; got shape {tuple(matrix.shape)}.")
    return matrix, torch.zeros(len(matrix), dtype=torch.float64)


def _parsed(names: list[str], text: str) -> tuple[Tensor, Tensor]:
    from formulaic.utils.constraints import LinearConstraints

    if text in names:
        text = f"`{text}` = 0"
    quoted = text if "`" in text else _quote(text, names)
    try:
        parsed = LinearConstraints.from_spec(quoted, variable_names=names)
    except Exception as error:
        raise UnknownNameError(_unknown(text, names, error)) from error
    matrix = torch.tensor(np.asarray(parsed.constraint_matrix, dtype=np.float64))
    return matrix, torch.tensor(np.asarray(parsed.constraint_values, dtype=np.float64))


def _quote(text: str, names: list[str]) -> str:
    """The names that are no plain words, quoted with backticks as formulaic's grammar asks."""
    for name in sorted((n for n in names if not n.isidentifier()), key=len, reverse=True):
        text = text.replace(name, f"`{name}`") if name in text else text
    return text


def _unknown(text: str, names: list[str], error: Exception) -> str:
    words = [
        w.strip("` ") for part in text.replace("=", ",").replace("+", ",").replace("-", ",").split(",") for w in [part]
    ]
    strange = [w for w in words if w and w not in names and not _is_number(w)]
    asked = repr(strange[0]) if strange else repr(text)
    hint = did_you_mean(strange[0], names) if strange else plain(error)
    return f"The hypothesis {text!r} cannot be read: {asked} is no coefficient. {hint}"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def wald_test(record: Record, hypothesis: Any) -> WaldTest:
    """The joint test of a hypothesis: (L theta - r)' (L V L')^-1 (L theta - r).

    Raises: what `constraints` raises; OptionError where restrictions repeat each other or name an aliased coefficient.
    """
    from scipy import special

    matrix, target = constraints(record, hypothesis)
    used = (matrix != 0).any(0)
    covariance = record.numbers.covariance
    if bool(torch.isnan(record.numbers.theta[used]).any()):
        raise OptionError(f"The hypothesis {hypothesis!r} names a coefficient that is not defined (aliased).")
    gap = matrix[:, used] @ record.numbers.theta[used] - target
    spread = matrix[:, used] @ covariance[used][:, used] @ matrix[:, used].T
    if not bool(torch.isfinite(spread).all()):
        raise OptionError(
            f"The hypothesis {hypothesis!r} cannot be tested: the coefficients have no standard errors here."
        )
    if int(torch.linalg.matrix_rank(spread)) < len(matrix):
        raise OptionError(f"The restrictions of {hypothesis!r} repeat each other: {len(matrix)} were given.")
    chi2 = float(gap @ torch.linalg.solve(spread, gap))
    df = len(matrix)
    shown = hypothesis if isinstance(hypothesis, str) else f"{df} linear restriction(s)"
    if record.use_t:
        statistic, df2 = chi2 / df, record.df_resid
        return WaldTest(statistic, df, df2, float(special.fdtrc(df, df2, statistic)), shown)
    return WaldTest(chi2, df, None, float(special.chdtrc(df, chi2)), shown)


def t_test(record: Record, hypothesis: Any, level: float = 0.95) -> pd.DataFrame:
    """Each restriction by itself: estimate of L theta - r, its standard error, statistic, p and interval of L theta."""
    matrix, target = constraints(record, hypothesis)
    theta = record.numbers.theta.nan_to_num(nan=0.0)
    covariance = record.defined_covariance
    estimate = matrix @ theta
    error = ((matrix @ covariance) * matrix).sum(1).clamp(min=0.0).sqrt()
    named_alias = ((matrix != 0) & torch.isnan(record.numbers.theta)).any(1)
    estimate, error = (v.masked_fill(named_alias, math.nan) for v in (estimate, error))
    statistic = (estimate - target) / error
    q = quantile(record, level)
    return pd.DataFrame(
        {
            "estimate": estimate.numpy(),
            "std.error": error.numpy(),
            "statistic": statistic.numpy(),
            "p.value": p_values(record, statistic),
            "conf.low": (estimate - q * error).numpy(),
            "conf.high": (estimate + q * error).numpy(),
        }
    )
