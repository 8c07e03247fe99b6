"""The variables of a formula: columns of the data, numeric or with levels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.categorical import is_categorical, learn_levels
from torchglm.design.environment import names_in
from torchglm.design.numbers import as_tensor
from torchglm.design.schema import Categorical
from torchglm.design.terms import Factor
from torchglm.errors import LevelError, OptionError, UnknownNameError, did_you_mean
from torchglm.inference.rows import EvaluatedRows


@dataclass(frozen=True)
class Variable:
    """A column that the formula uses; `levels` in their order, or None where it is numeric."""

    name: str
    levels: tuple[Any, ...] | None

    def level(self, given: Any) -> Any:
        """The level that `given` is.

        Raises: LevelError.
        """
        assert self.levels is not None
        for level in self.levels:
            if level == given:
                return level
        raise LevelError(
            f"{self.name!r} has no level {given!r}. {did_you_mean(str(given), [str(level) for level in self.levels])}"
        )


def variables_of(rows: EvaluatedRows, offsets: bool = False) -> dict[str, Variable]:
    """The variables of the terms by name, in the formula's order; then those of the offset alone, where asked for."""
    record = rows.record
    factors = record.factors if offsets else record.schema.parsed.factors
    columns = [name for factor in factors for name in _in_order(factor) if name in rows.source]
    return {name: Variable(name, _levels(rows, name)) for name in dict.fromkeys(columns)}


def chosen(rows: EvaluatedRows, names: Iterable[str]) -> dict[str, Variable]:
    """The variables of those names.

    Raises: UnknownNameError for a name that is no variable of the formula.
    """
    known = variables_of(rows)
    for name in names:
        if name not in known:
            what = "is a column that the formula does not use" if name in rows.source else "is no variable of the fit"
            raise UnknownNameError(f"{name!r} {what}. {did_you_mean(str(name), known)}")
    return {name: known[name] for name in names}


def _in_order(factor: Factor) -> list[str]:
    return sorted(names_in(factor), key=factor.text.find)


def _levels(rows: EvaluatedRows, name: str) -> tuple[Any, ...] | None:
    """Those that the fit has learned of the column itself or of C(column, ...), else those of a column of text."""
    for text, learned in rows.record.schema.factors.items():
        if isinstance(learned, Categorical) and (text == name or is_marked(text, name)):
            return learned.levels
    column = rows.column(name)
    if pd.api.types.is_bool_dtype(column.dtype):
        return (False, True)
    return tuple(learn_levels(name, column, None)[0]) if is_categorical(column) else None


def is_marked(text: str, name: str) -> bool:
    """Whether the code of a factor is C(...) of that column."""
    quoted = re.escape(name)
    return bool(re.match(rf"C\(\s*(?:{quoted}|`{quoted}`|Q\(['\"]{quoted}['\"]\))\s*[,)]", text))


def numbers_of(rows: EvaluatedRows, name: str) -> Tensor:
    """(rows,) float64: the values of a numeric variable."""
    return as_tensor(name, rows.column(name)).to(torch.float64)


def mean_of(rows: EvaluatedRows, name: str) -> float:
    """The mean of a numeric variable, rows counting as they do in averages."""
    x = numbers_of(rows, name)
    return float(x.mean() if rows.weights is None else x.dot(rows.weights) / rows.weights.sum())


def mode_of(rows: EvaluatedRows, variable: Variable) -> Any:
    """The level that most rows have; the first of several."""
    assert variable.levels is not None
    levels = pd.Index(list(variable.levels), dtype=object)
    place = levels.get_indexer(pd.Index(rows.column(variable.name), dtype=object))
    weights = None if rows.weights is None else rows.weights.numpy()[place >= 0]
    return variable.levels[int(np.argmax(np.bincount(place[place >= 0], weights, len(variable.levels))))]


def values_given(role: str, variable: Variable, given: Any) -> list[Any]:
    """The values asked for of a variable: one or several; None for all levels.

    Raises: OptionError for none, for None where there are no levels, and for what is no number; LevelError.
    """
    if given is None:
        if variable.levels is None:
            raise OptionError(f"{role}= asks for all levels of {variable.name!r}, which is numeric: give its values.")
        return list(variable.levels)
    several = isinstance(given, list | tuple | np.ndarray | pd.Series | pd.Index | range | Tensor)
    values = list(given.tolist() if isinstance(given, np.ndarray | Tensor) else given) if several else [given]
    if not values:
        raise OptionError(f"{role}= gives no value of {variable.name!r}.")
    if variable.levels is not None:
        return [variable.level(value) for value in values]
    return [number_given(role, variable.name, value) for value in values]


def number_given(role: str, name: str, value: Any) -> float | int:
    """A finite number, whole where it was given so.

    Raises: OptionError.
    """
    if not isinstance(value, int | float | np.number) or not np.isfinite(value):
        raise OptionError(f"{role}= takes finite numbers for {name!r}, which is numeric; got {value!r}.")
    return int(value) if isinstance(value, int | np.integer) else float(value)  # type: ignore[arg-type]
