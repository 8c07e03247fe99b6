"""Reference grids: every combination of some variables' values, the others at a typical one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.inference.effects.variables import Variable, mean_of, mode_of, values_given, variables_of
from torchglm.inference.rows import EvaluatedRows

MOST_ROWS = 1_000_000


def asked_values(rows: EvaluatedRows, role: str, given: Any) -> dict[str, list[Any]]:
    """The values of each variable that a grid names, in its order.

    Raises: OptionError for what is no dict, or an empty one; UnknownNameError for what is no variable; LevelError.
    """
    if not isinstance(given, Mapping) or not given:
        raise OptionError(f'{role}= is a dict, as {{"x": [1, 2], "g": None}}; got {given!r}.')
    known = variables_of(rows, offsets=True)
    for name in given:
        if name not in known:
            raise UnknownNameError(f"{role}= names {name!r}, no variable of the fit. {did_you_mean(str(name), known)}")
    return {name: values_given(role, known[name], value) for name, value in given.items()}


def crossed(role: str, values: Mapping[str, list[Any]]) -> pd.DataFrame:
    """Every combination of the values, a row each; the last variable varies fastest.

    Raises: OptionError for more than a million.
    """
    count = math.prod(map(len, values.values()))
    if count > MOST_ROWS:
        shown = " x ".join(f"{len(v)} ({name})" for name, v in values.items() if len(v) > 1)
        raise OptionError(f"{role} makes {count:,} combinations: {shown}. Give fewer values with at= or grid=.")
    combinations = list(itertools.product(*values.values()))
    frame = {}
    for place, name in enumerate(values):
        column = [combination[place] for combination in combinations]
        numeric = all(isinstance(value, int | float | np.number) for value in column)
        frame[name] = pd.Series(column) if numeric else pd.Series(column, dtype=object)
    return pd.DataFrame(frame, index=pd.RangeIndex(count))


def typical(rows: EvaluatedRows, variable: Variable) -> Any:
    """The mean of a numeric variable, the most frequent level of another."""
    return mean_of(rows, variable.name) if variable.levels is None else mode_of(rows, variable)


def reference_grid(rows: EvaluatedRows, role: str, given: Any) -> pd.DataFrame:
    """The combinations of the values given, beside the typical value of every other variable, offset included.

    Raises: what `asked_values` and `crossed` raise.
    """
    frame = crossed(role, asked_values(rows, role, given))
    others = {v.name: typical(rows, v) for v in variables_of(rows, offsets=True).values() if v.name not in frame}
    fixed = {name: pd.Series([value] * len(frame), index=frame.index) for name, value in others.items()}
    return pd.DataFrame({**{name: frame[name] for name in frame}, **fixed})
