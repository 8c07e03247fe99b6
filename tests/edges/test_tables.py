"""Tables that are none, arrow's dictionaries, and tables of any kind for augment()."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import errors, glm

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize("thing", [pl.Series("y", [1.0]), pa.array([1.0]), pa.chunked_array([[1.0]]), pl.Int64(), 3])
def test_what_is_no_table(data, thing):
    with pytest.raises(errors.DataError, match="data must be"):
        glm("y ~ x", thing)
    with pytest.raises(errors.DataError, match="data must be"):
        glm("y ~ x", data).augment(thing)


def test_tables_beside_frames(data):
    wanted = glm("y ~ x + g", data, "poisson").params
    table = pa.Table.from_pydict({name: data[name].to_numpy() for name in data})
    for same in (table, table.to_batches()[0], pl.from_arrow(table), pl.from_arrow(table).lazy()):
        pd.testing.assert_series_equal(glm("y ~ x + g", same, "poisson").params, wanted, rtol=1e-12)


@pytest.mark.parametrize("kind", ["table", "frame", "array"])
def test_the_base_level_of_a_dictionary_is_not_that_of_the_first_row(data, kind):
    turned = data.iloc[::-1]
    table = pa.table({"y": turned["y"].to_numpy(), "g": pa.array(turned["g"].to_list()).dictionary_encode()})
    assert table["g"].chunk(0).dictionary.to_pylist() != sorted(set(data["g"]))
    given = {
        "table": table,
        "frame": table.to_pandas(types_mapper=pd.ArrowDtype),
        "array": {"y": table["y"], "g": table["g"]},
    }[kind]
    fit = glm("y ~ g", given, "poisson")
    assert list(fit.params.index) == ["Intercept", "g[T.b]", "g[T.c]"]
    np.testing.assert_allclose(fit.params, glm("y ~ g", data, "poisson").params, rtol=1e-10)


def test_a_chosen_order_stays(data):
    levels = pa.array(["c", "a", "b"])
    codes = pa.array([["c", "a", "b"].index(g) for g in data["g"]], pa.int8())
    ordered = pa.DictionaryArray.from_arrays(codes, levels, ordered=True)
    assert "g[T.c]" not in glm("y ~ g", {"y": data["y"].to_numpy(), "g": ordered}, "poisson").params
    frame = data.assign(g=pd.Categorical(data["g"], ["c", "a", "b"]))
    assert "g[T.c]" not in glm("y ~ g", pa.Table.from_pandas(frame), "poisson").params


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "dict"])
def test_augment_takes_any_table(data, kind):
    fit = glm("y ~ x + g", data, "poisson")
    columns = {name: data[name].to_numpy() for name in data}
    table = {"pandas": data, "polars": pl.DataFrame(columns), "pyarrow": pa.table(columns), "dict": columns}[kind]
    out = fit.augment(table)
    assert list(out.columns) == [*data.columns, ".fitted", ".resid"]
    np.testing.assert_array_equal(out[".fitted"], fit.fittedvalues)
    np.testing.assert_array_equal(out[".resid"], fit.resid_deviance)
    np.testing.assert_array_equal(out["x"], data["x"])
    assert list(out["g"]) == list(data["g"])


def test_augment_wants_the_rows_of_the_fit(data):
    with pytest.raises(errors.OptionError, match=r"60 rows.*have 59"):
        glm("y ~ x", data).augment(data[1:])


def test_augment_finds_shuffled_rows_by_their_labels(data):
    fit = glm("y ~ x + g", data, "poisson")
    turned = data.iloc[::-1]
    out = fit.augment(turned)
    assert out.index.equals(turned.index)
    pd.testing.assert_frame_equal(out.sort_index(), fit.augment(data))
    labelled = data.set_axis([f"row {k}" for k in range(len(data))])
    out = glm("y ~ x + g", labelled, "poisson").augment(labelled.sample(frac=1.0, random_state=1))
    np.testing.assert_array_equal(out.loc[labelled.index, ".fitted"], fit.fittedvalues)


@pytest.mark.parametrize("change", ["order", "response", "level", "polars"])
def test_augment_refuses_rows_that_were_not_fitted(data, change):
    fit = glm("y ~ x + g", data, "poisson")
    other = {
        "order": lambda: data.iloc[::-1].reset_index(drop=True),
        "response": lambda: data.assign(y=data["y"] + (data.index == 3)),
        "level": lambda: data.assign(g=data["g"].where(data.index != 3, "none")),
        "polars": lambda: pl.DataFrame({name: data[name].to_numpy()[::-1] for name in data}),
    }[change]()
    with pytest.raises(errors.OptionError, match="has other values in these, or its rows are in another order"):
        fit.augment(other)


def test_a_place_that_cannot_be_written(data, tmp_path):
    fit = glm("y ~ x", data)
    with pytest.raises(errors.SavedFileError, match=r"no folder '.*none'"):
        fit.save(tmp_path / "none" / "fit")
    with pytest.raises(errors.SavedFileError, match="is a folder"):
        fit.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_alpha_wins_over_level(data):
    fit = glm("y ~ x", data)
    pd.testing.assert_frame_equal(fit.conf_int(0.1, level=0.5), fit.conf_int(level=0.9))


def test_the_interval_of_a_separated_coefficient_is_exponentiated_without_noise():
    with pytest.warns(errors.SeparationWarning):
        fit = glm("y ~ x", {"x": [1.0, 2, 3, 4, 5, 6], "y": [0, 0, 0, 1, 1, 1]}, "binomial")
    tidy = fit.tidy(conf_int=True, exponentiate=True)
    assert np.isinf(tidy["conf.high"]).all()
