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
    kept      the same for those that have a positive weight besides
    used      how many rows are used;  asked: how many subset= wants
    levels    factor -> how often each of its levels occurs among the rows used
    """

    total: int
    shares: bool  # whether other rows are those of other ranks
    rows: np.ndarray | None = None
    kept: np.ndarray | None = None
    asked: int = 0
    used: int = 0
    zero_weight: int = 0
    lost: dict[str, int] = field(default_factory=dict)  # column -> rows where it is missing
    levels: dict[str, Tensor] = field(default_factory=dict)

    def note(self, piece: Source, used: np.ndarray, kept: np.ndarray) -> None:
        """Nothing; of the rows of a piece those are used, and these kept, where True."""
        self.used += int(used.sum())
        self.zero_weight += int(used.sum() - kept.sum())
        self.rows = self._noted(self.rows, piece, used)
        self.kept = self._noted(self.kept, piece, kept)

    def _noted(self, mask: np.ndarray | None, piece: Source, own: np.ndarray) -> np.ndarray | None:
        if mask is None and own.all() and not self.shares:
            return None
        mask = np.full(self.total, not self.shares) if mask is None else mask
        mask[piece.index[0] : piece.index[-1] + 1] = own
        return mask

    def plus(self, other: Tally) -> Tally:
        """The counts of both; which rows they are is left out."""
        return Tally(
            self.total,
            self.shares,
            asked=self.asked + other.asked,
            used=self.used + other.used,
            zero_weight=self.zero_weight + other.zero_weight,
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
