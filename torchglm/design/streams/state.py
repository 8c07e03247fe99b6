"""What transforms remember, learned from whole columns of a stream: one transform at a time, and only where need be."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from torchglm.design.environment import DataColumns, Transform, evaluate, transforms_in
from torchglm.design.learn import columns_of, complete_rows
from torchglm.design.sources import Source
from torchglm.design.streams.own_rows import taken
from torchglm.design.streams.plan import Plan
from torchglm.design.terms import Factor
from torchglm.errors import DataError, FormulaError, TorchGLMError

TRIAL = 4_096  # rows
PARTS = ((0.1, 0.5), (0.4, 0.9))  # of the range of a transform's argument: two trials that have only the code in common
ROW_BYTES = 100  # that a transform takes of which no trial tells


def learn_state(
    plan: Plan, factor: Factor, head: Source, kept: np.ndarray | None, states: dict[str, Any]
) -> int | None:
    """How many rows a transform has learned from, into `states`; None for a factor that learns nothing from rows.

    Raises: DataError for a transform that needs more memory than there is; what evaluating the factor raises.
    """
    transforms = transforms_in(factor, plan.caller)
    if not transforms:
        return None
    row_bytes, trial = _tried(plan, factor, head)
    if trial is not None and not any(trial.values()):
        return None
    if trial is not None and _are_given(plan, transforms, head):
        states.update(trial)
        return None
    n, names = plan.source.rows, plan.names((factor,))
    _refuse_too_large(plan, factor, n * (row_bytes + 8 * len(names)))
    whole = Source(tuple(names), n, plan.source.index, {name: plan.source.column(name) for name in names})
    rows = kept if kept is not None else complete_rows([factor], whole)
    evaluate(factor, DataColumns(whole, rows), dict(plan.caller), states)
    return n if rows is None else int(rows.sum())


def _refuse_too_large(plan: Plan, factor: Factor, needed: float) -> None:
    n, room = plan.source.rows, plan.stream.room.memory
    if needed > room:
        raise DataError(
            f"{factor.text!r} learns from all {n:,} rows at once, which takes about {needed / 1e9:.2g} GB; "
            f"memory_limit= allows {room / 1e9:.2g} GB. Allow more, or write what it would learn into the formula: "
            "knots=, lower_bound= and upper_bound= of a spline, (x - 40) / 10 for scale(x)."
        )


def _tried(plan: Plan, factor: Factor, head: Source) -> tuple[float, dict[str, Any] | None]:
    """The bytes a row that a transform takes, and what it remembers of some rows; None where it cannot take them.

    That says nothing: of a constant a spline cannot be made, of the whole column it may be.
    """
    complete = complete_rows([factor], head)
    places = np.arange(head.rows) if complete is None else np.flatnonzero(complete)
    some = taken(factor, head, np.resize(places, TRIAL) if len(places) else places)
    state: dict[str, Any] = {}
    try:
        peak = _peak_of(factor, DataColumns(some), plan.values(some), state)
    except FormulaError:
        return ROW_BYTES, None
    return (peak / some.rows, state) if some.rows else (ROW_BYTES, None)


def _peak_of(factor: Factor, data: DataColumns, caller: Mapping[str, Any], state: dict[str, Any]) -> int:
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


def _are_given(plan: Plan, transforms: list[Transform], head: Source) -> bool:
    """Whether the code itself says all that transforms remember, as a spline's knots and bounds.

    It does where they remember the same of any values: those of the argument itself are made up, for of columns there
    might be some for which it is different, as center(x > 1000).
    """
    try:
        return all(
            t.code and _same(*(_made_up(t, plan.values(head), head, part) for part in PARTS)) for t in transforms
        )
    except TorchGLMError:
        return False


def _made_up(
    transform: Transform, caller: Mapping[str, Any], head: Source, part: tuple[float, float]
) -> dict[str, Any]:
    """What a transform remembers of values that lie in a part of the range that its argument has in the first piece."""
    argument = Factor(transform.argument, "python")
    values = torch.cat(columns_of(argument, evaluate(argument, DataColumns(head), caller, {}), head.rows)).numpy()
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    column = pd.Series(low + (high - low or 1.0) * np.random.default_rng(0).uniform(*part, TRIAL))
    made, state = Source(("argument",), TRIAL, column.index, {"argument": column}), {}
    evaluate(Factor(transform.code, "python"), DataColumns(made), caller, state)
    return state


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))
