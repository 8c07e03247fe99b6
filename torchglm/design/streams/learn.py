"""The learning passes over a stream: only the columns of levels and of transforms that remember something.

Levels are gathered piece by piece; a transform such as scale() sees its whole column, one transform at a time. Both
are exact where every row that they saw is used; whether that is so turns out when the rows are encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from torchglm.design.categorical import Marked, is_categorical
from torchglm.design.environment import DataColumns, called_names, evaluate, kept_values
from torchglm.design.learn import checked_schema, columns_of, learn_value
from torchglm.design.response import MOST_CLASSES, Counts, Response, read_classes, read_response
from torchglm.design.schema import Learned, Schema
from torchglm.design.sources import Source
from torchglm.design.streams.distinct import Distinct
from torchglm.design.streams.plan import Plan
from torchglm.design.streams.state import copied, learn_state
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.terms import Factor
from torchglm.errors import DataError, FormulaError


@dataclass(frozen=True)
class Known:
    """What a stream has told of itself.

    stateful    how many rows each transform saw that remembers something
    has_trials  whether the response is successes and failures
    """

    schemas: tuple[Schema, ...]
    response: Response | None  # of levels; None where it is numbers
    stateful: frozenset[int]
    has_trials: bool


def learn_stream(plan: Plan, kept: np.ndarray | None) -> Known:
    """What the formulas are over the stream's rows, or over those where `kept` is True.

    Raises: what evaluating a factor raises; FormulaError for code that looks at more than its own row; DataError for
    a transform that needs more memory than there is.
    """
    assert isinstance(plan.source, StreamedSource)
    names = plan.names((*plan.factors, *plan.beside))
    head = next(plan.source.stream.pieces(names, plan.plain), None)  # the same one on every rank
    if head is None:
        raise DataError("The data have no rows.")
    caller = plan.values(head)
    states: dict[str, Any] = {}
    seen = [learn_state(plan, factor, head, caller, kept, states) for factor in plan.terms]
    counted = [count for count in seen if count is not None]
    first = {factor: evaluate(factor, DataColumns(head), caller, states) for factor in (plan.response, *plan.terms)}
    for factor in plan.factors:
        _refuse_rows_together(factor, head, caller, states)
    categorical = [f for f, value in first.items() if is_categorical(value)]
    if plan.request.classes and plan.response not in categorical:
        categorical.append(plan.response)
    levels = _levels(plan, categorical, kept, states)
    response = levels.pop(plan.response, None)
    contrasts = plan.request.contrasts or {}
    learned: dict[str, Learned] = {}
    for factor in plan.terms:
        value = levels.get(factor, first[factor])
        count = len(getattr(value, "values", value)) if factor in levels else head.rows
        learned[factor.text] = learn_value(factor, value, contrasts, count).learned
    schemas = tuple(
        checked_schema(
            Schema(
                parsed,
                {f.text: learned[f.text] for f in parsed.factors},
                states,
                kept_values(plan.caller, plan.source.rows),
            ),
            contrasts,
        )
        for parsed in plan.formulas
    )
    return Known(schemas, _read_levels(plan, response), frozenset(counted), isinstance(first[plan.response], Counts))


def _read_levels(plan: Plan, values: Any) -> Response | None:
    if values is None:
        return None
    name = plan.response.text
    if plan.request.classes:
        return read_classes(name, values, plan.request.base)
    return read_response(name, values, pd.RangeIndex(len(values)))


def _levels(plan: Plan, factors: list[Factor], kept: np.ndarray | None, states: Mapping[str, Any]) -> dict[Factor, Any]:
    """Each factor's distinct values, from one pass over the columns that they and the choice of rows need."""
    if not factors:
        return {}
    found, wanted = {factor: Distinct() for factor in factors}, 0
    for piece in plan.stream.pieces(plan.names((*factors, *plan.beside)), plan.plain):
        caller = plan.values(piece)
        rows = plan.subset(piece, caller) if kept is None else plan.cut(kept, piece)
        data = DataColumns(piece, rows)
        wanted += piece.rows if rows is None else int(rows.sum())
        for factor, distinct in found.items():
            if factor != plan.response or len(distinct) <= MOST_CLASSES:  # beyond, it is refused in any case
                distinct.add(evaluate(factor, data, caller, copied(states)))
    if not plan.ranks.total(wanted):
        raise no_row_wanted(plan)
    if plan.ranks.world > 1:
        every = plan.ranks.gather([replace(distinct, marked=None) for distinct in found.values()], "gathering levels")
        joined = {factor: Distinct(marked=distinct.marked) for factor, distinct in found.items()}
        for each in every:
            for distinct, theirs in zip(joined.values(), each, strict=True):
                distinct.join(theirs)
        found = joined
    kept_order = plan.stream.keeps_order
    return {f: distinct.values(kept_order and f.text not in plan.stream.text) for f, distinct in found.items()}


def no_row_wanted(plan: Plan) -> DataError:
    """The error of a subset= that leaves nothing."""
    return DataError(f"subset= leaves none of the {plan.source.rows} rows.")


def _refuse_rows_together(factor: Factor, head: Source, caller: Mapping[str, Any], states: Mapping[str, Any]) -> None:
    """Nothing, where a factor's value in a row does not depend on which other rows are looked at.

    Raises: FormulaError: by pieces, x - x.mean() would not be what it is over all rows.
    """
    if factor.kind == "lookup" or head.rows < 2:
        return
    if "lag" in called_names(factor.text):
        raise _together(factor)
    first = np.arange(head.rows) < head.rows // 2
    every = _arrays(factor, evaluate(factor, DataColumns(head), caller, copied(states)), head.rows)
    for half in (first, ~first):
        part = evaluate(factor, DataColumns(head, half), caller, copied(states))
        pairs = zip(every, _arrays(factor, part, int(half.sum())), strict=True)
        if not all(_equal(whole[half], some) for whole, some in pairs):
            raise _together(factor)


def _together(factor: Factor) -> FormulaError:
    return FormulaError(
        f"{factor.text!r} looks at more than its own row, so that the pieces of a stream would give other values than "
        "the whole. Make a column of it first, or read the data into memory."
    )


def _arrays(factor: Factor, value: Any, count: int) -> list[np.ndarray]:
    """The columns of a factor's value, (count,) each."""
    if isinstance(value, Counts):
        return [np.broadcast_to(np.asarray(column), count) for column in (value.successes, value.failures)]
    if is_categorical(value):
        inner = value.values if isinstance(value, Marked) else value
        return [np.asarray(pd.Series(inner).astype(object))]
    return [column.numpy() for column in columns_of(factor, value, count)]


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype == object:
        return bool(pd.Series(one).equals(pd.Series(other)))
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
