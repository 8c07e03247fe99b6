"""Design: the data of a fit, and the only loop over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.columns import Columns
from torchglm.design.fingerprint import fingerprint_of, kept_columns
from torchglm.design.pages import Pages
from torchglm.design.parts import Coded
from torchglm.design.shuffle import Shuffle
from torchglm.design.transfer import Brake, Courier, Onto, Ready, pieces, room_on
from torchglm.numerics.machine import entries_on
from torchglm.numerics.ranks import Ranks
from torchglm.numerics.sums import Sums
from torchglm.numerics.threads import at_once, threads

BLOCK_ENTRIES = 3_000_000  # of the dense columns: large enough that calls cost little, and near the cache
STEPS = 6  # of a row likelihood of several predictors: columns of rows that are in use at once, for each of the pairs
ONE_RANK = Ranks()
SMALLEST_BLOCK, LARGEST_BLOCK = 8_192, 131_072
VECTORS = 8  # of one number a row, which a GPU holds at once beside the dense columns of a block
ROWS_OF_A_THREAD = 131_072  # with fewer, threads wait for each other longer than torch for its own
STRETCH_ROWS, FEWEST_STRETCHES, MOST_STRETCHES = 8_192, 3, 8
WEIGHTED_ROWS = 16_384  # of the weighted copy in a curvature: fresh memory costs 1 ms a MB to touch

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Design:
    """Rows in memory: y, one Columns and one offset a linear predictor, weights.

    Shapes: y (n,), or (n, k) of several columns, and numeric columns of any dtype, weight, offsets (n,) float64.
    Blocks are float64 whatever the columns are kept in, and so are all sums.

    Several ranks: where `shares` is None each of them holds all rows, and adds up its own share of them. Else
    shares[k] are the rows of rank k, which holds no others: `y` is that of the rows held, `n` counts those of all,
    and `spans` number the rows of all, those of one rank after those of the other.
    """

    y: Tensor
    columns: tuple[Columns, ...]
    offsets: tuple[Tensor | None, ...] = (None,)
    weight: Tensor | None = None
    ranks: Ranks = ONE_RANK
    spans: Spans | None = None  # the stretches of rows looked at; None for all
    pages: Pages | None = None  # of a file that the columns are mapped from
    shares: tuple[int, ...] | None = None  # rows of each rank, where none holds all
    onto: Onto | None = None  # the device that blocks are moved to; None: they are computed where columns lie

    @property
    def n(self) -> int:
        """How many rows all ranks look at together."""
        if self.spans is not None:
            return sum(stop - start for start, stop in self.spans)
        return len(self.y) if self.shares is None else sum(self.shares)

    @property
    def widths(self) -> tuple[int, ...]:
        """Coefficients of each linear predictor."""
        return tuple(columns.width for columns in self.columns)

    @property
    def block_rows(self) -> int:
        """Rows of a block: more where cross tables are large, so that adding them up does not cost the pass."""
        width = max((c.dense.width for c in self.columns), default=0)
        pairs = len(self.columns) ** 2  # of predictors: a row's curvature has so many entries, each made in steps
        beside = STEPS * pairs if pairs > 1 else 1
        if self.device.type != "cpu":
            return max(entries_on(self.device) // max(width + beside, VECTORS), LARGEST_BLOCK)
        rows = 1 << (BLOCK_ENTRIES // (width + beside)).bit_length() - 1
        cells = [max(c.raw_widths[2:], default=0) for c in self.columns]
        second = [sorted(c.raw_widths[2:])[-2] if len(c.coded) > 1 else 1 for c in self.columns]
        table = max(a * b for a, b in zip(cells, second, strict=True)) if cells else 0
        return min(max(rows, table // 2, SMALLEST_BLOCK), LARGEST_BLOCK)

    def blocks(self, rows: int | None = None) -> Iterator[Block]:
        """The rows held, in order. The scratch is reused: a block is dead when the next one comes.

        No rows are one block without rows: what a rank adds up that has none.
        """
        spans = ((0, len(self.y)),) if self.spans is None else self._held(self.spans, self.ranks.rank)
        if self.onto is not None:
            yield from self._travelling(spans, rows or self.block_rows)
            return
        size = min(rows or self.block_rows, max(1, *(stop - start for start, stop in spans)))
        distinct = {id(c): c for c in self.columns}
        gathered = {k: self._room(c, 0 if c.dense.is_view else size) for k, c in distinct.items()}
        weighted = {k: self._room(c, self._weighted_rows(c, size)) for k, c in distinct.items()}
        scratch = tuple(weighted[id(c)] for c in self.columns)
        for first, last in spans:
            for start in range(first, max(last, first + 1), size):
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
                if self.pages is not None:
                    self.pages.release()

    def _weighted_rows(self, columns: Columns, size: int) -> int:
        """Of the room for a weighted copy. On a GPU what needs one allocates it, which costs nothing there."""
        alone = 0 if self.device.type != "cpu" else min(size, WEIGHTED_ROWS)
        return size if columns.coded else alone

    def _room(self, columns: Columns, rows: int) -> Tensor:
        return torch.empty(columns.dense.width, rows, dtype=torch.float64, device=self.y.device)

    def sum(self, row_sums: Callable[[Block], Sums], rows: int | None = None, *, spread: bool = False) -> Sums:
        """The total of `row_sums` over all blocks and ranks: every pass of every fit is this loop.

        `spread`: several threads may call it at once, each for blocks of its own.
        """
        if self.ranks.world == 1:
            parts = self._parts() if spread and self._can_spread else (self,)

            def total(part: Design) -> Sums:
                return Sums.total(row_sums(block) for block in part.blocks(rows))

            return Sums.total(at_once([partial(total, part) for part in parts]))
        own, nothing = self._own(), replace(self, spans=((0, 0),))
        return self.ranks.sum(
            lambda: Sums.total(row_sums(block) for block in own.blocks(rows)),
            lambda: Sums.total(row_sums(block) for block in nothing.blocks(rows)),
        )

    @property
    def _can_spread(self) -> bool:
        coded = any(columns.coded for columns in self.columns)  # their tables are as large as the blocks
        return self.onto is None and self.pages is None and self.device.type == "cpu" and not coded

    def _parts(self) -> tuple[Design, ...]:
        """One for each thread: stretches one after the other, as long in all as those of every other."""
        count = max(1, min(threads(), self.n // ROWS_OF_A_THREAD))
        parts: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        before = 0
        for start, stop in self.spans or ((0, len(self.y)),):
            for k, part in enumerate(parts):
                first, last = (start + self.n * at // count - before for at in (k, k + 1))
                if max(first, start) < min(last, stop):
                    part.append((max(first, start), min(last, stop)))
            before += stop - start
        return tuple(replace(self, spans=tuple(part)) for part in parts)

    def _own(self) -> Design:
        """Of the rows that all ranks hold, this rank's share of every stretch."""
        if self.shares is not None:
            return self
        spans = []
        for start, stop in self.spans or ((0, len(self.y)),):
            first, last = self.ranks.share(stop - start)
            spans.append((start + first, start + last))
        return replace(self, spans=tuple(spans))

    def _held(self, spans: Spans, rank: int) -> Spans:
        """Of stretches of all rows, what `rank` holds of each, as it numbers its rows."""
        if self.shares is None:
            return spans
        before, own = sum(self.shares[:rank]), self.shares[rank]
        return tuple((max(0, min(a - before, own)), max(0, min(b - before, own))) for a, b in spans)

    def total(self, held: float) -> float:
        """Of a number of the rows held, that of all rows."""
        return held if self.shares is None else self.ranks.total(held)

    def largest(self, held: Tensor) -> float:
        """The largest of some numbers of the rows held, of all rows; -inf where no row has one."""
        own = float(held.max()) if held.numel() else -math.inf
        return own if self.shares is None else max(self.ranks.gather(own, "looking for the largest"))

    def everywhere(self, found: list[Any]) -> list[Any]:
        """What all ranks found in their passes by `sum`, in the order of the ranks."""
        return [one for each in self.ranks.gather(found, "joining what they found in their rows") for one in each]

    def responses(self, most: int = 100_000) -> tuple[Tensor, Tensor]:
        """y and weights (rows,), float64: of all rows, or where no rank holds all, of about `most` of all ranks."""
        y = self.y.to(torch.float64)
        w = y.new_ones(len(y)) if self.weight is None else self.weight
        if self.shares is None:
            return y, w
        step = -(-self.n // most)
        every = self.ranks.gather((y[::step].cpu(), w[::step].cpu()), "looking at some of their responses")
        return torch.cat([y for y, _ in every]).to(y.device), torch.cat([w for _, w in every]).to(y.device)

    def without_columns(self) -> Design:
        """The same rows with nothing but y and weight: for passes that need no linear predictor."""
        return replace(self, columns=(), offsets=())

    def map(self, row_values: Callable[[Block], Tensor]) -> Tensor:
        """`row_values` of every block side by side: (rows held, ...), in order."""
        return torch.cat([row_values(block) for block in self.blocks()])

    def take(self, index: Tensor) -> Design:
        """The design of the rows at `index` of those held, copied. Where no rank holds all, all ranks take together."""
        return self._counted(self._taken(index))

    def stretch(self, start: int, stop: int) -> Design:
        """The design of rows start..stop of those held, as views; together as `take`."""
        part = self._pick(lambda column: column[..., start:stop])
        return self._counted(part if self.onto is None else part.to(self.onto.device, self.onto.dtype))

    def _taken(self, index: Tensor) -> Design:
        if self.onto is None:
            return self._pick(lambda column: _selected(column, index), together=True)
        rows = index.to(self.y.device)
        taken = replace(self, onto=None)._pick(lambda column: _selected(column, rows), together=True)
        return taken.to(self.onto.device, self.onto.dtype)

    def _counted(self, picked: Design) -> Design:
        if self.shares is None:
            return picked
        return replace(picked, shares=tuple(self.ranks.gather(len(picked.y), "counting the rows they take")))

    def to(self, device: torch.device, dtype: torch.dtype = torch.float64) -> Design:
        """The same design on `device`, numeric columns of float64 kept in `dtype`."""
        courier = Courier(Onto(device, dtype))
        moved = self._sent(courier)
        courier.ready().arrived()
        moved = moved._ruled_from(device)
        roomy = device.type != "cpu" and dtype == torch.float64 and 2 * self.bytes <= room_on(device)
        return moved._side_by_side() if roomy else moved

    def streamed(self, device: torch.device, dtype: torch.dtype = torch.float64) -> Design:
        """The same design, its rows left where they lie: every pass moves them to `device` block by block."""
        return replace(self._ruled_from(device), onto=Onto(device, dtype))

    @property
    def device(self) -> torch.device:
        """Where blocks are, and all that is computed from them."""
        return self.y.device if self.onto is None else self.onto.device

    @property
    def bytes(self) -> int:
        """Bytes of all columns."""
        kept: list[int] = []

        def seen(column: Tensor) -> Tensor:
            kept.append(column.numel() * column.element_size())
            return column

        self._pick(seen)
        return sum(kept)

    def _sent(self, courier: Courier) -> Design:
        """The rows on the way to the courier's device: response, weights and offsets in all digits."""
        moved = replace(self, y=self.y[:0], offsets=(), weight=None, onto=None, pages=None)._pick(courier.send)
        exact = {id(o): courier.exact(o) for o in (*self.offsets, self.weight) if o is not None}
        return replace(
            moved,
            y=courier.exact(self.y) if self.y.dim() == 1 else courier.exact(self.y.T).T,
            offsets=tuple(None if o is None else exact[id(o)] for o in self.offsets),
            weight=None if self.weight is None else exact[id(self.weight)],
        )

    def _side_by_side(self) -> Design:
        """The same design with its dense columns in one table, which blocks look at where it lies."""
        distinct = {id(c): replace(c, dense=c.dense.pick(lambda column: column, together=True)) for c in self.columns}
        return replace(self, columns=tuple(distinct[id(c)] for c in self.columns))

    def _ruled_from(self, device: torch.device) -> Design:
        """The same design with all that is no row on `device`: places, centers and codings."""
        distinct = {
            id(c): replace(
                c,
                positions=c.positions.to(device),
                dense=replace(c.dense, centers=c.dense.centers.to(device)),
                coded=tuple(replace(part, coding=part.coding.to(device)) for part in c.coded),
            )
            for c in self.columns
        }
        return replace(self, columns=tuple(distinct[id(c)] for c in self.columns))

    def _travelling(self, spans: tuple[tuple[int, int], ...], size: int) -> Iterator[Block]:
        """The blocks of rows that are moved to a device, each while the one before is computed."""
        assert self.onto is not None
        courier, brake = Courier(self.onto), Brake(self.onto)
        waiting: list[tuple[int, Design, Ready]] = []
        for start, stop in (*pieces(spans, size), (-1, -1)):
            if start >= 0:
                held = replace(self, spans=None, shares=None)._pick(lambda column, a=start, b=stop: column[..., a:b])
                waiting.append((start, held._sent(courier), courier.ready()))
            if len(waiting) > 1 or start < 0:
                first, piece, ready = waiting.pop(0)
                ready.arrived()
                for block in piece.blocks(max(len(piece.y), 1)):
                    yield replace(block, start=first)
                brake.computing()
                if self.pages is not None:
                    self.pages.release()

    @property
    def is_finite(self) -> bool:
        """Whether no number of the rows held is missing or infinite: one sum over the rows tells."""
        floats = [column for column in kept_columns(self) if column.is_floating_point()]
        return all(bool(torch.isfinite(column.sum(-1)).all()) for column in floats)

    def fingerprint(self) -> Tensor:
        """Sums that change when the columns do: see `fingerprint_of`."""
        return fingerprint_of(self)

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

        Numeric columns are looked at where they lie, and a sample of a sample shortens its stretches, or some of them.
        With factors the stretches are copied together: cross tables are added up once a block, whatever its rows. On a
        GPU they always are, where a block costs its calls, whatever its rows.
        """
        count = min(max(rows // STRETCH_ROWS, FEWEST_STRETCHES), MOST_STRETCHES)
        if self.spans is not None:
            count = min(count, len(self.spans))
            some = (self.spans[k * (len(self.spans) - 1) // max(count - 1, 1)] for k in range(count))
            return replace(self, spans=tuple((start, min(start + rows // count, stop)) for start, stop in some))
        length = rows // count
        starts = [int(k * (self.n - length) / (count - 1)) for k in range(count)]
        spans = tuple((start, start + length) for start in starts)
        if self.device.type == "cpu" and not any(columns.coded for columns in self.columns):
            return replace(self, spans=spans)
        index = torch.cat([torch.arange(start, stop) for start, stop in self._held(spans, self.ranks.rank)])
        picked = self._taken(index.to(self.y.device))
        if self.shares is None:
            return picked
        held = (self._held(spans, rank) for rank in range(self.ranks.world))
        return replace(picked, shares=tuple(sum(stop - start for start, stop in each) for each in held))

    def minibatches(self, rows: int, seed: int) -> Iterator[Design]:
        """Every row once, in random order (see `Shuffle`), `rows` at a time; the last one may be shorter.

        Where no rank holds all rows, each gives to every minibatch what its share of the rows is worth.
        """
        shuffle = Shuffle(len(self.y), torch.Generator().manual_seed(seed), in_file=self.pages is not None)
        if self.shares is not None:
            yield from self._shared_minibatches(-(-self.n // rows), shuffle)
            return
        chunk = rows * max(1, LARGEST_BLOCK // rows)  # gather many minibatches at once: one index_select a column
        for _ in range(0, self.n, chunk):
            shuffled = self._dealt(shuffle, chunk)
            for first in range(0, shuffled.n, rows):
                yield shuffled.stretch(first, min(first + rows, shuffled.n))

    def _shared_minibatches(self, count: int, shuffle: Shuffle) -> Iterator[Design]:
        assert self.shares is not None
        n = len(self.y)
        for k in range(count):
            shares = tuple(own * (k + 1) // count - own * k // count for own in self.shares)
            yield replace(self._dealt(shuffle, n * (k + 1) // count - n * k // count), shares=shares)

    def _dealt(self, shuffle: Shuffle, count: int) -> Design:
        """The next rows of a shuffle, copied, so that the pages that they lay in may go."""
        taken = replace(self._taken(shuffle.deal(count).to(self.y.device)), pages=None)
        if self.pages is not None:
            self.pages.release()
        return taken


def _selected(column: Tensor, index: Tensor) -> Tensor:
    """Some of the last dimension, copied. Of columns that stand apart torch would copy everything first."""
    if column.dim() == 1 or column.is_contiguous():
        return column.index_select(-1, index)
    return torch.stack([one.index_select(0, index) for one in column])
