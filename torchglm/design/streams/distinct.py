"""The distinct values of a variable, gathered piece by piece: what its levels are learned from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from torchglm.design.categorical import Marked, category_codes, used_codes
from torchglm.errors import DataError


@dataclass
class Distinct:
    """Values seen so far of the variable of that name.

    is_text     whether categories are but the form in which its text is small
    categories  that pieces have, in the order of the first one; ordered: whether they are ordered, in all pieces
    is_plain    whether some piece had values that are no categories: then levels are sorted, as of text
    """

    name: str
    is_text: bool = False
    seen: pd.Series | None = None
    categories: dict[Any, None] = field(default_factory=dict)
    ordered: bool = True
    is_plain: bool = False
    marked: Marked | None = None

    def add(self, value: Any) -> None:
        """Nothing; the values of one piece are remembered.

        Raises: DataError for ordered categories in another order than in the pieces before.
        """
        if isinstance(value, Marked):
            self.marked = value
            value = value.values
        series = value if isinstance(value, pd.Series) else pd.Series(value)
        kind = series.dtype
        if isinstance(kind, pd.CategoricalDtype):
            if not self.is_text:
                self._put_in_order(kind.categories, bool(kind.ordered))
            codes = category_codes(series)
            series = pd.Series(kind.categories[used_codes(codes, len(kind.categories))])
        own = series.dropna().drop_duplicates()
        self.is_plain |= len(own) > 0 and not isinstance(kind, pd.CategoricalDtype)
        self._see(own)

    def _see(self, own: pd.Series) -> None:
        if len(own):
            both = own if self.seen is None else pd.concat([self.seen, own], ignore_index=True)
            self.seen = both.drop_duplicates()

    def _put_in_order(self, categories: Iterable[Any], ordered: bool) -> None:
        """Nothing; the categories of a piece are put to those known. Of ordered ones, all or some are in both."""
        known, new = list(self.categories), list(categories)
        self.ordered = self.ordered and ordered
        if self.ordered and not (self.marked and self.marked.levels) and known != new:
            if _is_part(known, new):
                known, new = new, known
            elif not _is_part(new, known):
                raise DataError(
                    f"{self.name!r} has the ordered categories {known} in some of the data and {new} in others. Give "
                    f"all the same categories, or say their order in the formula, as C({self.name}, levels=[...])."
                )
        self.categories = dict.fromkeys([*known, *new])

    def join(self, other: Distinct) -> None:
        """Nothing; what another process has seen is remembered, too.

        Raises: as `add`.
        """
        if other.categories:
            self._put_in_order(other.categories, other.ordered)
        self.is_plain |= other.is_plain
        if other.seen is not None:
            self._see(other.seen)

    def values(self, keeps_order: bool) -> Any:
        """Every distinct value once, as values of the kind that they came in."""
        seen: Any = pd.Series([], dtype=object) if self.seen is None else self.seen
        if self.categories and not self.is_plain:
            known = list(self.categories) if self.ordered or keeps_order else sorted(self.categories)
            seen = pd.Series(pd.Categorical(seen, categories=known, ordered=self.ordered))
        seen = seen.reset_index(drop=True)
        return seen if self.marked is None else replace(self.marked, values=seen)

    def __len__(self) -> int:
        return 0 if self.seen is None else len(self.seen)


def _is_part(some: list[Any], others: list[Any]) -> bool:
    """Whether the others hold these, in this order."""
    wanted = set(some)
    return [value for value in others if value in wanted] == some
