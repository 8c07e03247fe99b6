"""Whether code looks at no row but its own: only then do the pieces of a stream give the values of the whole.

Such code has the same value in a row whatever other rows it is shown beside it. So a few rows of every piece are
evaluated again: one by itself, and some in random order among rows of the pieces before, where what a piece has in
common, as a constant column or a maximum, is not what all have in common.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from torchglm.design.categorical import Marked, is_categorical
from torchglm.design.environment import DataColumns, called_names, evaluate, names_in
from torchglm.design.learn import columns_of
from torchglm.design.response import Counts
from torchglm.design.sources import Source
from torchglm.design.streams.stream import joined
from torchglm.design.terms import Factor
from torchglm.errors import FormulaError, TorchGLMError

FEW, MANY = 6, 4_096  # rows drawn from a piece; rows of the first one, and of a stretch that is searched
TOGETHER = 16  # pieces whose rows are looked at together
CLOSE = 1e-9  # of the largest value: numpy may round otherwise where rows lie elsewhere in memory

Values = list[np.ndarray]  # (rows,) each


@dataclass(frozen=True)
class Some:
    """Some rows of a piece, and the values that a factor had there."""

    rows: Source
    values: Values


@dataclass
class Met:
    """What is known of a factor: rows of some pieces, those of the last ones first looked at together, later."""

    state: dict[str, Any]  # that its transforms had
    pieces: int = 0
    some: list[Some] = field(default_factory=list)


@dataclass
class OwnRows:
    """Evaluates factors, and looks whether rows have the same values among other rows.

    `caller_of` gives the caller's variables for a table whose index says which rows of the data it has.
    """

    caller_of: Callable[[Source], Mapping[str, Any]]
    met: dict[Factor, Met] = field(default_factory=dict)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def evaluate(self, factor: Factor, data: DataColumns, caller: Mapping[str, Any], state: dict[str, Any]) -> Any:
        """The value of a factor in a piece, as `evaluate` gives it.

        Raises: FormulaError for code that looks at more than its own row; what evaluating the factor raises.
        """
        if factor.kind != "python":
            return evaluate(factor, data, caller, state)
        if "lag" in called_names(factor.text):
            raise _together(factor)
        met = self.met.setdefault(factor, Met(copied(state)))
        value = evaluate(factor, data, caller, state)
        used = np.arange(data.source.rows) if data.rows is None else np.flatnonzero(data.rows)
        if len(used):
            self._look_again(factor, met, data.source, used, value)
        return value

    def finish(self) -> None:
        """Nothing, where also the rows of the last pieces have their values among one another.

        Raises: FormulaError.
        """
        for factor, met in self.met.items():
            self._look_together(factor, met)

    def _look_again(self, factor: Factor, met: Met, piece: Source, used: np.ndarray, value: Any) -> None:
        """Nothing, where rows among `used`, which have that value, have it alone and with some others."""
        chosen = self._choose(factor, piece, used)
        now = _some(factor, piece, used, value, chosen)
        met.some.append(now)
        met.pieces += 1
        if met.pieces == 1:
            half = self.random.permutation(len(used))[: min(-(-len(used) // 2), MANY)]
            self._compare(factor, met, _some(factor, piece, used, value, half))
        if met.pieces.bit_count() == 1:  # the first, second, fourth, eighth, ... piece
            for row in self.random.permutation(len(chosen))[: None if met.pieces == 1 else FEW]:
                self._compare(factor, met, _of(now, [row]))
        if met.pieces.bit_count() == 1 or len(met.some) >= TOGETHER:
            self._look_together(factor, met)

    def _look_together(self, factor: Factor, met: Met) -> None:
        """Nothing, where the rows of several pieces have their values among one another; a few of them are kept."""
        if not met.some:
            return
        if len({len(some.values) for some in met.some}) > 1:
            raise _together(factor)
        among = _stacked(met.some)
        among = _of(among, self.random.permutation(among.rows.rows))
        self._compare(factor, met, among)
        met.some = [_of(among, self._choose(factor, among.rows))]

    def _choose(self, factor: Factor, piece: Source, used: np.ndarray | None = None) -> np.ndarray:
        """Places among `used`: drawn at random, and those of the least and largest values in a stretch of rows."""
        n = piece.rows if used is None else len(used)
        first = int(self.random.integers(max(n - MANY, 0) + 1))
        stretch = slice(first, first + MANY) if used is None else used[first : first + MANY]
        found = [*self.random.integers(n, size=FEW), 0, n - 1]
        for name in _columns(factor, piece):
            column = piece.column(name)
            if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
                numbers = column.to_numpy()[stretch]
                found += [first + numbers.argmin(), first + numbers.argmax()]
        return np.unique(found)

    def _compare(self, factor: Factor, met: Met, some: Some) -> None:
        count = some.rows.rows
        try:
            value = evaluate(factor, DataColumns(some.rows), self.caller_of(some.rows), copied(met.state))
            again = _values(factor, value, count, np.arange(count))
        except TorchGLMError as error:
            raise _together(factor) from error
        if len(again) != len(some.values) or not all(map(_equal, some.values, again)):
            raise _together(factor)


def copied(states: Mapping[str, Any]) -> dict[str, Any]:
    """States that may be written to."""
    return {code: dict(remembered) for code, remembered in states.items()}


def _together(factor: Factor) -> FormulaError:
    return FormulaError(
        f"{factor.text!r} looks at more than its own row, so that the pieces of a stream would give other values than "
        "the whole. Make a column of it first, or read the data into memory."
    )


def _columns(factor: Factor, piece: Source) -> list[str]:
    return sorted(name for name in names_in(factor) if name in piece)


def taken(factor: Factor, piece: Source, rows: np.ndarray) -> Source:
    """Some rows of a piece, with the columns that the factor uses."""
    table = {name: piece.column(name).iloc[rows] for name in _columns(factor, piece)}
    return Source(tuple(table), len(rows), piece.index[rows], table)


def _some(factor: Factor, piece: Source, used: np.ndarray, value: Any, chosen: np.ndarray) -> Some:
    """Those chosen of the rows used in a piece, over which the factor has that value."""
    return Some(taken(factor, piece, used[chosen]), _values(factor, value, len(used), chosen))


def _stacked(some: list[Some]) -> Some:
    names, index = some[0].rows.names, some[0].rows.index.append([s.rows.index for s in some[1:]])
    table = {name: joined([s.rows.column(name) for s in some]) for name in names}
    values = [np.concatenate(columns) for columns in zip(*(s.values for s in some), strict=True)]
    return Some(Source(names, len(index), index, table), values)


def _of(some: Some, rows: Any) -> Some:
    """A few of the rows."""
    table = {name: some.rows.column(name).iloc[rows] for name in some.rows.names}
    source = Source(some.rows.names, len(rows), some.rows.index[rows], table)
    return Some(source, [column[rows] for column in some.values])


def _values(factor: Factor, value: Any, count: int, rows: np.ndarray) -> Values:
    """The columns of a factor's value over `count` rows, in some of them: numbers or objects, None where missing."""
    if isinstance(value, Counts):
        return [np.broadcast_to(np.asarray(c), count)[rows] for c in (value.successes, value.failures)]
    inner = value.values if isinstance(value, Marked) else value
    plain = isinstance(inner, pd.Series) and not (
        pd.api.types.is_numeric_dtype(inner.dtype) or pd.api.types.is_bool_dtype(inner.dtype)
    )
    if plain or is_categorical(value):
        series = pd.Series(inner).iloc[rows].astype(object)
        return [series.where(series.notna(), None).to_numpy()]
    return [column.numpy()[rows] for column in columns_of(factor, value, count)]


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype == object or other.dtype == object:
        return bool(pd.Series(one, dtype=object).equals(pd.Series(other, dtype=object)))
    one, other = one.astype(np.float64), other.astype(np.float64)
    finite = np.abs(one[np.isfinite(one)])
    return bool(np.allclose(one, other, rtol=CLOSE, atol=1e-3 * CLOSE * finite.max(initial=0.0), equal_nan=True))
