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

from torchglm.design.categorical import is_categorical
from torchglm.design.environment import DataColumns, kept_values
from torchglm.design.learn import checked_schema, learn_value
from torchglm.design.response import MOST_CLASSES, Counts, Response, read_classes, read_response
from torchglm.design.schema import Learned, Schema
from torchglm.design.streams.distinct import Distinct
from torchglm.design.streams.own_rows import OwnRows, copied
from torchglm.design.streams.plan import Plan
from torchglm.design.streams.state import learn_state
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.terms import Factor
from torchglm.errors import DataError


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


def learn_stream(plan: Plan, kept: np.ndarray | None, own: OwnRows) -> Known:
    """What the formulas are over the stream's rows, or over those where `kept` is True.

    Raises: what evaluating a factor raises; FormulaError for code that looks at more than its own row; DataError for
    a transform that needs more memory than there is.
    """
    assert isinstance(plan.source, StreamedSource)
    names = plan.names((*plan.factors, *plan.beside))
    head = plan.source.stream.head(names, plan.plain, kept)  # the same one on every rank
    if head is None:
        raise DataError(
            f"{plan.stream.label} gave no row where it had {plan.source.rows} before. A function given as data makes "
            "a new iterator at every call: lambda: iter(frames), not lambda: it."
        )
    caller = plan.values(head)
    states: dict[str, Any] = {}
    seen = [learn_state(plan, factor, head, kept, states) for factor in plan.terms]
    counted = [count for count in seen if count is not None]
    used = np.ones(head.rows, dtype=bool) if kept is None else plan.cut(kept, head)
    data = DataColumns(head, None if kept is None else used)  # a spline takes no row beyond its bounds
    first = {
        factor: own.evaluate(factor, data, caller, states if factor in plan.terms else {})
        for factor in (*plan.factors, *plan.beside)
    }
    categorical = [factor for factor in (plan.response, *plan.terms) if is_categorical(first[factor])]
    if plan.request.classes and plan.response not in categorical:
        categorical.append(plan.response)
    levels = _levels(plan, categorical, kept, states, own)
    response = levels.pop(plan.response, None)
    contrasts = plan.request.contrasts or {}
    learned: dict[str, Learned] = {}
    for factor in plan.terms:
        value = levels.get(factor, first[factor])
        count = len(getattr(value, "values", value)) if factor in levels else int(used.sum())
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


def _levels(
    plan: Plan, factors: list[Factor], kept: np.ndarray | None, states: Mapping[str, Any], own: OwnRows
) -> dict[Factor, Any]:
    """Each factor's distinct values, from one pass over the columns that they and the choice of rows need."""
    if not factors:
        return {}
    text = plan.stream.text
    found, wanted = {factor: Distinct(factor.text, factor.text in text) for factor in factors}, 0
    for piece in plan.stream.pieces(plan.names((*factors, *plan.beside)), plan.plain):
        caller = plan.values(piece)
        rows = plan.subset(piece, caller, own.evaluate) if kept is None else plan.cut(kept, piece)
        data = DataColumns(piece, rows)
        wanted += piece.rows if rows is None else int(rows.sum())
        for factor, distinct in found.items():
            if factor != plan.response or len(distinct) <= MOST_CLASSES:  # beyond, it is refused in any case
                value = own.evaluate(factor, data, caller, copied(states))
                try:
                    distinct.add(value)
                except DataError:
                    own.finish()  # code that looks at other rows is the likelier reason
                    raise
    if not plan.ranks.total(wanted):
        raise no_row_wanted(plan)
    if plan.ranks.world > 1:
        every = plan.ranks.gather([replace(distinct, marked=None) for distinct in found.values()], "gathering levels")
        joined = {f: Distinct(f.text, distinct.is_text, marked=distinct.marked) for f, distinct in found.items()}
        for each in every:
            for distinct, theirs in zip(joined.values(), each, strict=True):
                distinct.join(theirs)
        found = joined
    return {factor: distinct.values(plan.stream.keeps_order) for factor, distinct in found.items()}


def no_row_wanted(plan: Plan) -> DataError:
    """The error of a subset= that leaves nothing."""
    return DataError(f"subset= leaves none of the {plan.source.rows} rows.")
