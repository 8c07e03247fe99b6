"""A covariance of the user's own: a matrix, or a function that returns one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.inference.covariance.kind import CovarianceKind
from torchglm.inference.estimate import Estimate
from torchglm.inference.record import Record

ASYMMETRY = 1e-8  # of the standard errors
NEGATIVE = -1e-8  # a correlation matrix of 100 rounded rows has roots to -1e-14


@dataclass(frozen=True)
class Given(CovarianceKind):
    """A matrix (p, p) in the formula's order, NaN where aliased."""

    covariance: Tensor
    label: str

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return self.covariance

    @property
    def note(self) -> str:
        return self.label


def is_given(covariance: Any) -> bool:
    """Whether the argument is a matrix, or a function that returns one, rather than a kind."""
    if isinstance(covariance, str | type | CovarianceKind) or covariance is None:
        return False
    return callable(covariance) or isinstance(covariance, np.ndarray | pd.DataFrame | Tensor | list | tuple)


def label_of(covariance: Any) -> str:
    """A matrix or function as the summary names it."""
    if not callable(covariance):
        return "a matrix given"
    is_named = isinstance(covariance, FunctionType) and covariance.__name__ != "<lambda>"
    return f"given by {covariance.__name__}()" if is_named else "given by a function"


def read_matrix(given: Any, record: Record) -> Tensor:
    """A covariance (p, p) in the formula's order, NaN where aliased.

    A DataFrame is put in order by its labels, and may leave aliased coefficients out.
    Raises: UnknownNameError for a label that is no coefficient; OptionError for another shape, for values that are not
    finite, and for a matrix that is not symmetric and positive semi-definite.
    """
    names, aliased = record.names, torch.isnan(record.numbers.theta)
    if isinstance(given, pd.DataFrame):
        given = _in_order(given, names, aliased)
    try:
        values = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
        matrix = torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise OptionError(f"A covariance given is a matrix of numbers; got {type(given).__name__}.") from error
    p = len(names)
    if matrix.shape != (p, p):
        raise OptionError(
            f"A covariance given is ({p}, {p}), a row and column for each of {list(names[:6])}; "
            f"got shape {tuple(matrix.shape)}."
        )
    matrix[aliased, :] = math.nan
    matrix[:, aliased] = math.nan
    _check(matrix[~aliased][:, ~aliased], [n for n, gone in zip(names, aliased.tolist(), strict=True) if not gone])
    return matrix


def _in_order(frame: pd.DataFrame, names: tuple[str, ...], aliased: Tensor) -> pd.DataFrame:
    needed = [n for n, gone in zip(names, aliased.tolist(), strict=True) if not gone]
    for side, labels in (("row", frame.index), ("column", frame.columns)):
        for label in labels:
            if label not in names:
                raise UnknownNameError(
                    f"The {side} {label!r} of the covariance is no coefficient. {did_you_mean(str(label), names)}"
                )
        missing = [name for name in needed if name not in labels]
        if missing or not labels.is_unique:
            raise OptionError(f"The covariance has no {side} (or two) for {(missing or list(labels))[0]!r}.")
    return frame.reindex(index=list(names), columns=list(names))


def _check(matrix: Tensor, names: list[str]) -> None:
    bad = torch.nonzero(~torch.isfinite(matrix))
    if len(bad):
        raise OptionError(f"The covariance given has {float(matrix[tuple(bad[0])])} at {names[int(bad[0, 0])]!r}.")
    size = matrix.diagonal().clamp(min=0.0).sqrt()
    scale = torch.where(size > 0, size, 1.0)
    correlation = matrix / scale[:, None] / scale[None, :]
    gap = (correlation - correlation.T).abs()
    if len(gap) and float(gap.max()) > ASYMMETRY:
        i, j = divmod(int(gap.argmax()), len(gap))
        raise OptionError(
            f"The covariance given is not symmetric: {float(matrix[i, j]):g} at ({names[i]}, {names[j]}) and "
            f"{float(matrix[j, i]):g} at ({names[j]}, {names[i]})."
        )
    if len(gap) and float(torch.linalg.eigvalsh(correlation)[0]) < NEGATIVE * len(gap):
        raise OptionError("The covariance given is not positive semi-definite: some combination has variance < 0.")
