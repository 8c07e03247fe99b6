"""Columns: the parts of one linear predictor side by side, and their sums over rows.

Inside a pass all sums are *raw*: constant, dense columns and cells. After the pass the codings turn raw sums into
sums over coefficients: expand before, collapse after. With E = blockdiag(1, I, coding_1, coding_2, ...)

    eta = raw(X) E beta        X'v = E' raw(X)'v        X' diag(w) X = E' [raw(X)' diag(w) raw(X)] E

Coefficients inside stand as constant, dense, factors in turn; `positions` says where each stands in the formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from torchglm.design.parts import Coded, CodedRows, Dense
from torchglm.numerics.machine import entries_on
from torchglm.numerics.products import Precision, long_product, row_sums

CACHED_ROWS = 16_384  # looked at together where a product of dense columns is formed
CACHED_ENTRIES = 1 << 18  # of the weighted copies in Gram matrices of several weights
STACKED = 256  # weighted columns in one matrix product: more gain nothing
FEWEST_STACKED = 64  # with fewer, more rows at once gain nothing either


@dataclass(frozen=True)
class Columns:
    """The design of one linear predictor over all rows of a source.

    Shapes: width coefficients; `positions` (width,) holds for each inner coefficient its place in the formula.
    `takers`: without a constant of its own, the predictors whose constants stand for it, with the other sign, as the
    cuts of an ordinal model do.
    """

    constant: bool
    dense: Dense
    coded: tuple[Coded, ...]
    positions: Tensor
    takers: tuple[int, ...] = ()

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Coefficients of the constant, of the dense columns, and of each factor."""
        return (int(self.constant), self.dense.width, *(part.coding.width for part in self.coded))

    @cached_property
    def raw_widths(self) -> tuple[int, ...]:
        """Raw sums of the constant, of the dense columns, and of each factor: its cells."""
        return (int(self.constant), self.dense.width, *(part.coding.cells for part in self.coded))

    @property
    def width(self) -> int:
        """How many coefficients."""
        return sum(self.widths)

    @cached_property
    def is_constant(self) -> bool:
        """Whether the constant is all there is."""
        return self.constant and not self.dense.width and not self.coded

    @cached_property
    def same_codes(self) -> frozenset[tuple[int, int]]:
        """Pairs of factors that share their codes, so that their cross table is a diagonal."""
        return frozenset(
            (i, j)
            for i in range(len(self.coded))
            for j in range(i, len(self.coded))
            if self.coded[i].codes is self.coded[j].codes
        )

    def expand(self, beta: Tensor) -> Tensor:
        """beta (width, ...) -> raw coefficients: E beta."""
        if not self.coded:
            return beta
        head, *tails = beta.split([self.widths[0] + self.widths[1], *self.widths[2:]])
        return torch.cat([head, *(part.coding.expand(t) for part, t in zip(self.coded, tails, strict=True))])

    def collapse(self, raw: Tensor) -> Tensor:
        """Raw sums (raw width, ...) -> sums over coefficients (width, ...): E' raw."""
        if not self.coded:
            return raw
        head, *tails = raw.split([self.raw_widths[0] + self.raw_widths[1], *self.raw_widths[2:]])
        return torch.cat([head, *(part.coding.collapse(t) for part, t in zip(self.coded, tails, strict=True))])

    def collapse_squares(self, raw: Tensor) -> Tensor:
        """Raw sums of squares (raw width,) -> sums of squared columns (width,): the codings squared."""
        head, *tails = raw.split([self.raw_widths[0] + self.raw_widths[1], *self.raw_widths[2:]])
        squared = [part.coding.squared().collapse(t) for part, t in zip(self.coded, tails, strict=True)]
        return torch.cat([head, *squared])

    def restricted(self, kept: Tensor) -> Columns:
        """The columns where `kept` (width,), inner order, is True; their places in the formula close up."""
        constant, dense, *coded = kept.split(self.widths)
        products = tuple(p for p, k in zip(self.dense.products, dense.tolist(), strict=True) if k)
        table = self.dense.table if bool(dense.all()) else None
        places = torch.argsort(torch.argsort(self.positions[kept]))
        parts = tuple(
            replace(part, coding=part.coding.restricted(k))
            for part, k in zip(self.coded, coded, strict=True)
            if bool(k.any())
        )
        has_constant = self.constant and bool(constant.all())
        # Without a constant, a centred column would not be the column.
        keeps = has_constant or bool(self.takers)
        centers = self.dense.centers[dense] if keeps else torch.zeros_like(self.dense.centers[dense])
        return Columns(has_constant, Dense(products, centers, table), parts, places, self.takers)

    def uncentred(self) -> Columns:
        """The same columns as given, which no other predictor's constant has to make up for."""
        dense = replace(self.dense, centers=torch.zeros_like(self.dense.centers))
        return replace(self, dense=dense, takers=())

    def rows(self, start: int, stop: int, scratch: Tensor) -> RowColumns:
        """The stretch start..stop, dense columns gathered into `scratch`."""
        dense = self.dense.rows(start, stop, scratch) if self.dense.width else None
        return RowColumns(self, dense, tuple(part.rows(start, stop) for part in self.coded), stop - start)

    def to_dense(self, n: int) -> Tensor:
        """The model matrix (n, width) in the formula's order, written out: for small data and for tests."""
        return self.written(0, n)

    def written(self, start: int, stop: int) -> Tensor:
        """The stretch start..stop of it."""
        device = self.positions.device
        scratch = torch.empty(self.dense.width, stop - start, dtype=torch.float64, device=device)
        out = torch.empty(stop - start, self.width, dtype=torch.float64, device=device)
        out[:, self.positions] = self.rows(start, stop, scratch).model_matrix()
        return out


@dataclass(frozen=True)
class RowColumns:
    """A stretch of rows of Columns. `dense` is (dense width, rows)."""

    whole: Columns
    dense: Tensor | None
    coded: tuple[CodedRows, ...]
    rows: int
    precision: Precision = "float64"  # of the products of dense columns in Gram matrices

    def matvec(self, raw: Tensor) -> Tensor:
        """eta (rows,) from raw coefficients: sum of the parts' matvecs."""
        widths = self.whole.raw_widths
        pieces = raw.split(widths)
        if self.dense is not None:
            eta = torch.mv(self.dense.T, pieces[1])
        else:
            eta = raw.new_zeros(self.rows)
        if widths[0]:
            eta += pieces[0]
        for part, cell_values in zip(self.coded, pieces[2:], strict=True):
            eta += part.matvec(cell_values)
        return eta

    def matmul(self, raw: Tensor) -> Tensor:
        """(rows, m) from m vectors of raw coefficients side by side, (raw width, m): `matvec` of each."""
        widths = self.whole.raw_widths
        pieces = raw.split(widths)
        eta = raw.new_zeros(raw.shape[1], self.rows).T if self.dense is None else (pieces[1].T @ self.dense).T
        if widths[0]:
            eta += pieces[0]
        for part, cell_values in zip(self.coded, pieces[2:], strict=True):
            cells = cell_values.index_select(0, part.codes)
            eta += cells if part.values is None else cells.mul_(part.values[:, None])
        return eta

    def rmatvec(self, v: Tensor) -> Tensor:
        """Raw sums (raw width,): raw[j] = sum_i x[i, j] v[i]."""
        sums = []
        if self.whole.constant:
            sums.append(v.sum().view(1))
        if self.dense is not None:
            sums.append(row_sums(self.dense, v))
        sums.extend(part.rmatvec(v) for part in self.coded)
        return torch.cat(sums) if len(sums) > 1 else sums[0] if sums else v.new_zeros(0)

    def rmatmul(self, v: Tensor) -> Tensor:
        """Raw sums (m, raw width) of m row vectors (m, rows): `rmatvec` of each."""
        if self.coded or len(v) == 1:
            return torch.stack([self.rmatvec(one) for one in v])
        sums = [v.sum(1, keepdim=True)] if self.whole.constant else []
        if self.dense is not None:
            sums.append(long_product(v, self.dense))
        return torch.cat([*sums, v.new_zeros(len(v), 0)], dim=1)

    def squares(self, w: Tensor) -> Tensor:
        """Raw sums (raw width,): raw[j] = sum_i x[i, j]^2 w[i]."""
        sums = []
        if self.whole.constant:
            sums.append(w.sum().view(1))
        if self.dense is not None:
            sums.append(row_sums(self.dense.square(), w))
        sums.extend(part.diagonal(w, part) for part in self.coded)
        return torch.cat([*sums, w.new_zeros(0)])

    def quadratic_form(self, matrix: Tensor) -> Tensor:
        """(rows,) x_i' M x_i of raw rows: out[i] = sum_jk x[i, j] M[j, k] x[i, k].

        Shapes: `matrix` (raw width, raw width), symmetric; of a matrix A over coefficients it is E A E',
        `Columns.expand(Columns.expand(A).T)`.
        """
        widths = self.whole.raw_widths
        split = [rows.split(widths, dim=1) for rows in matrix.split(widths)]
        out = matrix.new_zeros(self.rows)
        if widths[0]:
            out += split[0][0][0]
        if self.dense is not None:
            size = CACHED_ROWS if self.dense.device.type == "cpu" else self.rows
            for start in range(0, self.rows, max(size, 1)):
                x, total = self.dense[:, start : start + size], out[start : start + size]
                total += torch.mm(split[1][1], x).mul_(x).sum(0)
                if widths[0]:
                    total.addmv_(x.T, split[0][1][0], alpha=2.0)
        for i, part in enumerate(self.coded):
            cells = split[i + 2][i + 2].diagonal()
            out += part.matvec(cells) if part.values is None else part.matvec(cells) * part.values
            if widths[0]:
                out += part.matvec(2.0 * split[0][i + 2][0])
            if self.dense is not None:
                for x, cross in zip(self.dense, split[1][i + 2], strict=True):
                    out.addcmul_(x, part.matvec(cross), value=2.0)
            for j in range(i + 1, len(self.coded)):
                out += 2.0 * part.lookup(split[i + 2][j + 2], self.coded[j])
        return out

    def gram(self, w: Tensor, weighted: Tensor | None = None) -> dict[str, Tensor]:
        """The distinct blocks of raw(X)' diag(w) raw(X), by name; `weighted` is scratch like `dense`.

        "first" holds the constant's row, "dense" the dense block, "cross i" dense x factor i, "table i j" factor
        i x factor j, or a diagonal where both have the same codes.
        """
        if self.dense is not None and not self.coded:
            return {name: sums[0] for name, sums in self.grams(w[None, :], weighted).items()}
        sums = {} if self.dense is None else self._dense_gram(self.dense, w, weighted)
        sums |= self._tables(w)
        if self.whole.constant:
            first = [w.sum().view(1)]
            if self.dense is not None:
                first.append(row_sums(self.dense, w))
            for i, part in enumerate(self.coded):
                first.append(sums[f"table {i} {i}"] if part.values is None else part.rmatvec(w))
            sums["first"] = torch.cat(first)
        return sums

    def grams(self, w: Tensor, weighted: Tensor | None) -> dict[str, Tensor]:
        """The blocks of `gram` for each of m row weights (m, rows), side by side: (m, ...)."""
        if self.coded or self.dense is None:
            each = [self.gram(one, weighted) for one in w]
            return {name: torch.stack([sums[name] for sums in each]) for name in each[0]}
        first = int(self.whole.constant)
        sums = self._dense_grams(self.dense, w, weighted, first)
        dense = {"dense": sums[:, first:]}
        return {**dense, "first": torch.cat([w.sum(1, keepdim=True), sums[:, 0]], dim=1)} if first else dense

    def _dense_grams(self, dense: Tensor, w: Tensor, weighted: Tensor | None, first: int) -> Tensor:
        """(m, first + width, width), with `first` the constant's row before the columns'.

        A stretch of rows weighted in several ways at once is one tall matrix product.
        """
        width, rows = dense.shape
        height = first + width
        together = max(STACKED // height, 1)
        entries = entries_on(dense.device, CACHED_ENTRIES)
        plain = dense.device.type == "cpu" and self.precision == "float64"
        out = dense.new_zeros(len(w), height, width)
        for grams, weights in zip(out.split(together), w.split(together), strict=True):
            tall = len(weights) * height
            size = max(min(entries // max(tall, FEWEST_STACKED), rows), 1)
            fits = weighted is not None and weighted.numel() >= tall * size
            room = weighted.view(-1) if fits else dense.new_empty(tall * size)  # type: ignore[union-attr]
            for start in range(0, rows, size):
                x, by = dense[:, start : start + size], weights[:, None, start : start + size]
                copy = room[: tall * x.shape[1]].view(len(weights), height, -1)
                torch.mul(x, by, out=copy[:, first:])
                if first:
                    copy[:, :1] = by
                if plain:
                    grams.view(tall, width).addmm_(copy.view(tall, -1), x.T)
                else:
                    grams.view(tall, width).add_(long_product(copy.view(tall, -1), x, self.precision))
        return out

    def crosses(self, other: RowColumns, w: Tensor) -> Tensor:
        """`cross` for each of m row weights (m, rows), (m, raw width, other's raw width)."""
        if other.whole.is_constant:
            return self.rmatmul(w)[:, :, None]
        if self.whole.is_constant:
            return other.rmatmul(w)[:, None, :]
        return torch.stack([self.cross(other, one) for one in w])

    def cross(self, other: RowColumns, w: Tensor) -> Tensor:
        """Raw sums (raw width, other's raw width): out[j, k] = sum_i w[i] x[i, j] other[i, k]."""
        left, right = self.whole.raw_widths, other.whole.raw_widths
        out = w.new_zeros(sum(left), sum(right))
        rows = out.split(left)
        if left[0]:
            rows[0][0] = other.rmatvec(w)
        if self.dense is not None:
            pieces = rows[1].split(right, dim=1)
            if right[0]:
                pieces[0][:, 0] = row_sums(self.dense, w)
            if other.dense is not None:
                pieces[1].copy_(_weighted_product(self.dense, w, other.dense))
            if other.coded:
                heavy = self.dense * w
                for piece, part in zip(pieces[2:], other.coded, strict=True):
                    piece.copy_(part.cross(heavy))
        for part, row in zip(self.coded, rows[2:], strict=True):
            pieces = row.split(right, dim=1)
            if right[0]:
                pieces[0][:, 0] = part.rmatvec(w)
            if other.dense is not None:
                pieces[1].copy_(part.cross(other.dense * w).T)
            for piece, theirs in zip(pieces[2:], other.coded, strict=True):
                piece.copy_(part.table(w, theirs))
        return out

    def _tables(self, w: Tensor) -> dict[str, Tensor]:
        """Every factor against every other, and against itself: the margin of a table where there is one."""
        tables: dict[str, Tensor] = {}
        margins: dict[int, Tensor] = {}
        for i, part in enumerate(self.coded):
            for j in range(i + 1, len(self.coded)):
                other = self.coded[j]
                if (i, j) in self.whole.same_codes:
                    tables[f"table {i} {j}"] = part.diagonal(w, other)
                    continue
                table = tables[f"table {i} {j}"] = part.table(w, other)
                if part.values is None and other.values is None:
                    margins.setdefault(i, table.sum(1))
                    margins.setdefault(j, table.sum(0))
            tables[f"table {i} {i}"] = margins[i] if i in margins else part.diagonal(w, part)
        return tables

    def _dense_gram(self, dense: Tensor, w: Tensor, weighted: Tensor | None) -> dict[str, Tensor]:
        """The blocks of dense columns beside factors; `weighted` holds all rows at once."""
        if weighted is None:
            weighted = torch.empty_like(dense)
        copy = torch.mul(dense, w, out=weighted[:, : self.rows])
        gram = long_product(copy, dense, self.precision)
        return {"dense": gram, **{f"cross {i}": part.cross(copy) for i, part in enumerate(self.coded)}}

    def model_matrix(self) -> Tensor:
        """These rows written out, (rows, width), coefficients in the inner order."""
        parts = []
        if self.whole.constant:
            parts.append(torch.ones(self.rows, 1, dtype=torch.float64, device=self.whole.positions.device))
        if self.dense is not None:
            parts.append(self.dense.T)
        for part, rows in zip(self.whole.coded, self.coded, strict=True):
            matrix = part.coding.dense().to(rows.codes.device)[rows.codes]
            parts.append(matrix if rows.values is None else matrix * rows.values[:, None])
        return torch.cat(parts, dim=1) if parts else self.whole.dense.centers.new_empty(self.rows, 0)


def grouped(columns: Sequence[Columns]) -> tuple[tuple[int, ...], ...]:
    """The places of columns that are one object, together, in the order of their first."""
    places: dict[int, list[int]] = {}
    for place, one in enumerate(columns):
        places.setdefault(id(one), []).append(place)
    return tuple(map(tuple, places.values()))


def _weighted_product(left: Tensor, w: Tensor, right: Tensor) -> Tensor:
    """left diag(w) right' of (m, rows) and (k, rows), a few rows at a time, so that the copy stays in the cache."""
    if left.device.type != "cpu":
        return long_product(left * w, right)
    out = left.new_zeros(len(left), len(right))
    size = max(CACHED_ENTRIES // len(left), 1)
    for start in range(0, left.shape[1], size):
        stop = start + size
        out.addmm_(left[:, start:stop] * w[start:stop], right[:, start:stop].T)
    return out
