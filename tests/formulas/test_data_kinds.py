"""The same columns from every kind of table and dtype, and from new data."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

FORMULA = "y ~ x*g + s:z + C(i) + b + scale(z) + bs(x, df=4)"
PLAIN = ["y", "x", "z", "i", "b", "s"]


@pytest.fixture(scope="module")
def wanted(frame, design):
    return design(FORMULA, frame)


def same(ours, wanted) -> None:
    assert ours.names == wanted.names
    torch.testing.assert_close(ours.matrix, wanted.matrix, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("kind", ["numpy_nullable", "pyarrow"])
def test_nullable_and_arrow_dtypes(frame, design, wanted, kind):
    same(
        design(
            FORMULA, frame.assign(g=frame["g"].astype(object)).convert_dtypes(dtype_backend=kind).assign(g=frame["g"])
        ),
        wanted,
    )


def test_float32_and_small_integers(frame, design):
    small = frame.assign(x=frame["x"].astype(np.float32), i=frame["i"].astype(np.int8))
    same(design("y ~ x*g + C(i) + i", small), design("y ~ x*g + C(i) + i", small.astype({"x": float, "i": int})))


def test_text_dtypes(frame, design, wanted):
    for dtype in (object, "string", "category"):
        same(design(FORMULA, frame.assign(s=frame["s"].astype(dtype))), wanted)


def test_polars(frame, design, wanted):
    levels = pl.Enum(["low", "mid", "high"])
    table = pl.DataFrame({name: frame[name].to_list() for name in PLAIN})
    same(design(FORMULA, table.with_columns(pl.Series("g", frame["g"].astype(str).to_list(), dtype=levels))), wanted)


def test_pyarrow(frame, design, wanted):
    same(design(FORMULA, pa.Table.from_pandas(frame[[*PLAIN, "g"]])), wanted)


def test_arrays_and_tensors(frame, design, wanted):
    columns = {name: frame[name].to_numpy() for name in PLAIN}
    same(design(FORMULA, {**columns, "x": torch.tensor(columns["x"]), "g": frame["g"]}), wanted)


def test_rows_in_any_index(frame, design, wanted):
    same(design(FORMULA, frame.set_index(np.arange(len(frame))[::-1] * 7)), wanted)


def test_levels_without_rows_are_left_out(frame, design):
    wider = frame.assign(g=frame["g"].cat.add_categories(["never"]))
    same(design("y ~ g*x", wider), design("y ~ g*x", frame))


@pytest.mark.parametrize("formula", ["y ~ x*g + s", "y ~ scale(x) + C(s, contr.sum):z", "y ~ bs(x, df=4) + g"])
def test_rows_with_missing_values_go_before_anything_is_learned(frame, formula, same_as_formulaic):
    holes = frame.copy()
    holes.loc[[2, 5], "x"] = np.nan
    holes.loc[9, "s"] = None
    holes.loc[11, "g"] = None
    used = [name for name in ("x", "z", "s", "g") if re.search(rf"\b{name}\b", formula)]
    complete = holes.dropna(subset=used).reset_index(drop=True)
    same_as_formulaic(formula, holes, complete)


def test_missing_values_of_nullable_dtypes(frame, design):
    holes = frame.assign(x=frame["x"].mask(frame.index == 3))
    for kind in ("numpy_nullable", "pyarrow"):
        same(design("y ~ x + i", holes[["y", "x", "i"]].convert_dtypes(dtype_backend=kind)), design("y ~ x + i", holes))


def test_a_lag_looks_at_the_rows_before_any_is_dropped(frame, same_as_formulaic):
    same_as_formulaic("y ~ lag(x)", frame)
    same_as_formulaic("y ~ lag(x, 2) + z", frame)


def test_the_callers_variables_do_not_hide_functions(frame, design):
    plain = design("y ~ C(g) + log(x)", frame)
    same(design("y ~ C(g) + log(x)", frame, {"C": 3, "log": "text"}), plain)


def test_a_variable_of_the_caller(frame, design):
    ours = design("y ~ np.minimum(x, limit) + twice(z)", frame, {"limit": 1.5, "twice": lambda v: 2 * v})
    x, z = frame["x"].to_numpy(), frame["z"].to_numpy()
    wanted = np.column_stack([np.ones(len(x)), np.minimum(x, 1.5), 2 * z])
    np.testing.assert_allclose(ours.matrix.numpy(), wanted, rtol=1e-15)


def test_the_data_come_before_the_caller(frame, design):
    same(design("y ~ x", frame, {"x": pd.Series(np.zeros(len(frame)))}), design("y ~ x", frame))


def test_large_powers_of_integers_do_not_wrap_around(design):
    data = {"y": np.zeros(3), "k": np.array([79, 80, 81])}
    np.testing.assert_allclose(
        design("y ~ 0 + I(k**10)", data).matrix.numpy()[:, 0], np.array([79.0, 80.0, 81.0]) ** 10
    )
