"""Jackknife, cross-validation and permutation tests: against R, and against fits made one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.many.conftest import quietly, read
from torchglm import glm, ordinal
from torchglm.errors import DataError, OptionError, StatusWarning
from torchglm.inference.intervals.bootstrap import counts
from torchglm.inference.resampling import refits
from torchglm.inference.resampling.cross_validation import NO_MAXIMUM


@pytest.fixture(scope="module")
def seatbelts() -> pd.DataFrame:
    frame = read("Seatbelts")
    return frame.assign(year=(frame["t"] - 1) // 12)


@pytest.fixture(scope="module")
def front(seatbelts):
    return glm("front ~ kms + PetrolPrice + law", seatbelts, "gamma", "log")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(9)
    data = pd.DataFrame({"x": rng.normal(size=60), "g": rng.choice(list("abc"), 60), "site": np.arange(60) % 12})
    data["y"] = rng.poisson(np.exp(0.4 + 0.5 * data["x"])).astype(float)
    data["z"] = data["x"] + rng.normal(size=60)
    data["u"] = (rng.random(60) < 0.5).astype(float)
    data["w"] = rng.uniform(0.5, 2.0, 60)
    data["k"] = rng.integers(1, 4, 60).astype(float)
    data["o"] = rng.normal(size=60) / 4
    return data


# jackknife


@pytest.mark.parametrize("unit, cluster", [("rows", None), ("clusters", "year")])
def test_a_jackknife_is_that_of_refitting_in_r(front, from_r, unit, cluster, monkeypatch):
    monkeypatch.setattr(refits, "ENTRIES", 192 * 50)  # fifty replicates at a time
    found, theirs = front.jackknife(cluster=cluster), from_r["jackknife"][unit]
    scale = np.outer(found.bse, found.bse)
    np.testing.assert_allclose(found.cov_params() / scale, np.array(theirs["covariance"]) / scale, atol=1e-7)
    np.testing.assert_allclose((found.replicates.iloc[0] - theirs["first"]) / found.bse, 0.0, atol=1e-7)
    assert found.failed == 0
    assert len(found.replicates) == {"rows": 192, "clusters": 16}[unit]
    np.testing.assert_allclose(front.with_covariance(found.cov_params()).bse, found.bse)
    count = len(found.replicates)
    np.testing.assert_allclose(found.bias, (count - 1) * (found.replicates.mean() - front.params))


def test_replicates_are_named_after_what_is_left_out(data):
    frame = data.set_axis([f"r{k}" for k in range(60)])
    fit = glm("y ~ x", frame.assign(x=frame["x"].where(frame.index != "r3")), "poisson")
    rows = fit.jackknife().replicates
    assert list(rows.index) == [name for name in frame.index if name != "r3"]
    alone = glm("y ~ x", frame.drop(index=["r3", "r7"]), "poisson")
    np.testing.assert_allclose(rows.loc["r7"], alone.params, rtol=1e-7)
    sites = glm("y ~ x", frame, "poisson").jackknife(cluster="site").replicates
    np.testing.assert_allclose(sites.loc[4], glm("y ~ x", frame[frame["site"] != 4], "poisson").params, rtol=1e-7)


def test_a_frequency_is_as_many_rows_that_are_left_out_one_by_one(data):
    written = data.loc[data.index.repeat(data["k"])].reset_index(drop=True)
    weighted = glm("y ~ x", data, "poisson", freq_weights="k").jackknife()
    rows = glm("y ~ x", written, "poisson").jackknife()
    np.testing.assert_allclose(weighted.cov_params(), rows.cov_params(), rtol=1e-7)
    np.testing.assert_allclose(weighted.bias, rows.bias, rtol=1e-5, atol=1e-9)


def test_a_level_that_one_row_alone_has(data):
    lonely = data.assign(g=np.where(data.index == 5, "only", data["g"]), y=data["y"].where(data.index != 5, 2.0))
    found = glm("y ~ x + g", lonely, "poisson").jackknife()
    assert np.isnan(found.replicates.loc[5, "g[T.only]"])
    assert found.replicates.drop(columns="g[T.only]").notna().all(axis=None)


# cross-validation


def test_leaving_one_out_is_cv_glm_of_r(seatbelts, from_r):
    quine = read("quine")
    binary = glm("Sex ~ Days", quine.assign(Sex=(quine["Sex"] == "M").astype(float)), "binomial")
    assert binary.cross_validate(len(quine)).mse == pytest.approx(from_r["cross_validation"]["binomial"], rel=1e-8)
    gaussian = glm("front ~ kms + law", seatbelts)
    assert gaussian.cross_validate(192).mse == pytest.approx(from_r["cross_validation"]["gaussian"], rel=1e-9)


@pytest.mark.parametrize("family, options", [
    ("poisson", {"offset": "o", "weights": "w"}), ("gamma", {"link": "log"}), ("gaussian", {"dispersion": "ml"}),
])  # fmt: skip
def test_each_fold_is_predicted_by_the_fit_of_the_others(data, family, options):
    data = data.assign(y=data["y"] + 0.5 * (family == "gamma"))
    fit = glm("y ~ x", data, family, **options)
    found = fit.cross_validate("site % 3")
    assert list(found.folds.index) == [0, 1, 2]
    for fold, row in found.folds.iterrows():
        here = data["site"] % 3 == fold
        rest, out = glm("y ~ x", data[~here], family, **options), data[here]
        mean = rest.predict(out)
        np.testing.assert_allclose(found.predicted[here], mean, rtol=1e-7)
        w = out["w"] if "weights" in options else np.ones(len(out))
        assert row["n"] == here.sum()
        assert row["mse"] == pytest.approx(np.average((out["y"] - mean) ** 2, weights=w), rel=1e-7)
        if family == "poisson":
            density = (
                -mean + out["y"] * np.log(mean) - np.array([np.sum(np.log(np.arange(1, k + 1))) for k in out["y"]])
            )
            deviance = 2 * np.sum(w * (np.where(out["y"] > 0, out["y"] * np.log(np.maximum(out["y"], 1) / mean), 0)
                                       - (out["y"] - mean)))  # fmt: skip
            assert row["log_score"] == pytest.approx((w * density).mean(), rel=1e-7)
            assert row["deviance"] == pytest.approx(deviance, rel=1e-7)
        if family == "gamma":
            from scipy import stats

            shape = 1.0 / rest.scale
            density = stats.gamma(shape, scale=mean / shape).logpdf(out["y"])
            assert row["log_score"] == pytest.approx(density.mean(), rel=1e-6)
    assert found.deviance == pytest.approx(found.folds["deviance"].sum())


def test_permuted_statistics_have_the_dispersion_that_was_asked_for(data):
    fit = glm("y ~ x", data, "poisson", dispersion="pearson")
    found = fit.permutation_test(9, seed=1)
    np.testing.assert_allclose(found.statistic, fit.tvalues, rtol=1e-8)
    assert found.replicates.notna().all(axis=None)


def test_folds_at_random_are_of_one_size_and_keep_groups_whole(data):
    fit = glm("y ~ x", data, "poisson")
    found = fit.cross_validate(7, seed=3)
    assert sorted(found.folds["n"]) == [8, 8, 8, 9, 9, 9, 9]
    pd.testing.assert_series_equal(found.predicted, fit.cross_validate(7, seed=3).predicted)
    assert not found.predicted.equals(fit.cross_validate(7, seed=4).predicted)
    whole = fit.cross_validate(5, groups="site", seed=1)
    assert whole.folds["n"].sum() == 60
    assert (whole.folds["n"] % 5 == 0).all()  # a site has five rows
    array = fit.cross_validate(np.arange(60) // 20)
    assert array.folds["n"].tolist() == [20, 20, 20]


def test_a_level_that_one_fold_alone_has_cannot_be_predicted(data):
    fit = glm("y ~ x + g", data.assign(g=np.where(data["site"] == 2, "only", data["g"])), "poisson")
    found = fit.cross_validate("site % 3")
    assert found.folds["note"].tolist() == ["", "", "a column is only known from this fold"]
    assert found.folds["deviance"].isna().tolist() == [False, False, True]
    assert np.isnan(found.deviance)
    assert found.predicted[data["site"] == 2].isna().all()


# permutations


def test_statistics_are_those_of_responses_dealt_out(data):
    fit = glm("y ~ x + g", data, "poisson")
    found = fit.permutation_test(20, seed=4)
    rng = np.random.default_rng(4)
    for _, row in found.replicates.iterrows():
        dealt = glm("y ~ x + g", data.assign(y=data["y"].to_numpy()[rng.permutation(60)]), "poisson")
        np.testing.assert_allclose(row, dealt.tvalues, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.statistic, fit.tvalues, rtol=1e-7)
    as_large = (found.replicates.abs() >= fit.tvalues.abs() - 1e-9).sum()
    np.testing.assert_allclose(found.pvalues, (1 + as_large) / 21)
    assert list(found.summary().columns) == ["statistic", "p.value"]


def test_responses_stay_in_their_groups_and_keep_their_weights(data):
    fit = glm("z ~ x", data, weights="w")
    found = fit.permutation_test(5, groups="site", seed=1)
    order = np.argsort(data["site"].to_numpy(), kind="stable")
    rng = np.random.default_rng(1)
    for _, row in found.replicates.iterrows():
        dealt = np.empty(60, dtype=int)
        dealt[order] = np.lexsort((rng.random(60), data["site"]))
        assert (data["site"].to_numpy()[dealt] == data["site"]).all()
        moved = data.assign(z=data["z"].to_numpy()[dealt], w=data["w"].to_numpy()[dealt])
        np.testing.assert_allclose(row, glm("z ~ x", moved, weights="w").tvalues, rtol=1e-8)


def test_under_no_effect_p_values_are_uniform():
    rng = np.random.default_rng(2)
    pvalues = []
    for _ in range(60):
        frame = pd.DataFrame({"x": rng.normal(size=30), "y": rng.poisson(2.0, 30)})
        pvalues.append(glm("y ~ x", frame, "poisson").permutation_test(99, seed=0).pvalues["x"])
    assert 0.35 < np.mean(pvalues) < 0.65
    assert min(pvalues) >= 0.01


# refits that are separated


@pytest.fixture(scope="module")
def near() -> pd.DataFrame:
    return pd.DataFrame({"x": np.arange(12.0), "y": [0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 1, 1], "s": [0, 1, 2, 3] * 3})


def is_separated(x: np.ndarray, y: np.ndarray) -> bool:
    low, high = x[y == 0], x[y == 1]
    return not len(low) or not len(high) or low.max() < high.min() or high.max() < low.min()


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_separated_replicates_have_failed(near, link):
    fit = glm("y ~ x", near, "binomial", link)
    with pytest.warns(StatusWarning, match="of 200 replicates have no finite maximum"):
        boot = fit.bootstrap(200, seed=0)
    drawn = counts(np.random.default_rng(0), np.ones(12), 200).numpy() > 0
    x, y = near["x"].to_numpy(), near["y"].to_numpy()
    expected = [is_separated(x[rows], y[rows]) for rows in drawn]
    assert 80 < sum(expected) == boot.failed
    np.testing.assert_array_equal(boot.replicates.isna().all(axis=1), expected)
    assert (boot.replicates["x"].dropna() < 20).all()


def test_an_empty_level_of_counts_has_failed_replicates():
    data = pd.DataFrame({"g": ["a"] * 20 + ["b"] * 6, "y": [3, 1, 2, 4] * 5 + [1, 0, 0, 0, 0, 0]})
    with pytest.warns(StatusWarning):
        boot = glm("y ~ g", data, "poisson").bootstrap(100, seed=1)
    drawn = counts(np.random.default_rng(1), np.ones(26), 100).numpy()
    empty = (drawn[:, 20] == 0) & (drawn[:, 20:].sum(1) > 0)
    np.testing.assert_array_equal(boot.replicates["Intercept"].isna(), empty)


def test_replicates_of_several_predictors_fail_too(near):
    fit = ordinal("y ~ x", near.assign(y=near["y"].astype("category")))
    with pytest.warns(StatusWarning):
        boot = fit.bootstrap(40, seed=0)
    drawn = counts(np.random.default_rng(0), np.ones(12), 40).numpy() > 0
    expected = [is_separated(near["x"].to_numpy()[rows], near["y"].to_numpy()[rows]) for rows in drawn]
    np.testing.assert_array_equal(boot.replicates.isna().all(axis=1), expected)


def test_a_jackknife_with_a_separated_fit_has_no_standard_error(near):
    with pytest.warns(StatusWarning, match="2 of 12 fits without one of the rows"):
        found = glm("y ~ x", near, "binomial").jackknife()
    assert np.flatnonzero(found.replicates["x"].isna()).tolist() == [5, 6]
    assert found.bse.isna().all()


def test_a_fold_whose_fit_is_separated_says_so(near):
    with pytest.warns(StatusWarning, match="2 of 4 fits"):
        found = glm("y ~ x", near, "binomial").cross_validate("s")
    assert found.folds["note"].str.startswith("no finite maximum").tolist() == [False, True, True, False]
    np.testing.assert_array_equal(found.folds["deviance"].isna(), [False, True, True, False])


def test_a_separated_permutation_counts_as_large(near):
    fit = glm("y ~ x", near, "binomial")
    with pytest.warns(StatusWarning, match="err on the large side"):
        found = fit.permutation_test(999, seed=0)
    rng = np.random.default_rng(0)
    x, y = near["x"].to_numpy(), near["y"].to_numpy()
    separated = np.array([is_separated(x, y[rng.permutation(12)]) for _ in range(999)])
    assert found.failed == separated.sum() > 0
    as_large = (found.replicates["x"].abs() >= abs(fit.tvalues["x"]) * (1 - 1e-9)) | separated
    assert found.pvalues["x"] == pytest.approx((1 + as_large.sum()) / 1000)


def test_what_is_nearly_collinear_has_a_maximum():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=100), "y": rng.integers(0, 2, 100)})
    data["z"] = data["x"] + 1e-5 * rng.normal(size=100)
    assert glm("y ~ x + z", data, "binomial").bootstrap(50).failed == 0


def test_a_fit_that_is_separated_itself_is_refused(near):
    fit = quietly(lambda: glm("y ~ x", near.assign(y=(near["x"] > 5).astype(int)), "binomial"))
    for refused in (fit.bootstrap, fit.jackknife, fit.permutation_test):
        with pytest.raises(OptionError, match="Intercept, x of this fit are infinite"):
            refused()
    with pytest.warns(StatusWarning):
        assert set(fit.cross_validate("s").folds["note"]) <= {"", NO_MAXIMUM}


# what cannot be had


def test_refused(data):
    fit = glm("y ~ x", data, "poisson")
    offset = glm("y ~ x", data, "poisson", offset="o")
    weighted = glm("y ~ x", data, "poisson", freq_weights="k")
    for folds in (1, 61, 2.5, True):
        with pytest.raises((OptionError, DataError)):
            fit.cross_validate(folds)
    with pytest.raises(OptionError, match="nothing for groups="):
        fit.cross_validate("site", groups="site")
    with pytest.raises(OptionError, match="write rows of freq_weights= out"):
        weighted.cross_validate(5)
    with pytest.raises(OptionError, match="an offset tells the rows apart"):
        offset.permutation_test(9)
    with pytest.raises(OptionError, match="positive whole number"):
        fit.permutation_test(0)
    with pytest.raises(OptionError, match="under a penalty"):
        quietly(lambda: glm("u ~ x", data, "binomial", penalty="firth")).jackknife()
    with pytest.raises(OptionError, match="whole numbers"):
        glm("y ~ x", data, "poisson", freq_weights="w").jackknife()
