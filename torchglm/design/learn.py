"""The learning pass: which rows are used, what the factors are, and what their transforms remember.

Rows with a missing value in any variable used are dropped together, before a transform sees them: one NaN in
`scale(x)` would otherwise empty the data. A transform that makes values missing itself, as log(-1), drops its rows
too, and everything is learned again without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from formulaic.materializers.types import FactorValues
from formulaic.utils.cast import as_columns
from torch import Tensor

from torchglm.design.categorical import Marked, category_codes, coded, codes_of, is_categorical, learn_levels
from torchglm.design.environment import DataColumns, Evaluate, evaluate, kept_values, names_in
from torchglm.design.numbers import as_tensor, missing_rows, view_of
from torchglm.design.schema import Categorical, Learned, Numeric, Schema, Values, even_table
from torchglm.design.sources import Source
from torchglm.design.terms import Factor, Parsed
from torchglm.errors import DataError, FormulaError, LevelError

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


@dataclass(frozen=True)
class Evaluated:
    """A factor over some rows: what was learned of it, and its columns."""

    learned: Learned
    values: Values


def raw_missing(
    factors: Sequence[Factor], source: Source, rows: np.ndarray | None, trusted: frozenset[str] = frozenset()
) -> dict[str, np.ndarray]:
    """The columns of the data that the factors use and that have missing values: name -> (rows,) True where missing.

    Floats that are `trusted` are not looked at.
    """
    used = dict.fromkeys(name for factor in factors for name in sorted(names_in(factor)) if name in source)
    data = DataColumns(source, rows)
    series = {name: data[name] for name in used}
    series = {name: column for name, column in series.items() if name not in trusted or column.dtype not in FLOATS}
    floats = {name: view_of(column.to_numpy()) for name, column in series.items() if column.dtype in FLOATS}
    doubtful = set() if _all_finite(list(floats.values())) else set(floats)
    found = {}
    for name, column in series.items():
        if name in floats:
            missing = missing_rows(name, floats[name], column.index) if name in doubtful else None
        elif isinstance(column.dtype, np.dtype) and column.dtype.kind in "iub":
            missing = None
        elif isinstance(column.dtype, pd.CategoricalDtype):
            missing = _absent(view_of(category_codes(column)))
        else:
            missing = column.isna()
        if missing is not None and bool(missing.any()):
            found[name] = np.asarray(missing)
    return found


def complete_rows(factors: Sequence[Factor], source: Source) -> np.ndarray | None:
    """(rows of the table,) True where no column that the factors use is missing; None for all."""
    found = raw_missing(factors, source, None)
    return ~np.logical_or.reduce(list(found.values())) if found else None


def _all_finite(columns: list[Tensor]) -> bool:
    """Whether every value is finite: one sum over all columns at once, where they lie side by side."""
    table = even_table(tuple((column,) for column in columns))
    return bool(torch.isfinite(table.sum(1)).all()) if table is not None else False


def learn(
    parsed: Parsed,
    source: Source,
    rows: np.ndarray | None,
    caller: Mapping[str, Any],
    contrasts: Mapping[str, Any],
) -> tuple[Schema, dict[str, Values], Tensor | None]:
    """What the terms are over these rows, their values, and (rows,) True where a transform made a value missing.

    Raises: what evaluating a factor raises; DataError for infinite values.
    """
    data = DataColumns(source, rows)
    state: dict[str, Any] = {}
    count = source.rows if rows is None else int(rows.sum())
    learned: dict[str, Learned] = {}
    values: dict[str, Values] = {}
    missing: Tensor | None = None
    index = source.index if rows is None else source.index[rows]
    for factor in parsed.factors:
        result = learn_value(factor, evaluate(factor, data, caller, state), contrasts, count)
        learned[factor.text], values[factor.text] = result.learned, result.values
        if not _is_seen(factor, data):
            missing = _either([missing, _is_missing(factor.text, result.learned, result.values, index)])
    return checked_schema(Schema(parsed, learned, state, kept_values(caller, source.rows)), contrasts), values, missing


def checked_schema(schema: Schema, contrasts: Mapping[str, Any]) -> Schema:
    """The schema.

    Raises: FormulaError for contrasts of what is no factor, and for columns of one name; LevelError for one level.
    """
    _refuse_unknown_contrasts(contrasts, schema.factors)
    _refuse_repeated_names(schema)
    _refuse_constant_factors(schema)
    return schema


def _refuse_constant_factors(schema: Schema) -> None:
    """Nothing, where every factor that is to be contrasted has two levels.

    Raises: LevelError, as R's contrasts do.
    """
    for name, reduced in {choice for parts in schema.pieces for piece in parts for choice in piece}:
        learned = schema.factors[name]
        if reduced and isinstance(learned, Categorical) and len(learned.levels) == 1:
            raise LevelError(
                f"{name!r} has one level only, {learned.levels[0]!r}, in the rows used: there is nothing to contrast. "
                "Leave it out of the formula."
            )


def apply(
    schema: Schema,
    source: Source,
    rows: np.ndarray | None,
    new_levels: str = "raise",
    evaluated: Evaluate = evaluate,
) -> tuple[dict[str, Values], Tensor]:
    """The values of the factors in new data, by what the schema remembers, and (rows,) True where one is missing.

    Raises: LevelError for a level that the fit has not seen, unless `new_levels` is "nan".
    """
    data = DataColumns(source, rows)
    count = source.rows if rows is None else int(rows.sum())
    index = source.index if rows is None else source.index[rows]
    missing: Tensor | None = None
    values: dict[str, Values] = {}
    for factor in schema.parsed.factors:
        known = schema.factors[factor.text]
        value = evaluated(factor, data, schema.caller, _copied(schema.state))
        if isinstance(known, Categorical):
            inner = value.values if isinstance(value, Marked) else value
            codes = codes_of(factor.text, _full_length(factor.text, inner, count), known.levels, new_levels)
            values[factor.text] = (view_of(np.ascontiguousarray(codes)),)
        else:
            values[factor.text] = _numeric(factor, value, count)[1]
            _same_columns(factor, known, values[factor.text])
        missing = _either([missing, _is_missing(factor.text, known, values[factor.text], index)])
    safe = {
        name: (v[0].clamp(min=0),) if isinstance(schema.factors[name], Categorical) else v for name, v in values.items()
    }
    return safe, torch.zeros(count, dtype=torch.bool) if missing is None else missing


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    return {code: dict(remembered) for code, remembered in state.items()}


def _same_columns(factor: Factor, known: Learned, values: Values) -> None:
    if isinstance(known, Numeric) and len(known.names) != len(values):
        raise DataError(
            f"{factor.text!r} has {len(values)} columns in these data and had {len(known.names)} in the fit."
        )


def learn_value(factor: Factor, value: Any, contrasts: Mapping[str, Any], count: int) -> Evaluated:
    """What a factor's value over `count` rows says of the factor, and its columns.

    Raises: LevelError where there is no level; FormulaError, DataError for what is no column.
    """
    if is_categorical(value):
        marked = value if isinstance(value, Marked) else Marked(value)
        inner = _full_length(factor.text, marked.values, count)
        levels, codes = learn_levels(factor.text, inner, marked.levels)
        if not levels:
            raise LevelError(f"{factor.text!r} has no level: every value is missing.")
        contrast = marked.contrasts if marked.contrasts is not None else _default(factor.text, contrasts)
        full, reduced = (coded(factor.text, levels, contrast, r) for r in (False, True))
        learned = Categorical(tuple(levels), full, reduced, marked.spans_intercept)
        return Evaluated(learned, (view_of(codes),))
    known, values = _numeric(factor, value, count)
    return Evaluated(known, values)


def _default(name: str, contrasts: Mapping[str, Any]) -> Any:
    """What contrasts= says of a factor, which it may name as `g` or as `C(g)`."""
    inside = name[2:-1] if name.startswith("C(") and name.endswith(")") else name
    return contrasts.get(name, contrasts.get(inside))


def _refuse_unknown_contrasts(contrasts: Mapping[str, Any], learned: Mapping[str, Learned]) -> None:
    known = [name for name, f in learned.items() if isinstance(f, Categorical)]
    plain = {name[2:-1] if name.startswith("C(") else name for name in known}
    for name in contrasts:
        if name not in plain and name not in known:
            raise FormulaError(
                f"contrasts= names {name!r}, which is no categorical factor of the formula: {sorted(plain)}."
            )


def _refuse_repeated_names(schema: Schema) -> None:
    labels = [term.label for term in schema.parsed.terms]
    for names in (labels, schema.names):
        if len(set(names)) < len(names):
            name = next(n for n in names if list(names).count(n) > 1)
            raise FormulaError(
                f"Two columns of the model are named {name!r}. Rename the column or the level of the data."
            )


def _full_length(name: str, values: Any, count: int) -> Any:
    length = len(values) if np.ndim(values) else None
    if length != count:
        raise FormulaError(f"{name!r} gives {length if length is not None else 'a single'} value(s) for {count} rows.")
    return values


def columns_of(factor: Factor, value: Any, count: int) -> Values:
    """The columns of a numeric factor's value, (count,) each.

    Raises: FormulaError, DataError for what is no column.
    """
    return _numeric(factor, value, count)[1]


def _numeric(factor: Factor, value: Any, count: int) -> tuple[Numeric, Values]:
    """A numeric factor's names and columns; the names of several are formulaic's `name[field]`."""
    spans, dropped, form = False, None, "{name}[{field}]"
    if isinstance(value, FactorValues):
        facts = value.__formulaic_metadata__
        if facts.encoder is not None:
            raise FormulaError(f"{factor.text!r} encodes itself, which is not supported. Make a column of it first.")
        spans, dropped, form = facts.spans_intercept, facts.drop_field, facts.get_format()
        columns = as_columns(value)
        columns = columns.__wrapped__ if isinstance(columns, FactorValues) else columns
    else:
        columns = as_columns(value)
    if not isinstance(columns, dict):
        if np.ndim(columns) == 0:
            columns = np.full(count, columns)
        tensor = as_tensor(factor.text, _full_length(factor.text, columns, count))
        return Numeric((factor.text,), spans), (tensor,)
    fields = [field for field in columns if not str(field).startswith("__")]
    names = tuple(form.format(name=factor.text, field=field) for field in fields)
    tensors = tuple(as_tensor(factor.text, _full_length(factor.text, columns[field], count)) for field in fields)
    return Numeric(names, spans, fields.index(dropped) if spans and dropped in fields else None), tensors


def _is_missing(name: str, learned: Learned, values: Values, index: pd.Index) -> Tensor | None:
    """(rows,) True where the factor is missing; None where nowhere."""
    if isinstance(learned, Categorical):
        return _absent(values[0])
    return _either(missing_rows(name, column, index) for column in values)


def _absent(codes: Tensor) -> Tensor | None:
    """(rows,) True where a code is -1; None where none is."""
    return codes < 0 if len(codes) and int(codes.min()) < 0 else None


def _either(masks: Iterable[Tensor | None]) -> Tensor | None:
    total = None
    for mask in masks:
        if mask is not None:
            total = mask if total is None else total | mask
    return total


def _is_seen(factor: Factor, data: DataColumns) -> bool:
    """Whether the factor is a float column of the data itself, whose rows `raw_missing` has looked at."""
    return factor.kind == "lookup" and factor.text in data and data.source.column(factor.text).dtype in FLOATS
