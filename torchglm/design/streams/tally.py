"""Tally: what encoding finds out about rows and levels, beside their columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from torchglm.design.sources import Source


@dataclass
class Tally:
    """What the pass has found out so far, beside the columns.

    rows      (rows of the data,) True where a row is used; None for all
    used      how many rows are used;  asked: how many subset= wants;  zero_weight: how many of those used count nothing
    levels    factor -> how often each of its levels occurs among the rows used
    """

    total: int
    shares: bool  # whether other rows are those of other ranks
    rows: np.ndarray | None = None
    asked: int = 0
    used: int = 0
    zero_weight: int = 0
    weights: float = 0.0  # the sum of the weights given
    lost: dict[str, int] = field(default_factory=dict)  # column -> rows where it is missing
    levels: dict[str, Tensor] = field(default_factory=dict)

    def note(self, piece: Source, used: np.ndarray) -> None:
        """Nothing; of the rows of a piece those are used where True."""
        self.used += int(used.sum())
        if self.rows is None and (self.shares or not used.all()):
            self.rows = np.full(self.total, not self.shares)
        if self.rows is not None:
            self.rows[piece.index[0] : piece.index[-1] + 1] = used

    def plus(self, other: Tally) -> Tally:
        """The counts of both; which rows they are is left out."""
        return Tally(
            self.total,
            self.shares,
            asked=self.asked + other.asked,
            used=self.used + other.used,
            zero_weight=self.zero_weight + other.zero_weight,
            weights=self.weights + other.weights,
            lost={name: self.lost.get(name, 0) + other.lost.get(name, 0) for name in self.lost | other.lost},
            levels={
                name: sum(t.levels[name] for t in (self, other) if name in t.levels)  # type: ignore[misc]
                for name in self.levels | other.levels
            },
        )

    def count(self, name: str, codes: Tensor, levels: int) -> None:
        """Nothing; levels that occur are counted."""
        own = torch.bincount(codes.to(torch.int64), minlength=levels)
        self.levels[name] = own if name not in self.levels else self.levels[name] + own
