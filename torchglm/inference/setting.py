"""The linear predictor of rows that a fit may not have seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.design.columns import Columns

STRETCH = 65_536  # rows gathered at a time


@dataclass(frozen=True)
class Setting:
    """The columns and the offset of some rows, as their variables are set."""

    columns: Columns
    offset: Tensor | None
    rows: int

    def eta(self, theta: Tensor) -> Tensor:
        """(rows,) the linear predictor; theta in the formula's order, without NaN."""
        raw = self.columns.expand(theta[self.columns.positions])
        out = torch.zeros(self.rows, dtype=torch.float64) if self.offset is None else self.offset.clone()
        scratch = torch.empty(self.columns.dense.width, min(STRETCH, self.rows), dtype=torch.float64)
        for start in range(0, self.rows, STRETCH):
            stop = min(start + STRETCH, self.rows)
            out[start:stop] += self.columns.rows(start, stop, scratch).matvec(raw)
        return out
