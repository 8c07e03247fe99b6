"""Plan: what a fit asks of a stream, and how a piece of it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from torchglm.design.design import ONE_RANK
from torchglm.design.environment import DataColumns, Evaluate, names_in
from torchglm.design.extras import Extra
from torchglm.design.keys import several
from torchglm.design.request import Request, has_rows
from torchglm.design.sources import Source
from torchglm.design.streams.stream import Stream
from torchglm.design.terms import Factor, Parsed
from torchglm.design.weights import KINDS
from torchglm.errors import DataError
from torchglm.numerics.ranks import Ranks


@dataclass(frozen=True)
class Plan:
    """The formulas of a model over one stream, which have one response; `extras` are offsets, exposure and weights.

    `source` is the table of all rows; `stream` gives those of this rank.
    """

    formulas: tuple[Parsed, ...]
    source: Source
    stream: Stream
    request: Request
    caller: Mapping[str, Any]
    extras: tuple[tuple[Extra, ...], ...]  # of each formula
    ranks: Ranks = ONE_RANK

    @property
    def response(self) -> Factor:
        """The left-hand side."""
        response = self.formulas[0].response
        assert response is not None
        return response

    @cached_property
    def terms(self) -> tuple[Factor, ...]:
        """The distinct factors of all right-hand sides."""
        return tuple(dict.fromkeys(factor for parsed in self.formulas for factor in parsed.factors))

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """All that is evaluated in rows that may not be missing: terms, response and extras."""
        given = [extra.factor for extras in self.extras for extra in extras if extra.factor is not None]
        return tuple(dict.fromkeys((self.response, *self.terms, *given)))

    @cached_property
    def keys(self) -> list[Any]:
        """The clusters that no row may miss."""
        return [] if self.request.cluster is None else several(self.request.cluster)

    @property
    def has_weights(self) -> bool:
        """Whether weights were given."""
        return any(extra.role in KINDS for extra in self.extras[0])

    @cached_property
    def beside(self) -> tuple[Factor, ...]:
        """What else is looked at: subset and clusters."""
        return tuple(self._factor(text) for text in (self.request.subset, *self.keys) if isinstance(text, str))

    def _factor(self, text: str) -> Factor:
        return Factor(text, "lookup" if text in self.source else "python")

    def names(self, factors: tuple[Factor, ...]) -> list[str]:
        """The columns that factors use, or one column where they use none: rows have to be counted."""
        found = list(dict.fromkeys(name for f in factors for name in sorted(names_in(f)) if name in self.source))
        return found or list(self.stream.names[:1])

    @cached_property
    def plain(self) -> frozenset[str]:
        """The columns that no code looks at."""
        everything = (*self.factors, *self.beside)
        coded = {name for factor in everything if factor.kind != "lookup" for name in names_in(factor)}
        return frozenset(self.names(everything)) - coded

    def values(self, piece: Source) -> dict[str, Any]:
        """The caller's variables for a piece: of those with one value a row of the data, the piece's own."""
        n = self.source.rows
        return {name: self.cut(value, piece) if has_rows(value, n) else value for name, value in self.caller.items()}

    def cut(self, value: Any, piece: Source) -> Any:
        """One value a row of the data -> those of the rows that the piece has."""
        index = piece.index
        place = slice(index.start, index.stop) if isinstance(index, pd.RangeIndex) else index.to_numpy()
        return value.iloc[place] if isinstance(value, pd.Series) else value[place]

    def extra(self, extra: Extra, piece: Source) -> Extra:
        """The argument for a piece."""
        return extra if extra.factor is not None else replace(extra, array=self.cut(extra.array, piece))

    def subset(self, piece: Source, caller: Mapping[str, Any], evaluated: Evaluate) -> np.ndarray | None:
        """(rows of the piece,) True where subset= wants the row; None for all."""
        subset = self.request.subset
        if subset is None:
            return None
        if not isinstance(subset, str):
            return np.asarray(self.cut(subset, piece)).astype(bool)
        wanted = evaluated(self._factor(subset), DataColumns(piece), caller, {})
        wanted = wanted.fillna(False) if isinstance(wanted, pd.Series) else wanted
        mask = np.asarray(wanted)
        if mask.shape != (piece.rows,) or mask.dtype.kind not in "bO":
            raise DataError(f"subset={subset!r} must be True or False in every row; got {mask.dtype}.")
        return mask.astype(bool)
