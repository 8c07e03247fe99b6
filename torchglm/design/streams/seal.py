"""Seals: what the columns of a stream held when they were read first, so that a pass over other rows is found out.

Rows are matched by their place in several passes, and a query without an order may have other rows there every time.
So each pass makes a seal of each column: its sum of squares, and a sum over a sample of its rows in which the place
counts. Numbers are rounded for that: what a database adds up in parallel has other last digits at every pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from pandas.util import hash_array

from torchglm.design.sources import Source
from torchglm.errors import DataError

SAMPLE = 1 << 14  # rows whose place counts
STEPS = 4_096  # that a number of the column's usual size is rounded to
CLOSE = 1e-9  # of sums of squares
FIRST, SECOND, NONE = map(np.uint64, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@dataclass
class Seal:
    """A column as one pass has seen it: the sum in which places count, the sum of squares, how many values differ."""

    order: int = 0
    squares: float | None = None
    spread: int = 0


@dataclass
class Seals:
    """What is known of a stream's columns.

    squares  their sums of squares, the same for all fits to the stream; sizes: the usual size of their numbers
    fixed    of one fit: their seals in the pass whose order of rows later ones have to have; until then none is fixed
    last     their seals in the last pass
    """

    squares: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    fixed: dict[str, Seal] = field(default_factory=dict)
    last: dict[str, Seal] = field(default_factory=dict)

    def for_another_fit(self) -> Seals:
        """The same values in any order."""
        return Seals(self.squares, self.sizes)

    def fix(self) -> None:
        """Nothing; later passes have to have the rows in the order of the last one."""
        self.fixed = self.last

    def tie(self, names: Iterable[str]) -> list[str]:
        """What to read beside columns that tell nothing of the order: that of the fit's numbers which tells most."""
        if not self.fixed or any(name in self.fixed for name in names):
            return []
        best = max(self.fixed, key=lambda name: self.fixed[name].spread)
        return [best] if self.fixed[best].spread > 1 else []

    def compare(self, label: str, found: dict[str, Seal]) -> None:
        """Nothing, where a pass has found the columns as they were before.

        Raises: DataError.
        """
        for name, seal in found.items():
            if seal.squares is not None:
                before = self.squares.setdefault(name, seal.squares)
                if not np.isclose(seal.squares, before, rtol=CLOSE, atol=0.0, equal_nan=True):
                    raise DataError(f"{label} has other values of {name!r} than before: it has changed meanwhile.")
            if self.fixed and self.fixed.setdefault(name, replace(seal, spread=0)).order != seal.order:
                raise DataError(
                    f"{label} gave {name!r} in another order than before, or with other values: the rows of two passes "
                    "cannot be matched. Sort them by columns that tell them apart (ORDER BY, .sort(...)), or write "
                    "them to Parquet first."
                )
        self.last = found


@dataclass
class Reading:
    """One pass over columns of a stream with so many rows."""

    seals: Seals
    rows: int
    found: dict[str, Seal] = field(default_factory=dict)

    def add(self, piece: Source, names: Iterable[str]) -> None:
        """Nothing; the next piece is looked at."""
        step, start = max(1, self.rows // SAMPLE), int(piece.index[0])
        sample = slice(-start % step, None, step)
        weights = _mixed(np.arange(start, start + piece.rows, dtype=np.uint64)[sample])
        for name in dict.fromkeys(names):
            column, seal = piece.column(name), self.found.setdefault(name, Seal())
            if pd.api.types.is_numeric_dtype(column.dtype):
                numbers = column.to_numpy(np.float64, na_value=np.nan)
                seal.squares = (seal.squares or 0.0) + float(np.dot(numbers, numbers))
                values = self._rounded(name, numbers[sample])
                seal.spread = seal.spread or len(np.unique(values))
            else:
                values = _hashed(column.iloc[sample])
            seal.order = (seal.order + int(np.sum(values * weights, dtype=np.uint64))) % (1 << 64)

    def _rounded(self, name: str, numbers: np.ndarray) -> np.ndarray:
        """(sample,) a code of each number, which its last digits do not change: steps of itself, then of its log."""
        if name not in self.seals.sizes:
            large = np.abs(numbers[np.isfinite(numbers) & (numbers != 0.0)])
            self.seals.sizes[name] = float(np.median(large)) if len(large) else 1.0
        steps = np.rint(np.arcsinh(numbers / self.seals.sizes[name]) * STEPS)
        known = np.isfinite(steps)
        return np.where(known, _mixed(np.where(known, steps, 0.0).astype(np.int64).view(np.uint64)), NONE)


def _hashed(column: pd.Series) -> np.ndarray:
    missing = column.isna().to_numpy()
    values = column.astype(object).to_numpy().copy()
    values[missing] = ""
    return np.where(missing, NONE, hash_array(values, categorize=False))  # pyright: ignore[reportCallIssue]


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Numbers of 64 bits that look random, the same for the same."""
    numbers = (numbers + np.uint64(1)) * FIRST
    numbers = (numbers ^ (numbers >> np.uint64(29))) * SECOND
    return numbers ^ (numbers >> np.uint64(32))
