"""Names to values: the data first, then the caller's variables, then formulaic's transforms.

A function that a formula calls by the name of a transform is that transform, whatever the caller has under that
name: a variable `C` does not break `C(g)`.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pandas as pd
from formulaic.transforms import TRANSFORMS
from formulaic.utils.layered_mapping import LayeredMapping
from formulaic.utils.stateful_transforms import stateful_eval

from torchglm.design.categorical import is_categorical, mark_categorical
from torchglm.design.request import has_rows
from torchglm.design.response import cbind
from torchglm.design.sources import Source
from torchglm.design.terms import Factor
from torchglm.errors import DataError, FormulaError, TorchGLMError, UnknownNameError, did_you_mean

AS_GIVEN = {"C", "hashed", "Q", "str"}  # what looks at labels, not at quantities
OURS: dict[str, Any] = {**TRANSFORMS, "C": mark_categorical, "cbind": cbind}
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
LOGIC = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Invert)
NO_VALUES = (FunctionType, BuiltinFunctionType, ModuleType, type, np.ufunc)  # what a name may stand for beside them
QUOTED = re.compile(r"`([^`]*)`")


ROWS_OF_FIT = (
    "was a variable beside the data, with one value a row of the fit, of no use to other rows. "
    "Give the data a column of that name."
)


@dataclass(frozen=True)
class Unavailable:
    """Stands for a variable of the caller that new data cannot use; `why` ends the sentence that says so."""

    name: str
    why: str = ROWS_OF_FIT


class DataColumns(Mapping[str, Any]):
    """The columns of a source as a mapping that the evaluation of code can ask."""

    def __init__(self, source: Source, rows: Any = None, promote: str = ""):
        self.source = source
        self.rows = rows  # a boolean mask of the rows in use, or None for all
        self.promote = promote  # numpy kinds to take as float64, as R computes: x**10 of int64 wraps around at 79

    def __getitem__(self, name: str) -> Any:
        if name not in self.source:
            raise KeyError(name)
        column = self.source.column(name)
        column = column if self.rows is None else column[self.rows]
        if not self.promote or column.dtype == np.float64 or column.dtype.kind not in self.promote:
            return column
        if isinstance(column.dtype, np.dtype):
            return column.astype(np.float64)
        return pd.Series(column.to_numpy(np.float64, na_value=np.nan), index=column.index)  # type: ignore[union-attr]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.source

    def __iter__(self) -> Any:
        return iter(self.source.names)

    def __len__(self) -> int:
        return len(self.source.names)


Evaluate = Callable[[Factor, DataColumns, Mapping[str, Any], dict[str, Any]], Any]  # as `evaluate`


@functools.lru_cache(256)
def names_in(factor: Factor) -> frozenset[str]:
    """The variables that a factor needs: its own name, or the roots of the names in its code."""
    if factor.kind == "lookup":
        return frozenset({factor.text})
    quoted, nodes = QUOTED.findall(factor.text), _nodes(factor.text)
    asked = {
        a.value
        for n in nodes
        if isinstance(n, ast.Call) and _is_called(n, "Q")
        for a in n.args
        if isinstance(a, ast.Constant)
    }
    named = {n.id for n in nodes if isinstance(n, ast.Name)}
    return frozenset({*quoted, *asked, *named} - set(map(_placeholder, quoted)))


def _is_called(call: ast.Call, name: str) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == name


def _placeholder(quoted: str) -> str:
    return f"quoted_{quoted.encode().hex()}"


@functools.lru_cache(256)
def _nodes(text: str) -> list[ast.AST]:
    """What code consists of; nothing where it cannot be read."""
    try:
        return list(ast.walk(ast.parse(QUOTED.sub(lambda m: _placeholder(m[1]), text).strip(), mode="eval")))
    except SyntaxError:
        return []


def called_names(text: str) -> set[str]:
    """The plain names that code calls as functions."""
    return {n.func.id for n in _nodes(text) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}


class _Counting(ast.NodeTransformer):
    """Adds conditions up as numbers: numpy's True + True is True, R's is 2."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Add | ast.Sub):
            node.left, node.right = _as_number(node.left), _as_number(node.right)
        return node


def _as_number(node: ast.expr) -> ast.expr:
    logic = isinstance(node, ast.BinOp | ast.UnaryOp) and isinstance(node.op, LOGIC)
    return ast.BinOp(ast.Constant(1.0), ast.Mult(), node) if logic or isinstance(node, ast.Compare) else node


@functools.lru_cache(256)
def _counting(text: str) -> str:
    if not any(isinstance(n, ast.Compare | ast.operator | ast.Invert) for n in _nodes(text)):
        return text
    tree = ast.parse(QUOTED.sub(lambda m: _placeholder(m[1]), text).strip(), mode="eval")
    return _unparsed(_Counting().visit(tree), text)


def _unparsed(node: ast.AST, text: str) -> str:
    """The code of a node of `text`, with the names that are quoted there."""
    code = ast.unparse(node)
    for name in QUOTED.findall(text):
        code = code.replace(_placeholder(name), f"`{name}`")
    return code


@dataclass(frozen=True)
class Transform:
    """A call of what remembers something: the code of its first argument, and its own with `argument` in that place.

    Both are empty where it has no argument without a name.
    """

    argument: str = ""
    code: str = ""


def transforms_in(factor: Factor, caller: Mapping[str, Any]) -> list[Transform]:
    """The calls in a factor's code that remember something of the data of a fit."""
    found = []
    for node in _nodes(factor.text) if factor.kind == "python" else ():
        if isinstance(node, ast.Call) and getattr(_called(node.func, caller), "__is_stateful_transform__", False):
            first, *others = node.args or (None,)
            general = ast.Call(node.func, [ast.Name("argument"), *others], node.keywords)
            found.append(
                Transform(_unparsed(first, factor.text), _unparsed(general, factor.text)) if first else Transform()
            )
    return found


def _called(function: ast.expr, caller: Mapping[str, Any]) -> Any:
    """What code calls by a plain name or as an attribute of one; None for anything else."""
    if isinstance(function, ast.Attribute):
        return getattr(_called(function.value, caller), function.attr, None)
    return {**caller, **OURS}.get(function.id) if isinstance(function, ast.Name) else None


def promoted_kinds(text: str) -> str:
    """The numpy kinds that code computes with as float64: integers, and bool where it does sums but no logic."""
    nodes = _nodes(text)
    if called_names(text) & AS_GIVEN:
        return ""
    sums = any(isinstance(n, ast.BinOp) and isinstance(n.op, ARITHMETIC) for n in nodes)
    return "iufb" if sums and not any(isinstance(n, LOGIC) for n in nodes) else "iuf"


def caller_values(factors: Iterable[Factor], source: Source, caller: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's variables that the factors use and the data do not have."""
    values = {}
    for factor in factors:
        for name in names_in(factor):
            if name in source or name in values or name not in caller or caller[name] is OURS.get(name):
                continue
            values[name] = caller[name]
    return values


def _restricted(caller: Mapping[str, Any], data: DataColumns) -> Mapping[str, Any]:
    """The caller's variables, those with one value a row of the data cut to the rows in use."""
    if data.rows is None:
        return caller
    keep, n = data.rows, data.source.rows
    return {name: value[keep] if has_rows(value, n) else value for name, value in caller.items()}


def kept_values(caller: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """The caller's variables as a fit keeps them for new data: none that had one value a row."""
    return {name: Unavailable(name) if rows > 1 and has_rows(value, rows) else value for name, value in caller.items()}


def _refuse_unavailable(factor: Factor, data: DataColumns, caller: Mapping[str, Any]) -> None:
    for name in names_in(factor):
        value = caller.get(name)
        if name not in data and isinstance(value, Unavailable):
            raise DataError(f"{name!r} in the formula {value.why}")


def evaluate(factor: Factor, data: DataColumns, caller: Mapping[str, Any], state: dict[str, Any]) -> Any:
    """The value of a factor; stateful transforms learn into `state`, or use what it holds.

    Raises: UnknownNameError for a name that is nowhere; FormulaError where the code raises.
    """
    _refuse_unavailable(factor, data, caller)
    if factor.kind == "lookup":
        if factor.text in data:
            return data[factor.text]
        if factor.text in caller:
            return _restricted({factor.text: caller[factor.text]}, data)[factor.text]
        raise UnknownNameError(
            f"{factor.text!r} is neither a column of the data nor a variable of the caller. "
            f"{did_you_mean(factor.text, data.source.names)}"
        )
    called = called_names(factor.text)
    if "lag" in called and data.rows is not None:  # the row before is one of the data, in use or not
        return evaluate(factor, DataColumns(data.source), caller, state)[data.rows]
    ours = {name: OURS[name] for name in called if name in OURS}
    data = DataColumns(data.source, data.rows, promoted_kinds(factor.text))
    named = LayeredMapping(data, name="data")  # where Q("a name") looks
    environment = LayeredMapping(ours, named, _restricted(caller, data), OURS)
    try:
        with np.errstate(all="ignore"):  # infinite values are refused below by row, missing ones are counted
            value = stateful_eval(_counting(factor.text), environment, {}, state, None)
    except TorchGLMError:
        raise
    except NameError as error:
        name = error.name or str(error)
        raise UnknownNameError(
            f"{name!r} in {factor.text!r} is neither a column of the data, nor a function or variable known here. "
            f"{did_you_mean(name, [*data.source.names, *(OURS if name in called_names(factor.text) else ())])}"
        ) from error
    except Exception as error:
        raise FormulaError(
            f"{factor.text!r} cannot be evaluated: {type(error).__name__}: {error}{_text_among(factor, data)}"
        ) from error
    if isinstance(value, NO_VALUES):
        raise UnknownNameError(
            f"{factor.text!r} is no column of the data: it names a {type(value).__name__}. "
            f"{did_you_mean(factor.text, data.source.names)}"
        )
    return value


def _text_among(factor: Factor, data: DataColumns) -> str:
    """Which of a factor's columns are text, as a likely reason why it cannot be evaluated."""
    text = [name for name in sorted(names_in(factor)) if name in data and is_categorical(data[name])]
    return "".join(f". {name!r} holds text or categories, not numbers" for name in text) + ("." if text else "")
