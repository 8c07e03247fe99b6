"""Names to values: the data first, then the caller's variables, then formulaic's transforms.

A function that a formula calls by the name of a transform is that transform, whatever the caller has under that
name: a variable `C` does not break `C(g)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from formulaic.parser.types import Factor as FormulaicFactor
from formulaic.transforms import TRANSFORMS
from formulaic.utils.layered_mapping import LayeredMapping
from formulaic.utils.stateful_transforms import stateful_eval

from torchglm.design.categorical import mark_categorical
from torchglm.design.response import cbind
from torchglm.design.sources import Source
from torchglm.design.terms import Factor
from torchglm.errors import FormulaError, TorchGLMError, UnknownNameError, did_you_mean

AS_GIVEN = {"C", "hashed", "Q", "str"}  # what looks at labels, not at quantities
OURS: dict[str, Any] = {**TRANSFORMS, "C": mark_categorical, "cbind": cbind}


class DataColumns(Mapping[str, Any]):
    """The columns of a source as a mapping that the evaluation of code can ask."""

    def __init__(self, source: Source, rows: Any = None, promote: bool = False):
        self.source = source
        self.rows = rows  # a boolean mask of the rows in use, or None for all
        self.promote = promote  # integers as float64, as R computes: x**10 of int64 wraps around at 79

    def __getitem__(self, name: str) -> Any:
        if name not in self.source:
            raise KeyError(name)
        column = self.source.column(name)
        if self.promote and isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu":
            column = column.astype(np.float64)
        return column if self.rows is None else column[self.rows]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.source

    def __iter__(self) -> Any:
        return iter(self.source.names)

    def __len__(self) -> int:
        return len(self.source.names)


def names_in(factor: Factor) -> set[str]:
    """The variables that a factor needs: its own name, or the roots of the names in its code."""
    if factor.kind == "lookup":
        return {factor.text}
    needed = FormulaicFactor(factor.text, eval_method=factor.kind).required_variables
    return {str(v.root) for v in needed} | {str(v) for v in needed}


def called_names(text: str) -> set[str]:
    """The plain names that code calls as functions; empty where the code cannot be read."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return {text.partition("(")[0].strip()}
    return {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


def caller_values(factors: Iterable[Factor], source: Source, caller: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's variables that the factors use and the data do not have."""
    values = {}
    for factor in factors:
        names = names_in(factor) | called_names(factor.text) if factor.kind == "python" else names_in(factor)
        for name in names:
            if name in caller and name not in source and name not in values:
                values[name] = caller[name]
    return values


def evaluate(factor: Factor, data: DataColumns, caller: Mapping[str, Any], state: dict[str, Any]) -> Any:
    """The value of a factor; stateful transforms learn into `state`, or use what it holds.

    Raises: UnknownNameError for a name that is nowhere; FormulaError where the code raises.
    """
    if factor.kind == "lookup":
        if factor.text in data:
            return data[factor.text]
        if factor.text in caller:
            return caller[factor.text]
        raise UnknownNameError(
            f"{factor.text!r} is neither a column of the data nor a variable of the caller. "
            f"{did_you_mean(factor.text, data.source.names)}"
        )
    called = called_names(factor.text)
    ours = {name: OURS[name] for name in called if name in OURS}
    if not called & AS_GIVEN:
        data = DataColumns(data.source, data.rows, promote=True)
    environment = LayeredMapping(ours, data, caller, OURS)
    try:
        return stateful_eval(factor.text, environment, {}, state, None)
    except TorchGLMError:
        raise
    except NameError as error:
        name = error.name or str(error)
        raise UnknownNameError(
            f"{name!r} in {factor.text!r} is neither a column of the data, nor a function or variable known here. "
            f"{did_you_mean(name, [*data.source.names, *OURS])}"
        ) from error
    except Exception as error:
        raise FormulaError(f"{factor.text!r} cannot be evaluated: {type(error).__name__}: {error}") from error
