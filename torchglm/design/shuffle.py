"""Row numbers in random order, dealt out a few at a time.

Of columns in memory any order is as good as any other. Of columns that lie in a file, rows drawn from everywhere would
fetch a page of the file each: there stretches of rows are drawn instead, and the rows of a pool of them shuffled.
"""

from __future__ import annotations

import torch
from torch import Tensor

STRETCH_ROWS = 4_096
POOL = 64  # stretches: a minibatch has rows of so many places


class Shuffle:
    """The rows 0 .. n - 1, each once; where `in_file`, those of one pool after the other."""

    def __init__(self, n: int, generator: torch.Generator, in_file: bool) -> None:
        self.n, self.generator = n, generator
        pooled = in_file and n > POOL * STRETCH_ROWS
        self.size = STRETCH_ROWS if pooled else max(n, 1)
        count = -(-n // self.size)
        self.stretches = torch.randperm(count, generator=generator) if pooled else torch.arange(count)
        self.drawn = 0
        self.left = torch.empty(0, dtype=torch.int64)

    def deal(self, count: int) -> Tensor:
        """(count,) the next rows; fewer at the end."""
        while len(self.left) < count and self.drawn < len(self.stretches):
            self.left = torch.cat([self.left, self._pool()])
        dealt, self.left = self.left[:count], self.left[count:]
        return dealt

    def _pool(self) -> Tensor:
        """The rows of the next stretches, shuffled."""
        firsts = self.stretches[self.drawn : self.drawn + POOL] * self.size
        self.drawn += POOL
        rows = torch.cat([torch.arange(first, min(first + self.size, self.n)) for first in firsts.tolist()])
        return rows[torch.randperm(len(rows), generator=self.generator)]
