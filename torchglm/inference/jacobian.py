"""Derivatives of row values in theta, kept as columns and factors, and what the delta method needs of them.

A value f_i(theta) of row i that depends on theta through linear predictors eta_k = X_k theta + offset has

    d f_i / d theta = sum_k a_k[i] X_k[i, :]         a_k = d f / d eta_k

so that its average over rows is sum_k X_k' (w a_k) / sum w: one product a setting, and no matrix of all rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.design.columns import Columns, RowColumns
from torchglm.inference.setting import STRETCH, Setting
from torchglm.inference.wald import errors_of

LARGEST_MATRIX = 4_000_000  # entries of the rows written out at a time


@dataclass(frozen=True)
class Groups:
    """The group of each row: codes (rows,) from 0 to count - 1; None where there is one."""

    codes: Tensor | None = None
    count: int = 1

    def sum(self, values: Tensor) -> Tensor:
        """(count,) the sum of (rows,) values over each group."""
        if self.codes is None:
            return values.sum().view(1)
        return torch.bincount(self.codes, values, self.count)


@dataclass(frozen=True)
class Jacobian:
    """The derivatives of (rows,) values in theta: sum_k factors[k][i] * columns[k][i, :]. Formula's order."""

    columns: tuple[Columns, ...]
    factors: tuple[Tensor, ...]
    width: int

    def averages(self, weights: Tensor | None, groups: Groups) -> Tensor:
        """(groups, p) the average over the rows of each group."""
        out = torch.zeros(groups.count, self.width, dtype=torch.float64)
        for columns, factor in zip(self.columns, self.factors, strict=True):
            weighted = factor if weights is None else factor * weights
            if groups.codes is None:
                out[0, columns.positions] += _product(columns, weighted)
            else:
                out[:, columns.positions] += _products(columns, weighted, groups)
        total = groups.sum(torch.ones_like(self.factors[0]) if weights is None else weights)
        return out / total[:, None]

    def errors(self, covariance: Tensor) -> Tensor:
        """(rows,) standard errors: sqrt(g' V g) of each row's derivative g."""
        out = torch.empty(len(self.factors[0]), dtype=torch.float64)
        for start, stop in self._stretches():
            out[start:stop] = errors_of(self._written(start, stop), covariance)
        return out

    def combined(self, weights: Tensor) -> Tensor:
        """(m, p) the derivatives of combinations of the values: `weights` (m, rows)."""
        out = torch.zeros(len(weights), self.width, dtype=torch.float64)
        for start, stop in self._stretches():
            out += weights[:, start:stop] @ self._written(start, stop)
        return out

    def _stretches(self) -> Iterator[tuple[int, int]]:
        rows, size = len(self.factors[0]), max(1, LARGEST_MATRIX // max(self.width, 1))
        yield from ((start, min(start + size, rows)) for start in range(0, rows, size))

    def _written(self, start: int, stop: int) -> Tensor:
        """(rows, p) the derivatives of a stretch."""
        out = torch.zeros(stop - start, self.width, dtype=torch.float64)
        for columns, factor in zip(self.columns, self.factors, strict=True):
            out[:, columns.positions] += _stretch(columns, start, stop).model_matrix() * factor[start:stop, None]
        return out


def eta_errors(setting: Setting, covariance: Tensor) -> Tensor:
    """(rows,) standard errors of eta."""
    ones = torch.ones(setting.rows, dtype=torch.float64)
    return Jacobian((setting.columns,), (ones,), len(covariance)).errors(covariance)


def _stretch(columns: Columns, start: int, stop: int) -> RowColumns:
    return columns.rows(start, stop, torch.empty(columns.dense.width, stop - start, dtype=torch.float64))


def _product(columns: Columns, v: Tensor) -> Tensor:
    """X' v, inner order."""
    raw = torch.zeros(sum(columns.raw_widths), dtype=torch.float64)
    scratch = torch.empty(columns.dense.width, min(STRETCH, len(v)), dtype=torch.float64)
    for start in range(0, len(v), STRETCH):
        stop = min(start + STRETCH, len(v))
        raw += columns.rows(start, stop, scratch).rmatvec(v[start:stop])
    return columns.collapse(raw)


def _products(columns: Columns, v: Tensor, groups: Groups) -> Tensor:
    """(groups, width) X' v over the rows of each group."""
    assert groups.codes is not None
    out = torch.zeros(groups.count, columns.width, dtype=torch.float64)
    size = max(1, LARGEST_MATRIX // max(columns.width, 1))
    for start in range(0, len(v), size):
        stop = min(start + size, len(v))
        rows = _stretch(columns, start, stop).model_matrix() * v[start:stop, None]
        out.index_add_(0, groups.codes[start:stop], rows)
    return out
