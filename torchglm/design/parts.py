"""The kinds of columns, and their index formulas. No part ever holds a one-hot matrix.

Constant    x[i] = 1                              no data
Dense       x[i, j] = product_k source[j][k][i] - center[j]
Coded       x[i, c] = values[i] * [codes[i] == c]      integer codes, cells c = 0 .. cells - 1

A contrast is a small matrix behind the codes (`Coding`): it acts on cells, once a pass, never on rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchglm.numerics.machine import entries_on
from torchglm.numerics.segments import Segments

Product = tuple[Tensor, ...]  # columns of one length whose elementwise product is meant


def rows_product(columns: Sequence[Tensor]) -> Tensor:
    """(rows,) float64: the elementwise product of columns."""
    value = columns[0].to(torch.float64)
    for column in columns[1:]:
        value = value * column
    return value


@dataclass(frozen=True)
class Coding:
    """How cells become columns: a selection (cell -> column, -1 for none) or a small dense matrix (cells, columns)."""

    width: int
    index: Tensor | None = None  # (cells,) int64
    matrix: Tensor | None = None  # (cells, width) float64

    @property
    def cells(self) -> int:
        """How many cells the codes can name."""
        return len(self.index) if self.index is not None else len(self.matrix)  # type: ignore[arg-type]

    @cached_property
    def kept(self) -> Tensor:
        """The cells that have a column, in the order of the columns. Only for a selection."""
        index = self.index
        assert index is not None
        kept = torch.empty(self.width, dtype=torch.int64, device=index.device)
        cells = torch.nonzero(index >= 0).flatten()
        kept[index[cells]] = cells
        return kept

    def expand(self, beta: Tensor) -> Tensor:
        """beta (width, ...) -> the value of every cell (cells, ...)."""
        if self.matrix is not None:
            return self.matrix @ beta
        return torch.cat([beta, beta.new_zeros(1, *beta.shape[1:])])[self.index]  # index -1 picks the zero

    def collapse(self, cells: Tensor) -> Tensor:
        """Sums over cells (cells, ...) -> sums over columns (width, ...): coding' cells."""
        if self.matrix is not None:
            return self.matrix.T @ cells
        return cells[self.kept]

    def times(self, other: Coding) -> Coding:
        """The coding of the crossed cells; this factor's cells and columns vary fastest."""
        if self.index is not None and other.index is not None:
            mine, theirs = self.index[None, :], other.index[:, None]
            index = torch.where((mine >= 0) & (theirs >= 0), mine + self.width * theirs, -1)
            return Coding(self.width * other.width, index=index.reshape(-1))
        mine, theirs = self.dense(), other.dense()
        crossed = theirs[:, None, :, None] * mine[None, :, None, :]
        return Coding(self.width * other.width, matrix=crossed.reshape(len(theirs) * len(mine), -1))

    def dense(self) -> Tensor:
        """The coding as a matrix (cells, width)."""
        if self.matrix is not None:
            return self.matrix
        index = self.index
        assert index is not None
        matrix = torch.zeros(len(index), self.width, dtype=torch.float64, device=index.device)
        matrix[self.kept, torch.arange(self.width, device=index.device)] = 1.0
        return matrix

    def beside(self, other: Coding) -> Coding:
        """Both codings' columns side by side, on the crossed cells; this factor's cells vary fastest."""
        mine = self.dense().repeat(other.cells, 1)
        theirs = other.dense().repeat_interleave(self.cells, 0)
        return Coding(self.width + other.width, matrix=torch.cat([mine, theirs], dim=1))

    def restricted(self, kept: Tensor) -> Coding:
        """The coding of the columns where `kept` (width,) is True."""
        if self.matrix is not None:
            return Coding(int(kept.sum()), matrix=self.matrix[:, kept])
        place = torch.where(kept, kept.cumsum(0) - 1, -1)
        return Coding(int(kept.sum()), index=torch.cat([place, place.new_full((1,), -1)])[self.index])

    def squared(self) -> Coding:
        """The coding with every entry squared."""
        return self if self.matrix is None else Coding(self.width, matrix=self.matrix.square())

    def to(self, device: torch.device) -> Coding:
        """The same coding on `device`."""
        return Coding(
            self.width,
            None if self.index is None else self.index.to(device),
            None if self.matrix is None else self.matrix.to(device),
        )


@dataclass(frozen=True)
class Coded:
    """A factor, an interaction of factors, or either times numeric columns, over all rows of its source."""

    codes: Tensor  # (rows,) any integer dtype
    coding: Coding
    values: Product = ()

    def rows(self, start: int, stop: int) -> CodedRows:
        """The stretch start..stop."""
        codes = self.codes[start:stop].to(torch.int64)
        values = rows_product([v[start:stop] for v in self.values]) if self.values else None
        return CodedRows(codes, self.coding.cells, values, None if codes.device.type == "cpu" else (self, start))

    @cached_property
    def sorted(self) -> dict[tuple[int, int, int], tuple[Tensor | None, Segments]]:
        """The rows of stretches that were summed over, sorted: by (start, rows, id of the codes crossed with)."""
        return {}


def jointly(first: Coded, second: Coded) -> Coded:
    """Two factors without values as one whose cells are their combinations: every sum over rows does both at once."""
    codes = first.codes.to(torch.int16).add(second.codes.to(torch.int16), alpha=first.coding.cells)
    return Coded(codes, first.coding.beside(second.coding))


@dataclass(frozen=True)
class CodedRows:
    """A stretch of rows of a Coded part. All sums are over cells; the coding is applied after the pass."""

    codes: Tensor  # (rows,) int64
    cells: int
    values: Tensor | None  # (rows,) float64
    place: tuple[Coded, int] | None = None  # whose rows, from which on, where they are kept sorted: on a GPU

    def matvec(self, cell_values: Tensor) -> Tensor:
        """out[i] = values[i] * cell_values[codes[i]]."""
        out = cell_values.index_select(0, self.codes)
        return out if self.values is None else out.mul_(self.values)

    def rmatvec(self, v: Tensor) -> Tensor:
        """out[c] = sum_i [codes[i] == c] values[i] v[i]; on a GPU of several v (m, rows) at once, (m, cells)."""
        v = v if self.values is None else v * self.values
        if self.place is None:
            return torch.bincount(self.codes, v, self.cells)
        return self._segments(None).sums(v)

    def diagonal(self, w: Tensor, other: CodedRows) -> Tensor:
        """out[c] = sum_i [codes[i] == c] values[i] w[i] other.values[i], for a part with the same codes."""
        return self.rmatvec(w if other.values is None else w * other.values)

    def table(self, w: Tensor, other: CodedRows) -> Tensor:
        """out[c, d] = sum_i [codes[i] == c] [other.codes[i] == d] values[i] other.values[i] w[i]."""
        for values in (self.values, other.values):
            w = w if values is None else w * values
        if self.place is None:
            return torch.bincount(self._crossed(other), w, self.cells * other.cells).view(self.cells, other.cells)
        return self._segments(other).sums(w).view(self.cells, other.cells)

    def _crossed(self, other: CodedRows) -> Tensor:
        crossed = self.codes * other.cells
        crossed += other.codes
        return crossed

    def _segments(self, other: CodedRows | None) -> Segments:
        """The rows sorted by cell, or by the cells of the table with another part; sorted once a stretch."""
        assert self.place is not None
        part, start = self.place
        theirs = None if other is None or other.place is None else other.place[0].codes
        if other is not None and theirs is None:
            return Segments.of(self._crossed(other), self.cells * other.cells)
        key = (start, len(self.codes), id(theirs))
        if key not in part.sorted:  # the codes are kept beside, so that no other tensor gets their id
            codes, cells = (self.codes, 1) if other is None else (self._crossed(other), other.cells)
            part.sorted[key] = (theirs, Segments.of(codes, self.cells * cells))
        return part.sorted[key][1]

    def lookup(self, table: Tensor, other: CodedRows) -> Tensor:
        """out[i] = values[i] * other.values[i] * table[codes[i], other.codes[i]]."""
        out = table.reshape(-1).index_select(0, self._crossed(other))
        for values in (self.values, other.values):
            out = out if values is None else out.mul_(values)
        return out

    def cross(self, weighted: Tensor) -> Tensor:
        """out[j, c] = sum_i weighted[j, i] [codes[i] == c] values[i]; one sum a numeric column."""
        if self.place is None:
            return torch.stack([self.rmatvec(row) for row in weighted])
        together = max(entries_on(weighted.device) // max(len(self.codes), 1), 1)
        return torch.cat([self.rmatvec(rows) for rows in weighted.split(together)])


@dataclass(frozen=True)
class Dense:
    """Numeric columns, left where they lie: a pass gathers its stretch of rows, or views it where that will do."""

    products: tuple[Product, ...]
    centers: Tensor  # (width,) float64, subtracted in the gather
    table: Tensor | None = None  # (width, rows) view of all columns when they lie evenly spaced

    @property
    def width(self) -> int:
        """How many columns."""
        return len(self.products)

    @cached_property
    def is_view(self) -> bool:
        """Whether a stretch of rows can be looked at where it lies."""
        return self.table is not None and self.table.dtype == torch.float64 and not self._is_centered

    def rows(self, start: int, stop: int, scratch: Tensor) -> Tensor:
        """The stretch start..stop as (width, rows): a view, or gathered into `scratch` (width, at least rows)."""
        if self.table is not None:
            view = self.table[:, start:stop]
            if self.is_view:
                return view
            out = scratch[:, : stop - start].copy_(view)
            return out.sub_(self.centers[:, None]) if self._is_centered else out
        out = scratch[:, : stop - start]
        for target, product, center in zip(out, self.products, self._center_list, strict=True):
            target.copy_(product[0][start:stop])
            for column in product[1:]:
                target.mul_(column[start:stop])
            if center:
                target.sub_(center)
        return out

    def pick(self, rows: Callable[[Tensor], Tensor], together: bool) -> Dense:
        """The same columns over some rows; `together` copies them into one table."""
        if self.table is not None:
            table = rows(self.table)
        elif together and self.products:
            table = torch.stack([rows_product([rows(c) for c in product]) for product in self.products])
        else:
            return Dense(tuple(tuple(map(rows, product)) for product in self.products), self.centers)
        return Dense(tuple((column,) for column in table), self.centers, table)

    @cached_property
    def _center_list(self) -> list[float]:
        return self.centers.tolist()

    @cached_property
    def _is_centered(self) -> bool:
        return any(self._center_list)
