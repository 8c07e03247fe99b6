"""Sums of the rows of each cell, added in an order that never changes.

On a GPU `bincount` and `index_add` add by atomics: in another order, and so to other last digits, at every call. Here
rows are sorted by cell once; a pass gathers them into short runs of one cell and sums each run, then the runs of a
cell in runs, until one number a cell is left. Short runs keep rounding small too: the depth of the sum is logarithmic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SHORTEST, LONGEST = 8, 64  # entries of a run: its last one is padded with zeros


@dataclass(frozen=True)
class Segments:
    """Which rows each cell sums. `levels` hold for each run the places it gathers; the place past the end is a zero.

    Shapes: a level is (runs, entries of a run) int32; the runs of the last one are the cells.
    """

    levels: tuple[Tensor, ...]

    @staticmethod
    def of(codes: Tensor, cells: int) -> Segments:
        """Those of codes (rows,), each 0 .. cells - 1."""
        order = torch.argsort(codes, stable=True)
        counts = torch.bincount(codes, minlength=cells)
        levels = []
        while True:
            level, counts = _runs(order, counts)
            levels.append(level)
            if len(level) == cells:
                return Segments(tuple(levels))
            order = torch.arange(len(level), device=codes.device)

    def sums(self, v: Tensor) -> Tensor:
        """(..., cells) the sums of v (..., rows)."""
        for level in self.levels:
            padded = torch.cat([v, v.new_zeros(*v.shape[:-1], 1)], dim=-1)
            v = padded.index_select(-1, level.view(-1)).unflatten(-1, level.shape).sum(-1)
        return v


def cell_sums(codes: Tensor, cells: int) -> Callable[[Tensor], Tensor]:
    """What gives (cells,) the sums of v (rows,) over the rows of each cell, codes (rows,) 0 .. cells - 1."""
    if codes.device.type == "cpu":
        return lambda v: torch.bincount(codes, v, cells)
    return Segments.of(codes, cells).sums


def _runs(order: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """The runs of `order` (m,), sorted by cell with `counts` (cells,) entries each, and how many each cell has."""
    m, cells = len(order), len(counts)
    mean = m // max(int((counts > 0).sum()), 1)
    size = min(max(1 << mean.bit_length(), SHORTEST), LONGEST)
    runs = ((counts + size - 1) // size).clamp(min=1)  # a cell without rows sums a run of zeros
    first, begin = runs.cumsum(0) - runs, counts.cumsum(0) - counts
    cell = torch.repeat_interleave(torch.arange(cells, device=order.device), counts, output_size=m)
    inside = torch.arange(m, device=order.device) - begin[cell]
    level = torch.full((int(runs.sum()), size), m, dtype=torch.int32, device=order.device)
    level[first[cell] + inside // size, inside % size] = order.to(torch.int32)
    return level, runs
