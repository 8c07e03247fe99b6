"""Categorical variables: values -> levels and codes, and contrasts -> codings with formulaic's names."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from formulaic.transforms.contrasts import Contrasts, CustomContrasts, TreatmentContrasts

from torchglm.design.numbers import row_label
from torchglm.design.parts import Coding
from torchglm.errors import DataError, FormulaError, LevelError, did_you_mean

LOOKED_AT = 65_536  # rows, for the levels that occur in them
ARROW_TEXT = ("string[pyarrow]", "large_string[pyarrow]")


@dataclass(frozen=True)
class Marked:
    """What C(values, contrasts, levels=) returns: values that are to be categorical, and how."""

    values: Any
    contrasts: Any = None
    levels: Sequence[Any] | None = None
    spans_intercept: bool = True


def mark_categorical(data: Any, contrasts: Any = None, *, levels: Any = None, spans_intercept: bool = True) -> Marked:
    """`data` marked as categorical: the C(...) of a formula."""
    if isinstance(data, Marked):
        data = data.values
    return Marked(data, contrasts, None if levels is None else list(levels), spans_intercept)


@dataclass(frozen=True)
class Coded:
    """The coding of one factor: full, or reduced by its contrasts, with the names of its columns."""

    coding: Coding
    names: tuple[str, ...]


def is_categorical(values: Any) -> bool:
    """Whether values are categorical by their type: text, objects, categories. Numbers and bool are not."""
    if isinstance(values, Marked):
        return True
    dtype = values.dtype if isinstance(values, pd.Series | pd.api.extensions.ExtensionArray | np.ndarray) else None
    if isinstance(dtype, np.dtype):
        return dtype.kind in "US" or (dtype.kind == "O" and kind_of_objects(values) in ("string", "bytes", "empty"))
    return isinstance(dtype, pd.CategoricalDtype | pd.StringDtype) or str(dtype) in ARROW_TEXT


def kind_of_objects(values: Any) -> str:
    """What values of dtype object are, missing ones aside, in pandas' words: "string", "date", "mixed", ..."""
    return pd.api.types.infer_dtype(np.asarray(values).reshape(-1), skipna=True)


def learn_levels(name: str, values: Any, declared: Sequence[Any] | None) -> tuple[list[Any], np.ndarray]:
    """The levels that occur, in their order, and each row's code (-1 where missing).

    The order is the declared one, that of the categories, or sorted. Levels without rows are dropped, as R's glm does.
    Raises: DataError for values that cannot be levels.
    """
    series = values if isinstance(values, pd.Series) else pd.Series(values)
    try:
        if declared is not None:
            _refuse_undeclared(name, series, declared)
            series = pd.Series(pd.Categorical(series, categories=list(declared)))
        elif not isinstance(series.dtype, pd.CategoricalDtype):
            series = series.astype("category")
    except NotImplementedError as error:  # pandas has no index of float16
        raise DataError(
            f"{name!r} cannot be categorical: it holds half-precision numbers ({series.dtype}). Convert them to whole "
            "numbers, float32 or text."
        ) from error
    except TypeError as error:
        raise DataError(f"{name!r} cannot be categorical: {error}.") from error
    codes = category_codes(series)
    levels = list(series.cat.categories)
    used = used_codes(codes, len(levels))
    if not used.all():
        place = np.where(used, np.cumsum(used) - 1, -1)
        codes = np.where(codes >= 0, place[codes], -1)
        levels = [level for level, is_used in zip(levels, used, strict=True) if is_used]
    return levels, codes


def category_codes(series: pd.Series) -> np.ndarray:
    """The codes of a categorical series where they lie, -1 where missing. They are not to be written to."""
    return series.array.codes  # type: ignore[union-attr]


def used_codes(codes: np.ndarray, count: int) -> np.ndarray:
    """(count,) True for the codes that occur: most often the first rows tell that all do."""
    used = np.zeros(count + 1, dtype=bool)  # the last is that of missing values, -1
    for start in range(0, len(codes), LOOKED_AT):
        used[codes[start : start + LOOKED_AT]] = True
        if used[:-1].all():
            break
    return used[:-1]


def _refuse_undeclared(name: str, series: pd.Series, declared: Sequence[Any]) -> None:
    extra = [v for v in pd.unique(series.dropna()) if v not in set(declared)]
    if extra:
        raise LevelError(f"{name!r} holds {extra[0]!r}, which is not among the levels given: {list(declared)}.")


def codes_of(name: str, values: Any, levels: Sequence[Any], unseen: str) -> np.ndarray:
    """The codes of new values under the levels of the fit; -1 where missing.

    Raises: LevelError for a value that the fit has not seen, unless `unseen` is "nan": then its code is -1.
    """
    series = values if isinstance(values, pd.Series) else pd.Series(values)
    try:
        place, distinct = _distinct(series)
        known = pd.Index(list(levels), dtype=object).get_indexer(pd.Index(distinct, dtype=object))
    except TypeError as error:
        raise DataError(f"{name!r} cannot be categorical: {error}.") from error
    codes = np.append(known, -1)[place]  # the last for missing values, whose place is -1
    if unseen == "raise":
        strange = (codes < 0) & series.notna().to_numpy()
        if strange.any():
            row = int(np.argmax(strange))
            value = series.iloc[row]
            value = value.item() if isinstance(value, np.generic) else value
            shown = [str(level) for level in levels]
            hint = (
                did_you_mean(str(value), shown)
                if str(value) not in shown
                else f"The fit's are {levels[0]!r}, ...: of another type."
            )
            raise LevelError(
                f"{name!r} holds the level {value!r} (row {row_label(series.index, row)}), "
                f"which the fit has not seen. {hint} "
                'For missing predictions there instead, say new_levels="nan".'
            )
    return codes


def _distinct(series: pd.Series) -> tuple[np.ndarray, Any]:
    """The place of every value among those that there may be, -1 where missing, and these values."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return category_codes(series), series.cat.categories
    return pd.factorize(series)


def coded(name: str, levels: Sequence[Any], contrasts: Any, reduced: bool) -> Coded:
    """The coding of a factor's levels, with formulaic's column names.

    Raises: FormulaError for contrasts that do not fit the levels.
    """
    contrast = _contrast(contrasts)
    levels = list(levels)
    if reduced and len(levels) == 1:
        return Coded(Coding(0, index=torch.full((1,), -1)), ())
    try:
        fields = list(contrast.get_coding_column_names(levels, reduced_rank=reduced))
        form = contrast.get_factor_format(levels, reduced_rank=reduced)
        coding = _selection(contrast, fields, levels, reduced)
        if coding is None:
            matrix = np.asarray(contrast.get_coding_matrix(levels, reduced_rank=reduced), dtype=np.float64)
            coding = Coding(matrix.shape[1], matrix=torch.tensor(matrix))
    except (ValueError, IndexError, KeyError) as error:
        raise FormulaError(f"The contrasts of {name!r} do not fit its levels {levels[:10]}: {error}") from error
    if coding.matrix is not None and len(coding.matrix) != len(levels):
        raise FormulaError(f"The contrasts of {name!r} have {len(coding.matrix)} rows for {len(levels)} levels.")
    return Coded(coding, tuple(form.format(name=name, field=field) for field in fields))


def _contrast(contrasts: Any) -> Contrasts:
    if contrasts is None:
        return TreatmentContrasts()
    if inspect.isclass(contrasts) and issubclass(contrasts, Contrasts):
        return contrasts()  # type: ignore[call-arg]
    if isinstance(contrasts, str):
        raise FormulaError(
            f"Contrasts are objects such as formulaic's contr.sum, or a matrix with one row a level; got {contrasts!r}."
        )
    return contrasts if isinstance(contrasts, Contrasts) else CustomContrasts(contrasts)  # pyright: ignore[reportArgumentType]


def _selection(contrast: Contrasts, fields: list[Any], levels: list[Any], reduced: bool) -> Coding | None:
    """The coding as a selection of levels, where it is one: full, or treatment contrasts. Never a (L, L) matrix."""
    if isinstance(contrast, CustomContrasts) or (reduced and not isinstance(contrast, TreatmentContrasts)):
        return None
    place = {field: k for k, field in enumerate(fields)}
    return Coding(len(fields), index=torch.tensor([place.get(level, -1) for level in levels]))
