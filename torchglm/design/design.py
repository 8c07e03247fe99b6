"""Design: the data of a fit, and the only loop over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.columns import Columns
from torchglm.design.parts import Coded, Dense
from torchglm.numerics.ranks import Ranks
from torchglm.numerics.sums import Sums

BLOCK_ROWS = 16_384  # measured: 20 float64 columns of a block stay in the cache between eta and gradient
LARGEST_BLOCK = 131_072
SAMPLE_STRETCHES = 16


@dataclass(frozen=True)
class Design:
    """Rows in memory: y, one Columns and one offset a linear predictor, weights.

    Shapes: y, weight, offsets (n,) float64. `dtype` is that of the row computations on dense columns;
    sums are always float64.
    """

    y: Tensor
    columns: tuple[Columns, ...]
    offsets: tuple[Tensor | None, ...] = (None,)
    weight: Tensor | None = None
    ranks: Ranks = Ranks()
    dtype: torch.dtype = torch.float64

    @property
    def n(self) -> int:
        """How many rows this rank holds."""
        return len(self.y)

    @property
    def widths(self) -> tuple[int, ...]:
        """Coefficients of each linear predictor."""
        return tuple(columns.width for columns in self.columns)

    @property
    def block_rows(self) -> int:
        """Rows of a block: more where cross tables are large, so that adding them up does not cost the pass."""
        cells = [max(c.raw_widths[2:], default=0) for c in self.columns]
        second = [sorted(c.raw_widths[2:])[-2] if len(c.coded) > 1 else 1 for c in self.columns]
        table = max(a * b for a, b in zip(cells, second, strict=True)) if cells else 0
        on_gpu = self.y.device.type != "cpu"
        return LARGEST_BLOCK * 16 if on_gpu else min(max(BLOCK_ROWS, table // 2), LARGEST_BLOCK)

    def blocks(self, rows: int | None = None) -> Iterator[Block]:
        """This rank's rows, in order. The scratch is reused: a block is dead when the next one comes."""
        size = min(rows or self.block_rows, max(self.n, 1))
        gathered, weighted = (
            [torch.empty(c.dense.width, size, dtype=self.dtype, device=self.y.device) for c in self.columns]
            for _ in range(2)
        )
        for start in range(0, self.n, size):
            stop = min(start + size, self.n)
            yield Block(
                start,
                self.y[start:stop],
                tuple(c.rows(start, stop, room) for c, room in zip(self.columns, gathered, strict=True)),
                tuple(None if o is None else o[start:stop] for o in self.offsets),
                None if self.weight is None else self.weight[start:stop],
                tuple(room[:, : stop - start] for room in weighted),
            )

    def sum(self, row_sums: Callable[[Block], Sums], rows: int | None = None) -> Sums:
        """The total of `row_sums` over all blocks and ranks: every pass of every fit is this loop."""
        total = Sums.total(row_sums(block) for block in self.blocks(rows))
        if self.ranks.world > 1:
            return total.unflatten(self.ranks.all_sum(total.flatten()))
        return total

    def map(self, row_values: Callable[[Block], Tensor]) -> Tensor:
        """`row_values` of every block side by side: (n, ...), this rank's rows in order."""
        return torch.cat([row_values(block) for block in self.blocks()])

    def take(self, index: Tensor) -> Design:
        """The design of the rows at `index`, copied."""
        return self._pick(lambda column: column.index_select(0, index))

    def stretch(self, start: int, stop: int) -> Design:
        """The design of rows start..stop, as views."""
        return self._pick(lambda column: column[start:stop])

    def to(self, device: torch.device) -> Design:
        """The same design on `device`."""
        moved = self._pick(lambda column: column.to(device))
        columns = tuple(
            replace(
                c,
                positions=c.positions.to(device),
                dense=replace(c.dense, centers=c.dense.centers.to(device)),
                coded=tuple(replace(part, coding=part.coding.to(device)) for part in c.coded),
            )
            for c in moved.columns
        )
        return replace(moved, columns=columns)

    def _pick(self, rows: Callable[[Tensor], Tensor]) -> Design:
        memo: dict[int, Tensor] = {}

        def once(column: Tensor) -> Tensor:
            if id(column) not in memo:  # factors that share their codes go on sharing them
                memo[id(column)] = rows(column)
            return memo[id(column)]

        def part(columns: Columns) -> Columns:
            products = tuple(tuple(map(once, product)) for product in columns.dense.products)
            coded = tuple(Coded(once(c.codes), c.coding, tuple(map(once, c.values))) for c in columns.coded)
            return replace(columns, dense=Dense(products, columns.dense.centers), coded=coded)

        return replace(
            self,
            y=once(self.y),
            columns=tuple(map(part, self.columns)),
            offsets=tuple(None if o is None else once(o) for o in self.offsets),
            weight=None if self.weight is None else once(self.weight),
        )

    def sample(self, rows: int) -> Design:
        """About `rows` rows as stretches spread evenly over the data, so that sorted data are seen whole."""
        length = rows // SAMPLE_STRETCHES
        starts = torch.linspace(0, self.n - length, SAMPLE_STRETCHES, dtype=torch.float64).to(torch.int64)
        index = (starts[:, None] + torch.arange(length)).reshape(-1)
        return self.take(index.to(self.y.device))

    def minibatches(self, rows: int, seed: int) -> Iterator[Design]:
        """Every row once, in random order, `rows` at a time; the last one may be shorter."""
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(self.n, generator=generator).to(self.y.device)
        chunk = rows * max(1, LARGEST_BLOCK // rows)  # gather many minibatches at once: one index_select a column
        for start in range(0, self.n, chunk):
            shuffled = self.take(order[start : start + chunk])
            for first in range(0, shuffled.n, rows):
                yield shuffled.stretch(first, min(first + rows, shuffled.n))
