"""From new rows to predictions: the same columns, offsets and index as in the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import glm
from torchglm.errors import DataError, LevelError


def test_the_fitted_rows_predict_themselves(data, response, family, link):
    fit = glm(f"{response[family]} ~ a + bs(b, df=4) + g", data, family, link)
    np.testing.assert_allclose(fit.predict(data), fit.fittedvalues, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(data, scale="link"), fit.linear_predictor, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("part", [slice(0, 1), slice(3, 50), slice(None, None, -1)])
def test_a_row_predicts_the_same_alone(data, part):
    fit = glm("y ~ scale(a)*g + poly(b, degree=3) + center(c)", data)
    alone = fit.predict(data.iloc[part], se=True)
    assert alone.index.equals(data.index[part])
    np.testing.assert_allclose(alone, fit.predict(data, se=True).iloc[part], rtol=1e-12)


def test_standard_errors_are_those_of_the_dense_matrix(data):
    fit = glm("count ~ a*g + b", data, "poisson")
    columns = fit.estimate.prepared.design.columns[0]
    x = columns.to_dense(len(data)).numpy()
    wanted = np.sqrt(np.einsum("ij,jk,ik->i", x, fit.cov_params().to_numpy(), x))
    link = fit.predict(data, scale="link", se=True, interval="confidence")
    np.testing.assert_allclose(link["se"], wanted, rtol=1e-11)
    np.testing.assert_allclose(link["upper"] - link["predicted"], 1.959963984540054 * wanted, rtol=1e-9)
    mean = fit.predict(data, se=True, interval="confidence")
    np.testing.assert_allclose(mean["se"], wanted * mean["predicted"], rtol=1e-11)
    np.testing.assert_allclose(mean[["lower", "upper"]], np.exp(link[["lower", "upper"]]), rtol=1e-11)


def test_intervals_of_a_decreasing_link_are_in_order(data):
    fit = glm("positive ~ a + g", data, "gamma")
    ours = fit.predict(data, interval="confidence")
    assert ((ours["lower"] < ours["predicted"]) & (ours["predicted"] < ours["upper"])).all()


def test_offsets_are_evaluated_in_the_new_rows(data):
    fit = glm("count ~ a + g + offset(b)", data, "poisson", exposure="2 * time")
    new = data.head(8)
    doubled = new.assign(time=2.0 * new["time"], b=new["b"] + 1.0)
    np.testing.assert_allclose(fit.predict(doubled), 2.0 * np.e * fit.predict(new), rtol=1e-12)


def test_an_offset_that_was_an_array_must_be_given(data):
    fit = glm("count ~ a", data, "poisson", offset=data["b"].to_numpy())
    with pytest.raises(DataError, match="offset"):
        fit.predict(data.head(3))
    np.testing.assert_allclose(
        fit.predict(data.head(3), offset=data["b"].head(3)), fit.fittedvalues.head(3), rtol=1e-12
    )


def test_the_index_and_missing_rows_are_kept(data):
    fit = glm("y ~ a + g", data)
    new = data.head(5).set_index(pd.Index(list("vwxyz"))).assign(a=[0.1, np.nan, 0.2, 0.3, 0.4])
    ours = fit.predict(new)
    assert ours.index.tolist() == list("vwxyz")
    assert ours.isna().tolist() == [False, True, False, False, False]


def test_a_new_level_is_named_or_nan(data):
    fit = glm("y ~ a + g", data)
    new = data.head(3).assign(g=["p", "s", "q"])
    with pytest.raises(LevelError, match="'s'"):
        fit.predict(new)
    assert fit.predict(new, new_levels="nan").isna().tolist() == [False, True, False]


def test_prediction_intervals_of_least_squares(data):
    fit = glm("y ~ a", data)
    ours = fit.predict(data.head(3), se=True, interval="prediction")
    from scipy import stats

    half = stats.t.ppf(0.975, fit.df_resid) * np.sqrt(ours["se"] ** 2 + fit.scale)
    np.testing.assert_allclose(ours["upper"], ours["predicted"] + half, rtol=1e-12)
    np.testing.assert_allclose(ours["lower"], ours["predicted"] - half, rtol=1e-12)


def test_polars_and_dicts_predict_too(data):
    import polars as pl

    fit = glm("y ~ a + g", data)
    wanted = fit.predict(data.head(4)).to_numpy()
    np.testing.assert_array_equal(
        fit.predict(pl.DataFrame({"a": data["a"].head(4).to_numpy(), "g": data["g"].head(4).to_list()})), wanted
    )
    np.testing.assert_array_equal(
        fit.predict({"a": data["a"].head(4).to_numpy(), "g": data["g"].head(4).to_numpy()}), wanted
    )
