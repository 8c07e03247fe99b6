"""Every kind of column gives the numbers of the plain float64 or text column."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import errors, glm

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

NUMPY = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]
NULLABLE = ["Int8", "Int64", "UInt16", "Float32", "Float64", "int64[pyarrow]", "double[pyarrow]", "uint8[pyarrow]"]
TEXT = [object, "str", "string", "string[pyarrow]", "category", pd.ArrowDtype(pa.string())]
EVERYTHING = "y ~ x + k + b + g"


def fit(formula, data):
    return glm(formula, data, family="poisson")


def same(one, other, rtol=1e-9):
    assert list(one.params.index) == list(other.params.index)
    np.testing.assert_allclose(one.params, other.params, rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(one.bse, other.bse, rtol=rtol)
    assert one.nobs == other.nobs


@pytest.mark.parametrize("dtype", [*NUMPY, *NULLABLE, "longdouble", ">f8", "Sparse[float64]"])
@pytest.mark.parametrize("formula", ["y ~ k", "y ~ I(k + k) + x", "y ~ C(k)", "k ~ x"])
def test_numbers_of_any_dtype(data, dtype, formula):
    changed, plain = fit(formula, data.assign(k=data["k"].astype(dtype))), fit(formula, data)
    np.testing.assert_allclose(changed.params.to_numpy(), plain.params.to_numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [*NULLABLE, "float32", "float64"])
@pytest.mark.parametrize("formula", ["y ~ k + x", "y ~ log(k + 1)", "y ~ C(k)", "k ~ x"])
def test_missing_numbers_of_any_dtype(data, dtype, formula):
    column = data["k"].astype(dtype)
    column.iloc[[3, 40]] = np.nan if dtype.startswith("float") else pd.NA
    changed, plain = fit(formula, data.assign(k=column)), fit(formula, data.drop(index=[3, 40]))
    np.testing.assert_allclose(changed.params.to_numpy(), plain.params.to_numpy(), rtol=1e-9, atol=1e-12)
    assert changed.rows_dropped == 2


@pytest.mark.parametrize("dtype", ["bool", "boolean", "bool[pyarrow]", object])
def test_bool_is_a_number(data, dtype):
    same(fit("y ~ b + x", data.assign(b=data["b"].astype(dtype))), fit("y ~ b + x", data.assign(b=data["b"] * 1.0)))


@pytest.mark.parametrize("dtype", ["bool", "boolean", "bool[pyarrow]"])
def test_sums_of_bool_columns_count(data, dtype):
    both = data.assign(b=data["b"].astype(dtype), c=(data["x"] > 0).astype(dtype))
    counted = data.assign(s=data["b"].astype(float) + (data["x"] > 0))
    np.testing.assert_allclose(fit("y ~ I(b + c)", both).params, fit("y ~ s", counted).params, rtol=1e-10)


def test_logic_of_bool_columns_stays_logic(data):
    np.testing.assert_allclose(
        fit("y ~ I(b & (x > 0))", data).params,
        fit("y ~ s", data.assign(s=(data["b"] & (data["x"] > 0)) * 1.0)).params,
        rtol=1e-10,
    )


@pytest.mark.parametrize("dtype", TEXT)
@pytest.mark.parametrize("missing", [False, True])
def test_text_of_any_dtype(data, dtype, missing):
    column = data["g"].astype(object)
    if missing:
        column.iloc[[5, 6]] = None
    plain = fit("y ~ x + g", data.drop(index=[5, 6]) if missing else data)
    same(fit("y ~ x + g", data.assign(g=column.astype(dtype))), plain)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(lambda k: [int(v) for v in k], id="int"),
        pytest.param(lambda k: [float(v) for v in k], id="float"),
        pytest.param(lambda k: [Decimal(int(v)) for v in k], id="decimal"),
    ],
)
def test_numbers_held_as_objects_are_numbers(data, values):
    column = pd.Series(values(data["k"]), dtype=object)
    same(fit("y ~ k", data.assign(k=column)), fit("y ~ k", data))
    column[4] = None
    same(fit("y ~ k", data.assign(k=column)), fit("y ~ k", data.drop(index=4)))


def test_float32_columns_keep_float64_sums(data):
    same(fit("y ~ x", data.assign(x=data["x"].astype("float32"))), fit("y ~ x", data), rtol=1e-5)


def polars_frame(data):
    return pl.DataFrame({name: data[name].to_list() for name in data})


def test_polars(data):
    frame = polars_frame(data)
    same(fit(EVERYTHING, frame), fit(EVERYTHING, data))
    same(fit(EVERYTHING, frame.lazy()), fit(EVERYTHING, data))


@pytest.mark.parametrize("name", ["y", "x", "k", "b", "g"])
def test_polars_nulls(data, name):
    hole = pl.when(pl.int_range(len(data)) == 9).then(None).otherwise(pl.col(name)).alias(name)
    same(fit(EVERYTHING, polars_frame(data).with_columns(hole)), fit(EVERYTHING, data.drop(index=9)))


def test_polars_enum_keeps_its_order_and_categorical_has_none(data):
    frame = polars_frame(data[::-1])
    enum = frame.with_columns(pl.col("g").cast(pl.Enum(["c", "b", "a"])))
    assert list(fit("y ~ g", enum).params.index) == ["Intercept", "g[T.b]", "g[T.a]"]
    pl.Series(["zz", "c", "b"]).cast(pl.Categorical)  # what else a session holds must not choose the base level
    categorical = frame.with_columns(pl.col("g").cast(pl.Categorical))
    same(fit("y ~ g", categorical), fit("y ~ g", data))


def test_arrow_table_with_dictionary_and_nulls(data):
    def holes(name):
        return pa.array([None if i in (2, 11) else v for i, v in enumerate(data[name].to_list())])

    table = pa.table({name: holes(name) if name != "y" else pa.array(data["y"]) for name in data})
    plain = fit(EVERYTHING, data.drop(index=[2, 11]))
    same(fit(EVERYTHING, table), plain)
    levels = pa.DictionaryArray.from_arrays(pa.array([ord(v) - ord("a") for v in data["g"]]), pa.array(["a", "b", "c"]))
    same(fit("y ~ x + g", table.set_column(5, "g", levels)), fit("y ~ x + g", data.drop(index=[2, 11])))
    chunks = pa.concat_tables([table.slice(0, 20), table.slice(20)])
    same(fit(EVERYTHING, chunks), plain)


def test_dict_of_lists_arrays_and_tensors(data):
    columns = {
        "y": data["y"].to_list(),
        "x": torch.tensor(data["x"].to_numpy(), requires_grad=True),
        "k": torch.tensor(data["k"].to_numpy(), dtype=torch.int32),
        "b": torch.tensor(data["b"].to_numpy()),
        "g": tuple(data["g"]),
    }
    same(fit(EVERYTHING, columns), fit(EVERYTHING, data))
    columns["x"] = [None, *data["x"][1:]]
    same(fit(EVERYTHING, columns), fit(EVERYTHING, data.drop(index=0)))


def test_parquet_path(data, tmp_path):
    path = tmp_path / "rows.parquet"
    data.set_index(pd.Index([f"r{i}" for i in range(len(data))])).to_parquet(path)
    for given in (path, str(path)):
        found = fit(EVERYTHING, given)
        same(found, fit(EVERYTHING, data))
        assert found.fittedvalues.index[1] == "r1"
    (tmp_path / "bad.parquet").write_text("hello")
    with pytest.raises(errors.DataError, match="damaged"):
        fit("y ~ x", tmp_path / "bad.parquet")
    with pytest.raises(errors.DataError, match="There is no file"):
        fit("y ~ x", tmp_path / "none.parquet")


def test_integers_compute_as_in_r(data):
    wide = data.assign(k=data["k"] * 25)  # 100**10 is beyond int64
    for dtype in ("int64", "Int64", "int64[pyarrow]"):
        found = fit("y ~ I(k**10)", wide.assign(k=wide["k"].astype(dtype)))
        exact = fit("y ~ p", wide.assign(p=wide["k"].astype(float) ** 10))
        np.testing.assert_allclose(found.params, exact.params, rtol=1e-9)
    small = data.assign(k=(data["k"] * 60).astype("uint8"))
    np.testing.assert_allclose(
        fit("y ~ I(k * 2 - 300)", small).params, fit("y ~ p", small.assign(p=small["k"] * 2.0 - 300)).params, rtol=1e-9
    )


def test_conditions_add_up_as_in_r(data):
    counted = data.assign(s=(data["x"] > 0) * 1.0 + (data["k"] > 2) - ((data["z"] > 0) & data["b"]))
    found = fit("y ~ I((x > 0) + (k > 2) - ((z > 0) & b))", data)
    np.testing.assert_allclose(found.params, fit("y ~ s", counted).params, rtol=1e-10)
    quoted = fit("y ~ I((`x x` > 0) + (k > 2) - ((z > 0) & b))", data.rename(columns={"x": "x x"}))
    np.testing.assert_array_equal(quoted.params, found.params)


def test_lag_looks_at_the_row_before_in_the_data(data):
    holes = data.assign(z=data["z"].mask(data.index == 8))
    found = fit("y ~ lag(x) + z", holes)
    plain = fit("y ~ l + z", holes.assign(l=data["x"].shift(1)))
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-10)
    assert found.nobs == 58


def test_names_by_q(data):
    odd = data.rename(columns={"x": "a b"})
    odd.loc[3, "a b"] = np.nan
    found = fit("y ~ scale(Q('a b'))", odd)
    plain = fit("y ~ scale(x)", data.drop(index=3))
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-12)
