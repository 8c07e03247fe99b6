"""What each kind of weight does to each number, computed another way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import glm, negative_binomial
from torchglm.errors import WeightError

NUMBERS = (
    "llf", "llnull", "aic", "bic", "deviance", "null_deviance", "pearson_chi2", "scale", "nobs", "df_resid", "df_null",
)  # fmt: skip
SAMPLED = [("poisson", "log", "y"), ("gaussian", "identity", "z"), ("poisson", "sqrt", "y")]
FAMILIES = {
    "gaussian": "z",
    "poisson": "y",
    "binomial": "b",
    "gamma": "w",
    "inverse_gaussian": "w",
    "quasipoisson": "y",
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("covariance", ["model", "HC0", "HC1"])
def test_frequencies_are_repeated_rows_in_every_number(data, family, covariance):
    times = data["k"].astype(int)  # zeros among them
    formula = f"{FAMILIES[family]} ~ x + g"
    link = "log" if family in ("gamma", "inverse_gaussian") else None
    written = data.loc[data.index.repeat(times)].reset_index(drop=True)
    few = glm(formula, data, family, link, freq_weights="k", covariance=covariance)
    many = glm(formula, written, family, link, covariance=covariance)
    np.testing.assert_allclose(few.params, many.params, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(few.bse, many.bse, rtol=1e-8)
    np.testing.assert_allclose(few.pvalues, many.pvalues, rtol=1e-6)
    np.testing.assert_allclose(few.conf_int(), many.conf_int(), rtol=1e-7)
    for number in NUMBERS:
        np.testing.assert_allclose(getattr(few, number), getattr(many, number), rtol=1e-9, err_msg=number)
    for kind in ("mcfadden", "cox_snell", "nagelkerke", "d2"):
        if family != "quasipoisson":
            np.testing.assert_allclose(few.pseudo_r2(kind), many.pseudo_r2(kind), rtol=1e-8)


def test_doubled_precision_weights_double_phi_and_leave_the_errors(data):
    one = glm("w ~ x", data, "gamma", "log", weights="k + 1")
    two = glm("w ~ x", data, "gamma", "log", weights="2 * (k + 1)")
    np.testing.assert_allclose(two.bse, one.bse, rtol=1e-10)
    assert two.scale == pytest.approx(2 * one.scale, rel=1e-10)
    assert two.nobs == one.nobs == 60


@pytest.mark.parametrize("family, link, y", SAMPLED)
def test_sampling_weights_have_the_sandwich_of_survey(data, family, link, y):
    found = glm(f"{y} ~ x", data, family, link, prob_weights="w")
    X = np.column_stack([np.ones(60), data["x"]])
    w, eta = data["w"].to_numpy(), X @ found.params.to_numpy()
    mu, slope, variance = {
        "log": (np.exp(eta), np.exp(eta), np.exp(eta)),
        "identity": (eta, np.ones(60), np.ones(60)),
        "sqrt": (eta**2, 2 * eta, eta**2),
    }[link]
    scores = X * (w * (data[y].to_numpy() - mu) * slope / variance)[:, None]
    np.testing.assert_allclose(scores.sum(0), 0, atol=1e-7)
    bread = np.linalg.inv(X.T @ (X * (w * slope**2 / variance)[:, None]))
    expected = bread @ (scores.T @ scores) @ bread * 60 / 59
    np.testing.assert_allclose(found.cov_params(), expected, rtol=1e-7)
    np.testing.assert_allclose(found.bse, np.sqrt(np.diag(expected)), rtol=1e-7)
    thrice = glm(f"{y} ~ x", data, family, link, prob_weights="3 * w")
    np.testing.assert_allclose(thrice.bse, found.bse, rtol=1e-8)


@pytest.mark.parametrize("role", ["weights", "freq_weights", "prob_weights"])
def test_every_way_to_give_weights_is_the_same(data, role):
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    values = data["w"]
    expected = glm("y ~ x", data, "poisson", **{role: "w"})
    ways = ["1.0 * w", values.to_numpy(), list(values), tuple(values), values, values.sample(frac=1.0, random_state=3)]
    ways += [pl.Series(values.to_list()), pa.array(values), values.astype("Int64"), values.astype(object)]
    for given in ways:
        np.testing.assert_array_equal(glm("y ~ x", data, "poisson", **{role: given}).bse, expected.bse)


def test_the_summary_names_the_weights(data):
    for role, meaning in (("weights", "precision"), ("freq_weights", "frequency"), ("prob_weights", "sampling")):
        fit = glm("y ~ x", data, "poisson", **{role: "w"})
        assert meaning in str(fit.summary())
        assert fit.weights_note == f"{meaning} weights: w"


def test_rows_of_trials_cannot_be_repeated(data):
    with pytest.raises(WeightError, match=r"freq_weights=k cannot repeat the rows of cbind.*Write the rows out"):
        glm("cbind(w, k) ~ x", data, "binomial", freq_weights="k")


def test_weights_of_cbind_count_the_trials_of_a_row_that_often():
    data = pd.DataFrame({"k": [3, 5, 2, 7, 4], "m": [5, 4, 6, 3, 8], "x": [0, 1, 2, 3, 4], "w": [1, 2, 0.5, 3, 1.5]})
    fit = glm("cbind(k, m) ~ x", data, "binomial", weights="w")
    # R 4.2.2: logLik(glm(cbind(k, m) ~ x, binomial, d, weights = w)) and AIC
    assert fit.llf == pytest.approx(-14.929076184648, rel=1e-12)
    assert fit.aic == pytest.approx(33.858152369296, rel=1e-12)
    ones = glm("cbind(k, m) ~ x", data, "binomial", weights=[1.0] * 5)
    assert ones.llf == pytest.approx(glm("cbind(k, m) ~ x", data, "binomial").llf, rel=1e-14)
    without = glm("cbind(k, m) ~ x", data.drop(index=2), "binomial", weights="w")
    assert glm("cbind(k, m) ~ x", data, "binomial", weights=[1, 2, 0, 3, 1.5]).llf == pytest.approx(without.llf)


@pytest.mark.parametrize("family", FAMILIES)
def test_sampling_weights_have_no_units(data, family):
    """All of one value are none: then every number but those of the sandwich is that without weights."""
    formula = f"{FAMILIES[family]} ~ x + g"
    link = "log" if family in ("gamma", "inverse_gaussian") else None
    some, more = (glm(formula, data, family, link, prob_weights=w) for w in ("w", "7 * w"))
    plain, equal = glm(formula, data, family, link), glm(formula, data, family, link, prob_weights=np.full(60, 5.0))
    for number in NUMBERS:
        np.testing.assert_allclose(getattr(more, number), getattr(some, number), rtol=1e-10, err_msg=number)
        np.testing.assert_allclose(getattr(equal, number), getattr(plain, number), rtol=1e-10, err_msg=number)


def test_sampling_weights_of_trials_and_of_rows_without_weight(data):
    rows = data.assign(w=data["w"] * (data["x"] > -1.0), m=data["k"] + 1)
    some, more = (glm("cbind(k, m) ~ x", rows, "binomial", prob_weights=w) for w in ("w", "7 * w"))
    left = glm("cbind(k, m) ~ x", rows[rows["w"] > 0], "binomial", prob_weights="w")
    for number in NUMBERS:
        np.testing.assert_allclose(getattr(more, number), getattr(some, number), rtol=1e-10, err_msg=number)
        np.testing.assert_allclose(getattr(left, number), getattr(some, number), rtol=1e-10, err_msg=number)


def test_sampling_weights_leave_the_size_and_new_observations_alone(data):
    some, more = (negative_binomial("y ~ x", data, prob_weights=w) for w in ("w", "7 * w"))
    np.testing.assert_allclose(more.estimated, some.estimated, rtol=1e-6)
    some, more = (glm("z ~ x", data, prob_weights=w) for w in ("w", "7 * w"))
    new = data.iloc[:3]
    np.testing.assert_allclose(more.predict(new, interval="prediction"), some.predict(new, interval="prediction"))
