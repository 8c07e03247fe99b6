"""Block: one stretch of rows, with everything a row likelihood needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from torchglm.design.columns import RowColumns, grouped
from torchglm.numerics.products import Precision


@dataclass(frozen=True)
class Block:
    """Rows start..start+rows of the data: one RowColumns and one offset a linear predictor.

    Shapes: y, weight, offsets (rows,) float64, or y (rows, k) of several columns; None stands for weights of one,
    offsets of zero.
    """

    start: int
    y: Tensor
    columns: tuple[RowColumns, ...]
    offsets: tuple[Tensor | None, ...]
    weight: Tensor | None
    scratch: tuple[Tensor, ...]  # per predictor (dense width, rows): room for a weighted copy

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The predictors, those that share their columns together."""
        return grouped([columns.whole for columns in self.columns])

    def in_precision(self, precision: Precision) -> Block:
        """The same rows, whose Gram matrices are taken in that precision."""
        if precision == "float64":
            return self
        return replace(self, columns=tuple(replace(columns, precision=precision) for columns in self.columns))

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.y)
