"""From a formula, data and the arguments beside them to a Design: which rows, what response, which weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.among_ranks import held_by_all, together
from torchglm.design.design import Design
from torchglm.design.environment import DataColumns, caller_values, evaluate, names_in
from torchglm.design.extras import Extra, aligned, read_extras, refuse_bad_weights
from torchglm.design.keys import several
from torchglm.design.learn import learn
from torchglm.design.missing import drop_evaluated, drop_raw, drop_without_key
from torchglm.design.numbers import missing_rows, settled
from torchglm.design.offsets import log_exposure
from torchglm.design.prepared import Prepared
from torchglm.design.request import Request, check_request
from torchglm.design.response import Response, read_classes, read_columns, read_response
from torchglm.design.schema import Schema, Values
from torchglm.design.sources import Source
from torchglm.design.streams.prepare import prepare_stream
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.terms import Factor, Parsed
from torchglm.design.weights import KINDS, Weights, all_zero, frequency_of_trials, no_trials
from torchglm.errors import DataError, FormulaError, OptionError


@together("reading the data")
def prepare(
    parsed: Parsed, source: Source, request: Request, caller: Mapping[str, Any], trusting: bool = False
) -> Prepared:
    """The data of a fit. `trusting`: float columns that no code uses are not looked at for missing or infinite values.

    Raises: UnknownNameError, FormulaError, DataError, ResponseError, WeightError, LevelError, OptionError.
    """
    check_request(parsed, request)
    if isinstance(source, StreamedSource):
        return prepare_stream([parsed], source, request, caller)[0]
    assert parsed.response is not None
    extras = read_extras(parsed, source, request)
    factors = [parsed.response, *parsed.factors, *(e.factor for e in extras if e.factor is not None)]
    rows = subset_rows(request.subset, source, caller)
    roles = [(role, given) for role in ("cluster", "by") if (given := getattr(request, role)) is not None]
    keys = [(role, key) for role, given in roles for key in several(given)]
    chosen = [Factor(text, "python") for text in (request.subset, *(key for _, key in keys)) if isinstance(text, str)]
    whole = caller_values([*factors, *chosen], source, caller)
    caller = caller_values(factors, source, caller)
    asked = source.rows if rows is None else int(rows.sum())
    _refuse_empty(source, asked)
    rows = drop_raw(factors, source, rows, request.missing, _plain(factors) if trusting else frozenset())
    for role, key in keys:
        rows = drop_without_key(role, key, source, rows, request.missing, whole)
    while True:  # a transform that makes values missing drops its rows, and is learned again without them
        read = _read(parsed, source, rows, caller, extras, request)
        if read.missing is None:
            break
        rows = drop_evaluated(rows, read.missing, request.missing, parsed.text)
    return _assemble(parsed, source, read, extras, rows, asked, request, whole)


def _plain(factors: list[Factor]) -> frozenset[str]:
    """The columns that are factors as they are, and in the code of none."""
    looked_up = {factor.text for factor in factors if factor.kind == "lookup"}
    return frozenset(looked_up.difference(*(names_in(factor) for factor in factors if factor.kind != "lookup")))


@dataclass(frozen=True)
class _Read:
    schema: Schema
    values: dict[str, Values]
    response: Response
    extras: dict[int, Tensor]
    missing: Tensor | None


def subset_rows(subset: Any, source: Source, caller: Mapping[str, Any]) -> np.ndarray | None:
    """(rows,) True where the caller wants the row; None for all."""
    if subset is None:
        return None
    if isinstance(subset, str):
        factor = Factor(subset, "lookup" if subset in source else "python")
        subset = evaluate(factor, DataColumns(source), caller_values([factor], source, caller), {})
    if isinstance(subset, pd.Series) and len(subset) == source.rows:
        subset = settled(aligned("subset", subset, source))
        if str(subset.dtype) in ("boolean", "bool[pyarrow]"):  # a row for which nobody knows is not wanted
            subset = subset.fillna(False).astype(bool)
    mask = np.asarray(subset.detach().cpu() if isinstance(subset, Tensor) else subset).copy()
    if mask.shape != (source.rows,) or mask.dtype.kind != "b":
        raise OptionError(
            f"subset= must give True or False for each of the {source.rows} rows; "
            f"got {mask.dtype} of shape {mask.shape}."
        )
    return mask


def _refuse_empty(source: Source, asked: int) -> None:
    if source.rows == 0:
        raise DataError("The data have no rows.")
    if asked == 0:
        raise DataError(f"subset= leaves none of the {source.rows} rows.")


def _read(
    parsed: Parsed,
    source: Source,
    rows: np.ndarray | None,
    caller: Mapping[str, Any],
    extras: list[Extra],
    request: Request,
) -> _Read:
    """Everything evaluated over the rows, and which of them have turned out missing."""
    data = DataColumns(source, rows)
    index = source.index if rows is None else source.index[rows]
    schema, values, missing = learn(parsed, source, rows, caller, request.contrasts or {})
    assert parsed.response is not None
    value = evaluate(parsed.response, data, caller, {})
    if request.classes:
        response = read_classes(parsed.response.text, value, request.base)
    elif request.columns:
        response = read_columns(parsed.response.text, value, index)
    else:
        response = read_response(parsed.response.text, value, index)
    if len(response.y) != len(index):
        raise FormulaError(f"The response {parsed.response.text!r} has {len(response.y)} values for {len(index)} rows.")
    read = {id(extra): extra.read(data, caller) for extra in extras}
    named = [(parsed.response.text, column) for column in response.columns]
    for name, column in [*named, *((f"{e.role}={e.label}", read[id(e)]) for e in extras)]:
        if len(column) != len(index):
            raise DataError(f"{name} has {len(column)} values for {len(index)} rows.")
        found = missing_rows(name, column, index)
        if found is not None:
            missing = found if missing is None else missing | found
    return _Read(schema, values, response, read, missing)


def _assemble(
    parsed: Parsed,
    source: Source,
    read: _Read,
    extras: list[Extra],
    rows: np.ndarray | None,
    asked: int,
    request: Request,
    caller: Mapping[str, Any],
) -> Prepared:
    n = len(read.response.y)
    offsets = [extra for extra in extras if extra.role == "offset"]
    exposure = next((extra for extra in extras if extra.role == "exposure"), None)
    offset = _offset(read, offsets, exposure, source, rows)
    weights = _weights(read, extras, source, rows)
    whole = Design(
        read.response.y,
        (read.schema.columns(read.values, n, center=True),),
        (offset,),
        None if weights is None else weights.values,
    )
    whole = held_by_all(whole, request.described([parsed], caller))
    design, zero = whole, 0
    if weights is not None:
        zero = int((weights.values == 0).sum())
        if zero:
            design = whole.take(torch.nonzero(weights.values > 0).flatten())
            weights = weights.where(weights.values > 0)
    assert parsed.response is not None
    return Prepared(
        design,
        whole,
        read.schema,
        read.response,
        parsed.response.text,
        weights,
        tuple(offsets),
        exposure,
        source.index,
        rows,
        asked - n,
        zero,
        parsed,
        request,
        source,
        caller,
    )


def _offset(
    read: _Read, offsets: list[Extra], exposure: Extra | None, source: Source, rows: np.ndarray | None
) -> Tensor | None:
    total = None
    for extra in offsets:
        total = read.extras[id(extra)] if total is None else total + read.extras[id(extra)]
    if exposure is not None:
        values = read.extras[id(exposure)]
        logs = log_exposure(values, exposure.label, source.index if rows is None else source.index[rows])
        total = logs if total is None else total + logs
    return total


def _weights(read: _Read, extras: list[Extra], source: Source, rows: np.ndarray | None) -> Weights | None:
    """The weights, a cbind's trials multiplied in.

    Raises: WeightError.
    """
    given = next((extra for extra in extras if extra.role in KINDS), None)
    trials = read.response.trials
    if trials is not None and not bool((trials > 0).any()):
        raise no_trials()
    if given is None:
        return None if trials is None else KINDS["weights"](trials, "trials of cbind")
    if trials is not None and given.role == "freq_weights":
        raise frequency_of_trials(given.label)
    values = read.extras[id(given)]
    index = source.index if rows is None else source.index[rows]
    refuse_bad_weights(given, values, index)
    if not bool((values > 0).any()):
        raise all_zero(given.role, given.label)
    return KINDS[given.role](values if trials is None else values * trials, given.label, trials).normal()
