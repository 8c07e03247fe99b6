"""New data: levels, missing values, kinds of tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import errors, glm


@pytest.fixture
def fit(data):
    return glm("y ~ scale(x) + C(g) + k", data, "poisson")


def test_an_unseen_level_is_named(data, fit):
    new = data[:5].assign(g=["a", "zz", "b", "c", "a"])
    with pytest.raises(errors.LevelError, match=r"'C\(g\)' holds the level 'zz' \(row 1\).*new_levels="):
        fit.predict(new)
    out = fit.predict(new, new_levels="nan", se=True, interval="confidence")
    assert list(out.isna().all(axis=1)) == [False, True, False, False, False]
    np.testing.assert_allclose(out["predicted"][[0]], fit.fittedvalues[[0]], rtol=1e-12)


@pytest.mark.parametrize("kind", [object, "str", "category", "string"])
def test_unseen_and_missing_levels_of_any_dtype(data, fit, kind):
    new = data[:4].assign(g=pd.Series(["a", None, "zz", "b"], dtype=kind))
    assert list(fit.predict(new, new_levels="nan").isna()) == [False, True, True, False]


def test_a_level_of_another_type(data):
    fit = glm("y ~ C(k)", data, "poisson")
    np.testing.assert_array_equal(fit.predict({"k": [1.0, 2.0]}), fit.predict({"k": [1, 2]}))
    with pytest.raises(errors.LevelError, match="of another type"):
        fit.predict({"k": ["1"]})


def test_categories_in_another_order_are_the_same_levels(data):
    fit = glm("y ~ g", data, "poisson")
    turned = pd.Categorical(["c", "a", "b"], categories=["c", "q", "b", "a"])
    np.testing.assert_array_equal(fit.predict({"g": turned}), fit.predict({"g": ["c", "a", "b"]}))


def test_missing_values_give_missing_predictions(data, fit):
    new = data[:6].astype({"g": object})
    new.loc[0, "x"], new.loc[2, "g"], new.loc[3, "k"] = np.nan, None, np.nan
    out = fit.predict(new, se=True)
    assert list(out.isna().any(axis=1)) == [True, False, True, True, False, False]
    np.testing.assert_allclose(out["predicted"][[1, 4]], fit.fittedvalues[[1, 4]], rtol=1e-12)
    assert fit.predict(new.assign(x=np.nan)).isna().all()


def test_transforms_remember_the_fit(data, fit):
    np.testing.assert_allclose(fit.predict(data[3:4]), fit.fittedvalues[3:4], rtol=1e-12)
    assert len(fit.predict(data[:0])) == 0


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "dict", "parquet"])
def test_tables_of_any_kind(data, fit, kind, tmp_path):
    new = data[:5]
    if kind == "polars":
        table = pytest.importorskip("polars").DataFrame({name: new[name].to_list() for name in new})
    elif kind == "pyarrow":
        table = pytest.importorskip("pyarrow").Table.from_pandas(new)
    elif kind == "dict":
        table = {name: new[name].to_numpy() for name in new}
    else:
        table = tmp_path / "new.parquet"
        new.to_parquet(table)
    np.testing.assert_allclose(fit.predict(table), fit.fittedvalues[:5], rtol=1e-12)


BAD = [
    (lambda d: d.drop(columns="g"), errors.UnknownNameError, "'g'"),
    (lambda d: d.assign(x="text"), errors.FormulaError, "'x' holds text"),
    (lambda d: d.assign(k="text"), errors.DataError, "'k' holds text"),
    (lambda d: d.assign(x=np.inf), errors.DataError, "'x' is infinite"),
    (lambda d: pd.concat([d, d[["x"]]], axis=1), errors.DataError, "2 columns named 'x'"),
    (lambda d: [1, 2], errors.DataError, "list"),
]


@pytest.mark.parametrize("change, error, words", BAD)
def test_new_data_that_do_not_serve(data, fit, change, error, words):
    with pytest.raises(error, match=words):
        fit.predict(change(data[:5]))


@pytest.mark.parametrize(
    "options",
    [
        {"scale": "mean"},
        {"interval": "x"},
        {"interval": "confidence", "level": 95},
        {"interval": "prediction", "level": 1.5},
        {"interval": "confidence", "level": float("nan")},
        {"new_levels": "drop"},
        {"interval": "prediction", "scale": "link"},
    ],
)
def test_options_that_mean_nothing(data, fit, options):
    with pytest.raises(errors.OptionError):
        fit.predict(data, **options)


DECREASING_AND_NOT = [("gamma", "inverse", "w"), ("inverse_gaussian", "log", "w"), ("poisson", "log", "y")]


def test_aliased_columns_count_as_dropped(data):
    twice = data.assign(t=2 * data["x"])
    fit, plain = (glm(f, twice, "poisson") for f in ("y ~ x + t", "y ~ x"))
    one, two = (f.predict(twice[:5], se=True) for f in (fit, plain))
    np.testing.assert_allclose(one, two, rtol=1e-9)


@pytest.mark.parametrize("family, link, y", DECREASING_AND_NOT)
def test_ends_of_an_interval_are_in_order(data, family, link, y):
    out = glm(f"{y} ~ x", data, family, link).predict(data, interval="confidence")
    assert (out["lower"] < out["predicted"]).all()
    assert (out["predicted"] < out["upper"]).all()


def test_a_mean_beyond_float64_is_infinite():
    fit = glm("y ~ x", {"y": [1, 2, 4, 9], "x": [0.0, 1.0, 2.0, 3.0]}, "poisson")
    assert fit.predict({"x": [1e5, 1.0]}).tolist()[0] == float("inf")
    assert fit.predict({"x": [-1e5]}).tolist() == [0.0]
