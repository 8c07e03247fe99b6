"""What transforms remember, learned from whole columns of a stream: one transform at a time, and only where need be."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from torchglm.design.environment import DataColumns, evaluate
from torchglm.design.learn import raw_missing
from torchglm.design.sources import Source
from torchglm.design.streams.plan import Plan
from torchglm.design.terms import Factor
from torchglm.errors import DataError, TorchGLMError

TRIAL = 200  # rows
PARTS = ((0.1, 0.5), (0.4, 0.9))  # of the range of a column: two trials that agree in nothing but the code


def learn_state(
    plan: Plan, factor: Factor, head: Source, caller: Mapping[str, Any], kept: np.ndarray | None, states: dict[str, Any]
) -> int | None:
    """How many rows a transform has learned from, into `states`; None for a factor that learns nothing from rows.

    Raises: DataError for a transform that needs more memory than there is; what evaluating the factor raises.
    """
    if factor.kind == "lookup":
        return None
    trial: dict[str, Any] = {}
    complete = _complete(factor, head)
    taken = _memory_of(factor, DataColumns(head, complete), caller, trial)
    if not any(trial.values()):
        return None
    if _is_given(plan, factor, head, caller):
        states.update(trial)
        return None
    n, room = plan.source.rows, plan.stream.room.memory
    names = plan.names((factor,))
    needed = n * (taken / head.rows + 8 * len(names))
    if needed > room:
        raise DataError(
            f"{factor.text!r} learns from all {n:,} rows at once, which takes about {needed / 1e9:.2g} GB; "
            f"memory_limit= allows {room / 1e9:.2g} GB. Allow more, or write what it would learn into the formula: "
            "knots=, lower_bound= and upper_bound= of a spline, (x - 40) / 10 for scale(x)."
        )
    whole = Source(tuple(names), n, plan.source.index, {name: plan.source.column(name) for name in names})
    rows = kept if kept is not None else _complete(factor, whole)
    evaluate(factor, DataColumns(whole, rows), dict(plan.caller), states)
    return n if rows is None else int(rows.sum())


def copied(states: Mapping[str, Any]) -> dict[str, Any]:
    """States that may be written to."""
    return {code: dict(remembered) for code, remembered in states.items()}


def _complete(factor: Factor, source: Source) -> np.ndarray | None:
    """(rows,) True where no column of the factor is missing; None for all."""
    found = raw_missing([factor], source, None)
    return ~np.logical_or.reduce(list(found.values())) if found else None


def _memory_of(factor: Factor, data: DataColumns, caller: Mapping[str, Any], state: dict[str, Any]) -> int:
    """The bytes that evaluating the factor takes at its peak."""
    if tracemalloc.is_tracing():
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        evaluate(factor, data, caller, state)
        return tracemalloc.get_traced_memory()[1] - before
    tracemalloc.start()
    try:
        evaluate(factor, data, caller, state)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _is_given(plan: Plan, factor: Factor, head: Source, caller: Mapping[str, Any]) -> bool:
    """Whether the code itself says all that the transform remembers, as a spline's knots and bounds."""
    found = []
    for seed, (low, high) in enumerate(PARTS):
        rng, columns = np.random.default_rng(seed), {}
        for name in plan.names((factor,)):
            column = head.column(name)
            if not isinstance(column.dtype, np.dtype) or column.dtype.kind not in "if":
                return False
            first, last = float(column.min()), float(column.max())
            columns[name] = pd.Series(first + (last - first) * rng.uniform(low, high, TRIAL))
        state: dict[str, Any] = {}
        try:
            evaluate(factor, DataColumns(Source(tuple(columns), TRIAL, pd.RangeIndex(TRIAL), columns)), caller, state)
        except TorchGLMError:
            return False
        found.append(state)
    return _same(*found)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))
