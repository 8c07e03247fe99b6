"""Few rows, many columns, constant columns, repeated terms, extreme scales."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from torchglm import errors, glm


def test_one_row(data):
    fit = glm("y ~ 1", data[:1])
    assert fit.params["Intercept"] == data["y"][0]
    assert math.isnan(fit.scale)
    assert fit.bse.isna().all()
    assert fit.pvalues.isna().all()
    with_slope = glm("y ~ x", data[:1], "poisson")
    assert with_slope.aliased == {"x": ["Intercept"]}
    str(with_slope.summary())


def test_more_columns_than_rows():
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 9)), columns=list("yabcdefgh"))
    fit = glm("y ~ .", wide)
    assert list(fit.aliased) == list("efgh")
    assert fit.df_resid == 0
    assert math.isnan(fit.scale)
    assert fit.bse.isna().all()
    np.testing.assert_allclose(fit.fittedvalues, wide["y"], atol=1e-10)
    shown = fit.predict(wide, se=True, interval="confidence")
    assert shown[["se", "lower", "upper"]].isna().all(axis=None)  # no phi, so no error: not zero
    assert np.isnan(fit.t_test("a = 0")["std.error"]).all()
    str(fit.summary())


def test_a_constant_column_is_aliased_and_a_constant_factor_refused(data):
    fit = glm("y ~ c + x", data.assign(c=3.0), "poisson")
    plain = glm("y ~ x", data, "poisson")
    assert list(fit.aliased) == ["c"]
    np.testing.assert_allclose(fit.params[["Intercept", "x"]], plain.params, rtol=1e-10)
    with pytest.raises(errors.LevelError, match="'g' has one level only, 'a'"):
        glm("y ~ g + x", data.assign(g="a"), "poisson")


@pytest.mark.parametrize("formula", ["y ~ x + x", "y ~ x + x:x", "y ~ x*x", "y ~ 1 + x + 1", "y ~ x + z - z"])
def test_repeated_terms_are_one(data, formula):
    np.testing.assert_array_equal(glm(formula, data, "poisson").params, glm("y ~ x", data, "poisson").params)


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e150])
@pytest.mark.parametrize("family", ["poisson", "gaussian", "binomial"])
def test_the_scale_of_a_column_changes_nothing(data, scale, family):
    y = "b" if family == "binomial" else "y"
    one = glm(f"{y} ~ x + z + g", data, family)
    two = glm(f"{y} ~ x + z + g", data.assign(x=data["x"] * scale), family)
    factor = np.where(one.params.index == "x", scale, 1.0)
    np.testing.assert_allclose(two.params * factor, one.params, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(two.bse * factor, one.bse, rtol=1e-8)
    assert not two.aliased


@pytest.mark.parametrize("scale", [1e-100, 1e-9, 1e9, 1e100])
@pytest.mark.parametrize("family", ["gaussian", "gamma", "inverse_gaussian"])
def test_the_scale_of_the_response_moves_only_its_unit(data, scale, family):
    link = "identity" if family == "gaussian" else "log"
    if family == "inverse_gaussian" and not 1e-10 < scale < 1e10:
        pytest.skip("mu^3 is beyond float64")
    one = glm("w ~ x + g", data, family, link)
    two = glm("w ~ x + g", data.assign(w=data["w"] * scale), family, link)
    if family == "gaussian":
        np.testing.assert_allclose(two.params / scale, one.params, rtol=1e-9)
    else:
        np.testing.assert_allclose(two.params[1:], one.params[1:], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(two.tvalues[1:], one.tvalues[1:], rtol=1e-7)


@pytest.mark.parametrize("shift", [1e3, 1e6, 1e9])
def test_a_column_far_from_zero(data, shift):
    one, two = (glm("y ~ x", data.assign(x=data["k"] + s), "poisson") for s in (0.0, shift))
    assert two.params["x"] == pytest.approx(one.params["x"], rel=1e-7)
    assert two.bse["x"] == pytest.approx(one.bse["x"], rel=1e-7)


def test_huge_counts(data):
    big = data.assign(y=data["y"] * 1e12 + 1e12)
    one, two = glm("y ~ x", data.assign(y=data["y"] + 1), "quasipoisson"), glm("y ~ x", big, "quasipoisson")
    np.testing.assert_allclose(two.params - [math.log(1e12), 0.0], one.params, rtol=1e-8, atol=1e-9)


HYPOTHESES = [
    ("xx = 0", errors.UnknownNameError, "'xx' is no coefficient"),
    ("x = = 0", errors.OptionError, "cannot be read"),
    ("x = 0, x = 0", errors.OptionError, "repeat"),
    ("t = 0", errors.OptionError, "aliased"),
    ([[1.0, 2.0]], errors.OptionError, "shape"),
]


@pytest.mark.parametrize("hypothesis, error, words", HYPOTHESES)
def test_hypotheses_that_mean_nothing(data, hypothesis, error, words):
    fit = glm("y ~ x + t", data.assign(t=2 * data["x"]), "poisson")
    with pytest.raises(error, match=words):
        fit.wald_test(hypothesis)


def test_a_hypothesis_without_standard_errors():
    square = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 5)), columns=list("yabcd"))
    with pytest.raises(errors.OptionError, match="no standard errors"):
        glm("y ~ .", square).wald_test("a = 0")
