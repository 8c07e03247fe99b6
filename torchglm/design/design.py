"""Design: the data of a fit, and the only loop over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.columns import Columns
from torchglm.design.parts import Coded
from torchglm.numerics.ranks import Ranks
from torchglm.numerics.sums import Sums

BLOCK_ENTRIES = 1_500_000  # of the dense columns: large enough that calls cost little, and near the cache
ONE_RANK = Ranks()
SMALLEST_BLOCK, LARGEST_BLOCK = 8_192, 131_072
STRETCH_ROWS, FEWEST_STRETCHES, MOST_STRETCHES = 8_192, 3, 8
WEIGHTED_ROWS = 16_384  # of the weighted copy in a curvature: fresh memory costs 1 ms a MB to touch


@dataclass(frozen=True)
class Design:
    """Rows in memory: y, one Columns and one offset a linear predictor, weights.

    Shapes: y (n,), or (n, k) of several columns, and numeric columns of any dtype, weight, offsets (n,) float64.
    Blocks are float64 whatever the columns are kept in, and so are all sums.
    """

    y: Tensor
    columns: tuple[Columns, ...]
    offsets: tuple[Tensor | None, ...] = (None,)
    weight: Tensor | None = None
    ranks: Ranks = ONE_RANK
    spans: tuple[tuple[int, int], ...] | None = None  # the stretches of rows looked at; None for all

    @property
    def n(self) -> int:
        """How many rows this rank looks at."""
        return len(self.y) if self.spans is None else sum(stop - start for start, stop in self.spans)

    @property
    def widths(self) -> tuple[int, ...]:
        """Coefficients of each linear predictor."""
        return tuple(columns.width for columns in self.columns)

    @property
    def block_rows(self) -> int:
        """Rows of a block: more where cross tables are large, so that adding them up does not cost the pass."""
        width = max((c.dense.width for c in self.columns), default=0)
        pairs = len(self.columns) ** 2  # of predictors: the entries of a row's curvature
        rows = 1 << (BLOCK_ENTRIES // (width + max(pairs, 1))).bit_length() - 1
        cells = [max(c.raw_widths[2:], default=0) for c in self.columns]
        second = [sorted(c.raw_widths[2:])[-2] if len(c.coded) > 1 else 1 for c in self.columns]
        table = max(a * b for a, b in zip(cells, second, strict=True)) if cells else 0
        on_gpu = self.y.device.type != "cpu"
        return LARGEST_BLOCK * 16 if on_gpu else min(max(rows, table // 2, SMALLEST_BLOCK), LARGEST_BLOCK)

    def blocks(self, rows: int | None = None) -> Iterator[Block]:
        """This rank's rows, in order. The scratch is reused: a block is dead when the next one comes."""
        spans = self.spans or ((0, len(self.y)),)
        size = min(rows or self.block_rows, max(stop - start for start, stop in spans))
        distinct = {id(c): c for c in self.columns}
        gathered = {k: self._room(c, 0 if c.dense.is_view else size) for k, c in distinct.items()}
        weighted = {k: self._room(c, size if c.coded else min(size, WEIGHTED_ROWS)) for k, c in distinct.items()}
        scratch = tuple(weighted[id(c)] for c in self.columns)
        for first, last in spans:
            for start in range(first, last, size):
                stop = min(start + size, last)
                looked_at = {k: c.rows(start, stop, gathered[k]) for k, c in distinct.items()}
                yield Block(
                    start,
                    self.y[start:stop].to(torch.float64),
                    tuple(looked_at[id(c)] for c in self.columns),
                    tuple(None if o is None else o[start:stop] for o in self.offsets),
                    None if self.weight is None else self.weight[start:stop],
                    scratch,
                )

    def _room(self, columns: Columns, rows: int) -> Tensor:
        return torch.empty(columns.dense.width, rows, dtype=torch.float64, device=self.y.device)

    def sum(self, row_sums: Callable[[Block], Sums], rows: int | None = None) -> Sums:
        """The total of `row_sums` over all blocks and ranks: every pass of every fit is this loop."""
        total = Sums.total(row_sums(block) for block in self.blocks(rows))
        if self.ranks.world > 1:
            return total.unflatten(self.ranks.all_sum(total.flatten()))
        return total

    def without_columns(self) -> Design:
        """The same rows with nothing but y and weight: for passes that need no linear predictor."""
        return replace(self, columns=(), offsets=())

    def map(self, row_values: Callable[[Block], Tensor]) -> Tensor:
        """`row_values` of every block side by side: (n, ...), this rank's rows in order."""
        return torch.cat([row_values(block) for block in self.blocks()])

    def take(self, index: Tensor) -> Design:
        """The design of the rows at `index`, copied."""
        return self._pick(lambda column: column.index_select(-1, index), together=True)

    def stretch(self, start: int, stop: int) -> Design:
        """The design of rows start..stop, as views."""
        return self._pick(lambda column: column[..., start:stop])

    def to(self, device: torch.device, dtype: torch.dtype = torch.float64) -> Design:
        """The same design on `device`, numeric columns of float64 kept in `dtype`."""
        moved = self._pick(lambda column: column.to(device, dtype if column.dtype == torch.float64 else None))
        moved = replace(moved, offsets=tuple(None if o is None else o.to(device) for o in self.offsets))
        moved = replace(moved, weight=None if self.weight is None else self.weight.to(device))
        distinct = {
            id(c): replace(
                c,
                positions=c.positions.to(device),
                dense=replace(c.dense, centers=c.dense.centers.to(device)),
                coded=tuple(replace(part, coding=part.coding.to(device)) for part in c.coded),
            )
            for c in moved.columns
        }
        return replace(moved, columns=tuple(distinct[id(c)] for c in moved.columns))

    def fingerprint(self) -> Tensor:
        """Sums that change when the columns do: over all rows up to 100,000, beyond over 4,096 spread evenly."""
        step = 1 if self.n <= 100_000 else self.n // 4_096
        kept = [self.y.T if self.y.dim() > 1 else self.y]
        kept += [column for column in (*self.offsets, self.weight) if column is not None]
        for columns in self.columns:
            if columns.dense.table is not None:  # one call for all of them
                kept.append(columns.dense.table)
            else:
                kept.extend(column for product in columns.dense.products for column in product)
            kept.extend(column for part in columns.coded for column in (part.codes, *part.values))
        distinct = {id(column): column[..., ::step] for column in kept}
        return torch.cat([rows.sum(-1, dtype=torch.float64).reshape(-1) for rows in distinct.values()])

    def _pick(self, rows: Callable[[Tensor], Tensor], together: bool = False) -> Design:
        """The design of some rows of every column; `together` lays the dense columns side by side in a copy."""
        memo: dict[int, Tensor] = {}

        def once(column: Tensor) -> Tensor:
            if id(column) not in memo:  # factors that share their codes go on sharing them
                memo[id(column)] = rows(column)
            return memo[id(column)]

        def part(columns: Columns) -> Columns:
            coded = tuple(Coded(once(c.codes), c.coding, tuple(map(once, c.values))) for c in columns.coded)
            return replace(columns, dense=columns.dense.pick(rows, together), coded=coded)

        distinct = {id(c): part(c) for c in self.columns}  # and predictors that share their columns too
        return replace(
            self,
            y=once(self.y) if self.y.dim() == 1 else rows(self.y.T).T,  # rows are the last dimension of every column
            columns=tuple(distinct[id(c)] for c in self.columns),
            offsets=tuple(None if o is None else once(o) for o in self.offsets),
            weight=None if self.weight is None else once(self.weight),
        )

    def sample(self, rows: int) -> Design:
        """About `rows` of the rows, as stretches spread evenly over the data, so that sorted data are seen whole.

        Numeric columns are looked at where they lie, and a sample of a sample shortens its stretches. With factors,
        or several predictors, the stretches are copied together: cross tables are added up, and the many small steps
        of a row likelihood are taken, once a block, whatever its rows.
        """
        if self.spans is not None:
            length = rows // len(self.spans)
            return replace(self, spans=tuple((start, min(start + length, stop)) for start, stop in self.spans))
        count = min(max(rows // STRETCH_ROWS, FEWEST_STRETCHES), MOST_STRETCHES)
        length = rows // count
        starts = [int(k * (self.n - length) / (count - 1)) for k in range(count)]
        if len(self.columns) > 1 or any(c.coded for c in self.columns):
            index = torch.cat([torch.arange(start, start + length) for start in starts])
            return self.take(index.to(self.y.device))
        return replace(self, spans=tuple((start, start + length) for start in starts))

    def minibatches(self, rows: int, seed: int) -> Iterator[Design]:
        """Every row once, in random order, `rows` at a time; the last one may be shorter."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(self.n, generator=generator).to(self.y.device)
        chunk = rows * max(1, LARGEST_BLOCK // rows)  # gather many minibatches at once: one index_select a column
        for start in range(0, self.n, chunk):
            shuffled = self.take(order[start : start + chunk])
            for first in range(0, shuffled.n, rows):
                yield shuffled.stretch(first, min(first + rows, shuffled.n))
