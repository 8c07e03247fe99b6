"""glm(..., by=): every group has the numbers of glm() on its rows, and of R's lapply(split())."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from tests.many.conftest import quietly, read
from torchglm import glm, negative_binomial
from torchglm.errors import LevelError, OptionError, UnknownNameError
from torchglm.objective import grouped

GLANCE = ("null.deviance", "logLik", "AIC", "BIC", "deviance", "df.residual", "nobs", "df.null")

MODELS = {
    "poisson, offset, weights": ("count", "poisson", None, {"offset": "o", "weights": "w"}),
    "poisson, freq_weights": ("count", "poisson", None, {"freq_weights": "k"}),
    "poisson, prob_weights": ("count", "poisson", None, {"prob_weights": "w"}),
    "poisson sqrt, exposure": ("count", "poisson", "sqrt", {}),
    "poisson, exposure": ("count", "poisson", None, {"exposure": "w"}),
    "gaussian, HC1": ("size", "gaussian", None, {"covariance": "HC1", "weights": "w"}),
    "gaussian, freq_weights": ("size", "gaussian", None, {"freq_weights": "k", "covariance": "HC0"}),
    "gaussian, HC3": ("size", "gaussian", None, {"covariance": "HC3", "weights": "w"}),
    "gamma log, HC2": ("size", "gamma", "log", {"covariance": "HC2"}),
    "poisson, HC3, freq_weights": ("count", "poisson", None, {"covariance": "HC3", "freq_weights": "k"}),
    "gamma log": ("size", "gamma", "log", {"weights": "w"}),
    "gamma inverse": ("size", "gamma", "inverse", {}),
    "inverse gaussian": ("size", "inverse_gaussian", "log", {}),
    "binomial": ("yes", "binomial", None, {}),
    "binomial probit, trials": ("share", "binomial", "probit", {"weights": "t"}),
    "quasipoisson": ("count", "quasipoisson", None, {}),
    "dispersion": ("size", "gamma", "log", {"dispersion": 0.5}),
    "poisson, pearson": ("count", "poisson", None, {"dispersion": "pearson", "weights": "w"}),
    "binomial cloglog, pearson": ("share", "binomial", "cloglog", {"dispersion": "pearson", "weights": "t"}),
}


def of_alone(frame: pd.DataFrame, formula: str, family: str, link: str | None, arguments: dict) -> dict:
    return {
        key: quietly(lambda rows=rows: glm(formula, rows, family, link, **arguments))
        for key, rows in frame.groupby("store")
    }


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_each_group_has_the_fit_of_its_own_rows(stores, model, monkeypatch):
    response, family, link, arguments = model
    monkeypatch.setattr(grouped, "ENTRIES", 1200)  # several stretches; s3 is padded by nobody
    monkeypatch.setattr(grouped, "CACHED", 300)
    formula = f"{response} ~ x + far + g"
    fits = quietly(lambda: glm(formula, stores, family, link, by="store", **arguments))
    glance = fits.glance().set_index("store")
    for key, one in of_alone(stores, formula, family, link, arguments).items():
        known = [name for name in one.params.index if name not in one.infinite]
        # a group without the first level has it for reference in all groups, so that it is compared by its fit
        if key == "s6":
            assert glance.loc[key, "deviance"] == pytest.approx(one.deviance, rel=1e-9)
            continue
        params, bse = fits.params.loc[key, known], fits.bse.loc[key, known]
        np.testing.assert_allclose((params - one.params[known]) / one.bse[known], 0.0, atol=2e-8)
        np.testing.assert_allclose(bse / one.bse[known], 1.0, atol=2e-7)
        theirs = one.glance().iloc[0]
        for name in GLANCE:
            assert glance.loc[key, name] == pytest.approx(theirs[name], rel=1e-9, abs=1e-9, nan_ok=True), name
        assert glance.loc[key, "dispersion"] == pytest.approx(one.scale, rel=1e-7)


def test_the_summary_of_one_is_that_of_its_subset(stores):
    fits = glm("count ~ x + far", stores, "poisson", by="store")
    one, alone = fits["s3"], glm("count ~ x + far", stores, "poisson", subset="store == 's3'")
    assert str(one.summary()) == str(alone.summary())
    pd.testing.assert_series_equal(one.fittedvalues, alone.fittedvalues)
    assert one.rows_dropped == alone.rows_dropped
    assert sum(fit.rows_dropped for fit in fits.values()) == 2


def test_levels_that_a_group_lacks_are_aliased_there(stores):
    fits = glm("count ~ x + g", stores, "poisson", by="store")
    assert fits.aliased == {"s4": ["g[T.c]"], "s6": ["g[T.c]"]}  # without level a, b and c fill the constant
    assert np.isnan(fits.bse.loc["s4", "g[T.c]"])
    assert fits.glance().set_index("store").loc["s4", "df.residual"] == fits["s4"].df_resid


def test_tables_name_groups_and_terms(stores):
    fits = glm("size ~ x", stores, "gamma", "log", by="store")
    tidy = fits.tidy(level=0.9)
    assert list(tidy.columns) == [
        "store", "term", "estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high",
    ]  # fmt: skip
    assert len(tidy) == 16
    assert len(fits) == 8
    assert list(fits) == list(fits.keys()) == [f"s{k}" for k in range(8)]
    one = fits["s1"].tidy(conf_int=True, level=0.9)
    mine = tidy[tidy["store"] == "s1"].drop(columns="store").reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, one, rtol=1e-6)
    exponentiated = fits.tidy(exponentiate=True, conf_int=False)
    np.testing.assert_allclose(exponentiated["estimate"], np.exp(tidy["estimate"]))
    assert "conf.low" not in exponentiated
    assert "s1" in fits
    assert "s9" not in fits
    assert fits.get("s9") is None
    assert "gamma" in repr(fits)
    assert "8 models" in repr(fits)


def test_keys_are_columns_expressions_arrays_and_lists(stores):
    frame = stores.assign(year=np.arange(len(stores)) % 2 + 2020)
    both = glm("count ~ x", frame, "poisson", by=["store", "year"])
    assert both.params.index.names == ["store", "year"]
    assert len(both) == 16
    one = glm("count ~ x", frame[(frame["store"] == "s2") & (frame["year"] == 2021)], "poisson")
    np.testing.assert_allclose(both.params.loc[("s2", 2021)], one.params, rtol=1e-7)
    np.testing.assert_allclose(both["s2", 2021].params, one.params, rtol=1e-9)
    halves = glm("count ~ x", frame, "poisson", by="x > 0", subset="x == x")
    assert list(halves) == [False, True]
    array = glm("count ~ x", frame, "poisson", by=frame["year"].to_numpy())
    column = glm("count ~ x", frame, "poisson", by="year")
    np.testing.assert_array_equal(array.params, column.params)
    sorted_rows = glm("count ~ x", frame.sort_values("year", kind="stable"), "poisson", by="year")
    np.testing.assert_allclose(sorted_rows.params, column.params, rtol=1e-9)


def test_a_subset_leaves_no_empty_groups_behind(stores):
    fits = glm("count ~ x", stores, "poisson", by="store", subset="store != 's0'")
    assert list(fits) == [f"s{k}" for k in range(1, 8)]
    assert fits["s1"].rows_dropped == glm("count ~ x", stores[stores["store"] == "s1"], "poisson").rows_dropped


R_MODELS = {
    "poisson": ("Claims ~ Group + Age + offset(log(Holders))", "insurance", "District", "poisson"),
    "gaussian": ("Y ~ EP", "petrol", "No", "gaussian"),
    "binomial": ("cbind(dead, alive) ~ ldose", "budworm", "sex", "binomial"),
    "gamma": ("y ~ log(u)", "clotting", "lot", "gamma"),
}


@pytest.mark.parametrize("name", R_MODELS)
def test_numbers_are_those_of_lapply_split(name, from_r):
    formula, data, key, family = R_MODELS[name]
    frame = read(data)
    if name == "gamma":
        frame = frame.melt("u", ["lot1", "lot2"], "lot", "y")
        frame["lot"] = frame["lot"].map({"lot1": "a", "lot2": "b"})
    fits = quietly(lambda: glm(formula, frame, family, by=key))
    theirs = from_r[name]
    assert list(fits) == theirs["keys"]
    glance = fits.glance()
    for place, one in enumerate(theirs["fits"]):
        bse = np.array(one["bse"], dtype=float)
        np.testing.assert_allclose(fits.params.iloc[place], one["params"], rtol=1e-7)
        if one["df"] == 0:
            assert fits.status.iloc[place].startswith("Too few rows: 2 for 2 coefficients")
            assert np.isnan(fits.bse.iloc[place]).all()
            continue
        np.testing.assert_allclose(fits.bse.iloc[place], bse, rtol=1e-6)
        row = glance.iloc[place]
        ours = [row[c] for c in ("deviance", "null.deviance", "logLik", "AIC", "df.residual", "nobs", "dispersion")]
        expected = [one[c] for c in ("deviance", "null", "llf", "aic", "df", "n", "dispersion")]
        np.testing.assert_allclose(ours, expected, rtol=1e-7, atol=1e-10)


def test_a_key_of_several_is_whole():
    data = pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 9, 7, 8], "g": list("aaaabbbb"), "h": [1, 1, 2, 2] * 2})
    fits = glm("y ~ 1", data, by=["g", "h"])
    assert ("a", 2) in fits
    assert "a" not in fits
    assert fits.get("a") is None
    with pytest.raises(UnknownNameError, match=r"no model 'a' among 4. Its keys are tuples \(g, h\), as \('a', 1\)"):
        fits["a"]
    for key in (("a", 3), ["a", 2], slice("a", "b"), 0):
        assert key not in fits
        with pytest.raises(UnknownNameError):
            fits[key]


def test_keys_marked_as_categorical():
    data = pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 9], "k": [1, 1, 2, 2, 3, 3]})
    expected = glm("y ~ 1", data, by="k").params
    pd.testing.assert_frame_equal(glm("y ~ 1", data, by="C(k)").params.rename_axis("k"), expected)
    ordered = glm("y ~ 1", data, by="C(k, levels=[3, 1, 2])").params
    assert ordered.index.tolist() == [3, 1, 2]
    assert ordered["Intercept"].tolist() == [7.0, 1.5, 3.5]
    with pytest.raises(LevelError, match="which is not among the levels"):
        glm("y ~ 1", data, by="C(k, levels=[1, 2])")
    clusters = [glm("y ~ 1", data, cluster=key).bse for key in ("k", "C(k)")]
    pd.testing.assert_series_equal(*clusters)


@pytest.mark.parametrize("way", ["groups", "responses", "negative binomials"])
def test_many_models_can_be_pickled(stores, way):
    data = stores.dropna().assign(other=lambda rows: rows["store"].str[1].astype(float))
    fits = {
        "groups": lambda: glm("other ~ 1", data, by="store"),
        "responses": lambda: glm("~ 1", data, responses=["other"]),
        "negative binomials": lambda: negative_binomial("~ 1", data, responses=["other"]),
    }[way]()
    again = pickle.loads(pickle.dumps(fits))
    pd.testing.assert_frame_equal(again.tidy(), fits.tidy())
    pd.testing.assert_frame_equal(again.glance(), fits.glance())
    with pytest.raises(OptionError, match="without their data"):
        again[fits.index[0]]
    assert copy.deepcopy(fits)[fits.index[0]].nobs > 0
