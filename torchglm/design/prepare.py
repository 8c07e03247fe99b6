"""From a formula, data and the arguments beside them to a Design: which rows, what response, which weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.design import Design
from torchglm.design.environment import DataColumns, caller_values, evaluate
from torchglm.design.extras import Extra, aligned, read_extra
from torchglm.design.keys import read_key, several
from torchglm.design.learn import learn, raw_missing
from torchglm.design.numbers import missing_rows, row_label, settled
from torchglm.design.response import Response, read_classes, read_columns, read_response
from torchglm.design.schema import Schema, Values
from torchglm.design.sources import Source
from torchglm.design.terms import Factor, Parsed
from torchglm.design.weights import KINDS, Weights, first_bad_weight
from torchglm.errors import DataError, FormulaError, OptionError, WeightError


@dataclass(frozen=True)
class Request:
    """What the caller asked for, beside formula and data."""

    weights: Any = None
    freq_weights: Any = None
    prob_weights: Any = None
    offset: Any = None
    exposure: Any = None
    subset: Any = None
    missing: str = "drop"
    contrasts: Mapping[str, Any] | None = None
    cluster: Any = None  # a key, or a list of them, that no row of the fit may miss
    classes: bool = False  # whether the response is labels of classes
    base: Any = None  # the class that comes first
    columns: bool = False  # whether the response may have several columns


@dataclass(frozen=True)
class Prepared:
    """The data of a fit. `whole` holds the rows used; `design` those of them with a positive weight."""

    design: Design
    whole: Design
    schema: Schema
    response: Response
    response_name: str
    weights: Weights | None
    offsets: tuple[Extra, ...]
    exposure: Extra | None
    index: pd.Index  # of all rows of the data
    rows: np.ndarray | None  # (rows of the data,) True where used; None for all
    missing: int
    zero_weight: int
    parsed: Parsed
    request: Request
    source: Source  # the user's table
    caller: Mapping[str, Any]  # the caller's variables that formula and arguments use

    def used_of(self, values: np.ndarray) -> np.ndarray:
        """Of one value a row of the data, those of the rows of `design`: used, and of positive weight."""
        used = values if self.rows is None else values[self.rows]
        return used if not self.zero_weight else used[(self.whole.weight > 0).cpu().numpy()]  # type: ignore[operator]

    @property
    def offset_note(self) -> str | None:
        """The offsets as a summary names them."""
        labels = [extra.label for extra in self.offsets]
        if self.exposure is not None:
            labels.append(f"log({self.exposure.label})")
        return " + ".join(labels) or None


def prepare(parsed: Parsed, source: Source, request: Request, caller: Mapping[str, Any]) -> Prepared:
    """The data of a fit.

    Raises: UnknownNameError, FormulaError, DataError, ResponseError, WeightError, LevelError, OptionError.
    """
    if request.missing not in ("drop", "raise"):
        raise OptionError(f'missing= is "drop" or "raise"; got {request.missing!r}.')
    if request.contrasts is not None and not isinstance(request.contrasts, Mapping):
        raise OptionError(f'contrasts= is a dict, as {{"g": contr.sum}}; got {type(request.contrasts).__name__}.')
    if parsed.response is None:
        raise FormulaError(f"The formula {parsed.text!r} has no response. Write 'y ~ ...'.")
    extras = _extras(parsed, source, request)
    factors = [parsed.response, *parsed.factors, *(e.factor for e in extras if e.factor is not None)]
    rows = _subset(request.subset, source, caller)
    keys = [] if request.cluster is None else several(request.cluster)
    chosen = [Factor(text, "python") for text in (request.subset, *keys) if isinstance(text, str)]
    whole = caller_values([*factors, *chosen], source, caller)
    caller = caller_values(factors, source, caller)
    asked = source.rows if rows is None else int(rows.sum())
    _refuse_empty(source, asked)
    rows = _drop_raw(factors, source, rows, request.missing)
    for key in keys:
        rows = _drop_without_key(key, source, rows, request.missing, whole)
    while True:  # a transform that makes values missing drops its rows, and is learned again without them
        read = _read(parsed, source, rows, caller, extras, request)
        if read.missing is None:
            break
        rows = _drop_evaluated(source, rows, read.missing, request.missing, parsed)
    return _assemble(parsed, source, read, extras, rows, asked, request, whole)


@dataclass(frozen=True)
class _Read:
    schema: Schema
    values: dict[str, Values]
    response: Response
    extras: dict[int, Tensor]
    missing: Tensor | None


def _extras(parsed: Parsed, source: Source, request: Request) -> list[Extra]:
    given = {name: getattr(request, name) for name in KINDS}
    if sum(value is not None for value in given.values()) > 1:
        both = " and ".join(f"{name}=" for name, value in given.items() if value is not None)
        raise OptionError(f"{both} contradict each other: a weight has one meaning. See docs/weights.md.")
    extras = [Extra("offset", factor) for factor in parsed.offsets]
    extras.extend(read_extra(role, getattr(request, role), source) for role in ("offset", "exposure"))  # type: ignore[arg-type]
    extras.extend(read_extra(role, value, source) for role, value in given.items())  # type: ignore[arg-type]
    return [extra for extra in extras if extra is not None]


def _subset(subset: Any, source: Source, caller: Mapping[str, Any]) -> np.ndarray | None:
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


def _drop_raw(factors: list[Factor], source: Source, rows: np.ndarray | None, policy: str) -> np.ndarray | None:
    found = raw_missing(factors, source, rows)
    if not found:
        return rows
    shown = ", ".join(f"{name!r} ({int(m.sum())} rows)" for name, m in found.items())
    if policy == "raise":
        name, mask = next(iter(found.items()))
        row = row_label(source.index if rows is None else source.index[rows], int(np.argmax(mask)))
        raise DataError(
            f'Missing values in {shown}; the first in {name!r} at row {row}. missing="raise" '
            'refuses them: fill them, or say missing="drop".'
        )
    keep = ~np.logical_or.reduce(list(found.values()))
    if not keep.any():
        raise DataError(f"No row is complete: every row has a missing value in {shown}.")
    return _restrict(source, rows, keep)


def _drop_without_key(
    key: Any, source: Source, rows: np.ndarray | None, policy: str, caller: Mapping[str, Any]
) -> np.ndarray | None:
    label, values = read_key("cluster", key, source, caller)
    missing = values.isna().to_numpy() if rows is None else values.isna().to_numpy()[rows]
    if not missing.any():
        return rows
    if policy == "raise":
        row = row_label(source.index if rows is None else source.index[rows], int(missing.argmax()))
        raise DataError(
            f'cluster={label} is missing in {int(missing.sum())} row(s), the first at row {row}. missing="raise" '
            'refuses them: fill them, or say missing="drop".'
        )
    if missing.all():
        raise DataError(f"No row is left: cluster={label} is missing in every row.")
    return _restrict(source, rows, ~missing)


def _drop_evaluated(
    source: Source, rows: np.ndarray | None, missing: Tensor, policy: str, parsed: Parsed
) -> np.ndarray:
    if policy == "raise":
        raise DataError(f'Evaluating {parsed.text!r} makes {int(missing.sum())} row(s) missing, and missing="raise".')
    keep = ~missing.numpy()
    if not keep.any():
        raise DataError(
            f"No row is left: evaluating {parsed.text!r} makes every row missing. A transform such as "
            "scale() spreads one missing value over all rows: leave rows without a defined argument out with subset=."
        )
    return _restrict(source, rows, keep)


def _restrict(source: Source, rows: np.ndarray | None, keep: np.ndarray) -> np.ndarray:
    if rows is None:
        return keep
    out = rows.copy()
    out[rows] = keep
    return out


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


def log_exposure(values: Tensor, label: str, index: pd.Index) -> Tensor:
    """log of the exposures.

    Raises: DataError where one is not positive.
    """
    if bool((values <= 0).any()):
        row = int(torch.nonzero(values <= 0)[0])
        raise DataError(
            f"exposure={label} must be positive, for its log is added to the linear predictor; "
            f"row {row_label(index, row)} has {float(values[row])}."
        )
    return values.log()


def _weights(read: _Read, extras: list[Extra], source: Source, rows: np.ndarray | None) -> Weights | None:
    """The weights, a cbind's trials multiplied in.

    Raises: WeightError.
    """
    given = next((extra for extra in extras if extra.role in KINDS), None)
    trials = read.response.trials
    if trials is not None and not bool((trials > 0).any()):
        raise WeightError("cbind(successes, failures) has no trial: both are zero in every row.")
    if given is None:
        return None if trials is None else KINDS["weights"](trials, "trials of cbind")
    if trials is not None and given.role == "freq_weights":
        raise WeightError(
            f"freq_weights={given.label} cannot repeat the rows of cbind(successes, failures): a row of trials that is "
            "repeated is not a row of more trials, and n counts rows. Write the rows out, as "
            f"data.loc[data.index.repeat(data[{given.label!r}])], or count 0/1 responses."
        )
    values = read.extras[id(given)]
    index = source.index if rows is None else source.index[rows]
    bad = first_bad_weight(values)
    if bad is not None:
        raise WeightError(
            f"{given.role}={given.label} is {float(values[bad])} in row {row_label(index, bad)}. Weights are >= 0."
        )
    if not bool((values > 0).any()):
        raise WeightError(f"{given.role}={given.label} is zero in every row.")
    return KINDS[given.role](values if trials is None else values * trials, given.label, trials)


def new_offset(
    prepared_offsets: tuple[Extra, ...],
    exposure: Extra | None,
    source: Source,
    rows: np.ndarray | None,
    caller: Mapping[str, Any],
    given: Mapping[str, Any],
) -> Tensor | None:
    """The offset of new data: every offset of the fit evaluated there again; `given` replaces one that was an array.

    Raises: DataError where the fit's offset was an array and none is given.
    """
    data, total = DataColumns(source, rows), None
    _refuse_unused(prepared_offsets, exposure, given)
    for extra in (*prepared_offsets, *(() if exposure is None else (exposure,))):
        if extra.factor is None:
            value = given.get(extra.role)
            if value is None:
                raise DataError(
                    f"The fit's {extra.role} was an array of its own rows. Give {extra.role}= for the new rows "
                    f"({'ones' if extra.role == 'exposure' else 'zeros'} for none), or fit with the name of a column."
                )
            extra = read_extra(extra.role, value, source) or extra
        column = extra.read(data, caller)
        if extra.role == "exposure":
            column = log_exposure(column, extra.label, source.index if rows is None else source.index[rows])
        total = column if total is None else total + column
    return total


def _refuse_unused(offsets: tuple[Extra, ...], exposure: Extra | None, given: Mapping[str, Any]) -> None:
    """Nothing, where every argument given replaces an array of the fit.

    Raises: OptionError: it would be left out of the prediction without a word.
    """
    arrays = {extra.role for extra in (*offsets, exposure) if extra is not None and extra.factor is None}
    for role, value in given.items():
        if value is not None and role not in arrays:
            raise OptionError(
                f"{role}= of predict() replaces an array of the fit, and this fit has none: what the formula or "
                f"{role}= named is evaluated again in the new data."
            )
