"""The distinct values of a variable, gathered piece by piece: what its levels are learned from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from torchglm.design.categorical import Marked


@dataclass
class Distinct:
    """Values seen so far. Categories that stand in an order keep it, in that of the first piece that has them."""

    seen: pd.Series | None = None
    categories: dict[Any, None] = field(default_factory=dict)
    ordered: bool = False
    marked: Marked | None = None

    def add(self, value: Any) -> None:
        """Nothing; the values of one piece are remembered."""
        if isinstance(value, Marked):
            self.marked = value
            value = value.values
        series = value if isinstance(value, pd.Series) else pd.Series(value)
        if isinstance(series.dtype, pd.CategoricalDtype):
            self.ordered = self.ordered or bool(series.dtype.ordered)
            self.categories |= dict.fromkeys(series.cat.categories)
            codes = series.cat.codes.to_numpy()
            counts = np.bincount(codes[codes >= 0], minlength=len(series.cat.categories))
            series = pd.Series(series.cat.categories[counts > 0])
        self._see(series.dropna().drop_duplicates())

    def _see(self, own: pd.Series) -> None:
        if len(own):
            both = own if self.seen is None else pd.concat([self.seen, own], ignore_index=True)
            self.seen = both.drop_duplicates()

    def join(self, other: Distinct) -> None:
        """Nothing; what another process has seen is remembered, too."""
        self.ordered = self.ordered or other.ordered
        self.categories |= other.categories
        if other.seen is not None:
            self._see(other.seen)

    def values(self, keeps_order: bool) -> Any:
        """Every distinct value once, as values of the kind that they came in."""
        seen: Any = pd.Series([], dtype=object) if self.seen is None else self.seen
        if self.categories:
            chosen = self.ordered or keeps_order
            known = list(self.categories) if chosen else sorted(self.categories)
            seen = pd.Series(pd.Categorical(seen, categories=known, ordered=self.ordered))
        seen = seen.reset_index(drop=True)
        return seen if self.marked is None else replace(self.marked, values=seen)

    def __len__(self) -> int:
        return 0 if self.seen is None else len(self.seen)
