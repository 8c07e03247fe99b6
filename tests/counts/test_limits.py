"""Where a part of a count model has nothing to say: warnings, errors, tests at the boundary, starts."""

from __future__ import annotations

import json
import pathlib
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from torchglm import glm
from torchglm.count_tests import boundary_test, theta_test, vuong_test, zero_inflation_test
from torchglm.counts import hurdle, truncated, zero_inflated
from torchglm.errors import (
    BoundaryWarning,
    FormulaError,
    OptionError,
    ResponseError,
    SeparationWarning,
    UnknownNameError,
)

STORED = {c["name"]: c for c in json.loads((pathlib.Path(__file__).parent / "counts.json").read_text())["cases"]}
NEGATIVE = "negative_binomial"


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Counts with no zeros, with fewer zeros than Poisson counts have, and no more varied than those."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    mu = np.exp(0.5 + 0.3 * x)
    none = rng.poisson(mu) + 1
    few = rng.binomial(8, 0.35, 300)
    tame = np.where(rng.uniform(size=300) < 0.3, 0, rng.binomial(6, 1.0 / (1.0 + np.exp(-x))))
    return pd.DataFrame({"x": x, "none": none, "few": few, "tame": tame})


def warned(call, *args, **kwargs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = call(*args, **kwargs)
    assert {w.category for w in caught} == {BoundaryWarning}
    assert all(w.filename == __file__ for w in caught)
    return fit, [str(w.message) for w in caught]


@pytest.mark.parametrize("call", [zero_inflated, hurdle])
def test_poisson_is_enough(call, frame):
    fit, said = warned(call, "tame ~ x | 1", frame, NEGATIVE)
    plain = call("tame ~ x | 1", frame)
    assert said[0].startswith("theta goes to infinity")
    assert len(said) == 1
    np.testing.assert_allclose(fit.params[:-1], plain.params, rtol=1e-6)
    np.testing.assert_allclose(fit.bse[:-1], plain.bse, rtol=1e-5)
    assert fit.llf == pytest.approx(plain.llf, abs=1e-6)


def test_truncated_poisson_is_enough(frame):
    rows = frame[frame["tame"] > 0]
    fit, _ = warned(truncated, "tame ~ x", rows, NEGATIVE)
    np.testing.assert_allclose(fit.params[:-1], truncated("tame ~ x", rows).params, rtol=1e-6)


def test_the_logarithmic_series_is_the_limit():
    y = [1, 2, 3000, 1700, 1, 40]
    fit, said = warned(truncated, "y ~ 1", {"y": y}, NEGATIVE)
    assert "logarithmic series" in said[0]
    # its maximum: mean(y) = -p / ((1 - p) log(1 - p))
    p = optimize.brentq(lambda p: np.mean(y) + p / ((1.0 - p) * np.log1p(-p)), 1e-6, 1.0 - 1e-12)
    assert fit.llf == pytest.approx(stats.logser(p).logpmf(y).sum(), rel=1e-6)


@pytest.mark.parametrize("response", ["none", "few"])
def test_no_zero_inflation(response, frame):
    fit, said = warned(zero_inflated, f"{response} ~ x | 1", frame)
    plain = glm(f"{response} ~ x", frame, "poisson")
    assert "certain zero goes to 0" in said[0]
    assert fit.llf == pytest.approx(plain.llf, abs=1e-6)
    np.testing.assert_allclose(fit.params[:2], plain.params, rtol=1e-6)
    np.testing.assert_allclose(fit.bse[:2], plain.bse, rtol=1e-6)
    test = zero_inflation_test(fit)
    assert test.statistic == pytest.approx(0.0, abs=1e-6)
    assert test.pvalue >= 0.499


def test_a_hurdle_that_all_take(frame):
    fit, said = warned(hurdle, "none ~ x", frame)
    assert "never zero" in said[0]
    plain = truncated("none ~ x", frame)
    np.testing.assert_allclose(fit.params[:2], plain.params, rtol=1e-8)
    assert fit.llf == pytest.approx(plain.llf, abs=1e-6)


@pytest.mark.parametrize("call", [zero_inflated, hurdle])
def test_responses_that_are_no_counts(call):
    x = [0.0, 1.0, 2.0, 3.0]
    with pytest.raises(ResponseError, match=r"'y' is 0 in all 4 rows"):
        call("y ~ x", {"x": x, "y": [0, 0, 0, 0]})
    with pytest.raises(ResponseError, match=r"whole number from 0 on.*row 2 has -1"):
        call("y ~ x", {"x": x, "y": [0, 2, -1, 3]})
    with pytest.raises(ResponseError, match=r"whole number from 0 on.*row 1 has 2\.5"):
        call("y ~ x", {"x": x, "y": [0, 2.5, 1, 3]})


def test_responses_that_are_no_column_of_counts(articles):
    with pytest.raises(ResponseError, match="two levels"):
        zero_inflated("fem ~ ment", articles)
    with pytest.raises(ResponseError, match="successes and failures"):
        hurdle("cbind(art, kid5) ~ ment", articles)


def test_probabilities_of_many_counts_are_asked_for():
    fit = hurdle("y ~ 1", {"y": [0, 0, 1000, 2500, 3000, 1700]}, NEGATIVE)
    with pytest.raises(OptionError, match="largest count of the fit is 3000"):
        fit.predict(kind="probabilities")
    assert fit.predict(kind="probabilities", at=[0]).shape == (6, 1)
    assert float(fit.predict(kind="probabilities", at=0).iloc[0, 0]) == pytest.approx(1.0 / 3.0, rel=1e-9)


def test_responses_that_are_not_truncated():
    x = [0.0, 1.0, 2.0, 3.0]
    with pytest.raises(ResponseError, match=r"whole number from 1 on.*row 1 has 0"):
        truncated("y ~ x", {"x": x, "y": [2, 0, 1, 3]})
    with pytest.raises(ResponseError, match=r"is 1 in all 4 rows"):
        truncated("y ~ x", {"x": x, "y": [1, 1, 1, 1]})


def test_calls_that_are_refused(articles):
    with pytest.raises(FormulaError, match="has 3 parts"):
        zero_inflated("art ~ ment | ment | phd", articles)
    with pytest.raises(FormulaError, match="has 2 parts"):
        truncated("art ~ ment | ment", articles[articles["art"] > 0])
    with pytest.raises(UnknownNameError, match="negative_binomial"):
        zero_inflated("art ~ ment", articles, "negative_binomal")
    fit = zero_inflated("art ~ ment | 1", articles)
    with pytest.raises(UnknownNameError, match="structural_zero"):
        fit.predict(kind="structural_zeros")
    with pytest.raises(OptionError, match="at= takes counts, for kind="):
        fit.predict(kind="mean", at=1)
    for at in (-1, 0.5, "a", []):
        with pytest.raises(OptionError, match="whole numbers from 0 on"):
            fit.predict(kind="probabilities", at=at)


def test_zero_inflation_against_the_plain_count(articles):
    fit = zero_inflated("art ~ fem + mar + kid5 + phd + ment | 1", articles)
    plain = glm("art ~ fem + mar + kid5 + phd + ment", articles, "poisson")
    test = zero_inflation_test(fit)
    expected = 2.0 * (STORED["zip constant"]["loglik"] - plain.llf)
    assert test.statistic == pytest.approx(expected, rel=1e-9)
    assert test.pvalue == pytest.approx(0.5 * stats.chi2.sf(expected, 1), rel=1e-9)
    assert test.llf_null == pytest.approx(plain.llf, rel=1e-12)
    assert "zero-inflated poisson against poisson" in str(test)


def test_theta_beside_the_zeros(articles):
    fit = hurdle("art ~ fem + kid5 + ment", articles, NEGATIVE, freq_weights="w")
    plain = hurdle("art ~ fem + kid5 + ment", articles, freq_weights="w")
    test = theta_test(fit)
    assert fit.llf == pytest.approx(STORED["hurdle weights"]["loglik"], rel=1e-11)
    assert test.statistic == pytest.approx(2.0 * (fit.llf - plain.llf), rel=1e-9)
    assert test.null == "hurdle poisson"


def test_tests_that_are_refused(articles):
    inflated = zero_inflated("art ~ ment", articles)
    with pytest.raises(OptionError, match="follows no known law"):
        zero_inflation_test(inflated)
    with pytest.raises(OptionError, match="takes a zero_inflated"):
        zero_inflation_test(hurdle("art ~ ment | 1", articles))
    with pytest.raises(OptionError, match="test is one of theta"):
        theta_test(inflated)
    with pytest.raises(OptionError, match="Sampling weights"):
        zero_inflation_test(zero_inflated("art ~ ment | 1", articles, prob_weights="w"))
    with pytest.raises(OptionError, match="915 and 914 rows"):
        vuong_test(inflated, hurdle("art ~ ment", articles[1:]))
    with pytest.raises(OptionError, match="models of counts"):
        vuong_test(inflated, glm("art ~ ment", articles))
    with pytest.raises(OptionError, match="nothing tells them apart"):
        vuong_test(inflated, zero_inflated("art ~ ment", articles))
    with pytest.raises(OptionError, match="different weights"):
        vuong_test(inflated, hurdle("art ~ ment", articles, freq_weights="w"))


def test_vuong_of_a_nested_model_says_so(articles):
    with pytest.warns(BoundaryWarning, match="zero_inflation_test"):
        vuong_test(zero_inflated("art ~ ment", articles), glm("art ~ ment", articles, "poisson"))


def test_vuong_counts_rows_that_stand_for_several(articles):
    once, often = {}, articles.loc[articles.index.repeat(articles["w"])]
    for name, call in (("a", zero_inflated), ("b", hurdle)):
        once[name] = call("art ~ ment + phd", articles, freq_weights="w")
        once[f"{name} written"] = call("art ~ ment + phd", often)
    ours, written = vuong_test(once["a"], once["b"]), vuong_test(once["a written"], once["b written"])
    np.testing.assert_allclose(ours.frame["statistic"], written.frame["statistic"], rtol=1e-6)


def test_columns_of_far_scales(articles):
    # Here ZeroInflatedNegativeBinomialP of statsmodels 0.15.0 says converged at a log-likelihood of -40186, errors
    # NaN, and ZeroInflatedPoisson stops at -22720; pscl's optimum in the unscaled columns is -1559.70.
    case = STORED["zinb unscaled"]
    scaled = articles.assign(ment=1e3 * articles["ment"], phd=1e-3 * articles["phd"])
    fit = zero_inflated("art ~ kid5 + ment + phd", scaled, NEGATIVE)
    scale = np.array([1.0, 1.0, 1e3, 1e-3, 1.0, 1.0, 1e3, 1e-3, 1.0])
    assert fit.converged
    assert fit.llf == pytest.approx(case["loglik"], rel=1e-10)
    assert (np.abs(fit.params * scale - case["params"]) / case["se"]).max() < 1e-6
    np.testing.assert_allclose(fit.bse * scale, case["se"], rtol=1e-6)


def test_counts_of_a_group_that_are_all_zero_have_no_finite_mean(articles):
    """Where zeros are inflated, a group of nothing else goes to a mean of 0; the rest fits itself alone."""
    none = articles.assign(y=np.where(articles["fem"] == "Men", 0, articles["art"]))
    with pytest.warns(SeparationWarning):
        fit = zero_inflated("y ~ fem | 1", none)
    assert fit.infinite == {"count_Intercept": "-", "count_fem[T.Women]": "+"}
    alone = zero_inflated("y ~ 1 | 1", none[none["fem"] == "Women"])
    assert fit.llf == pytest.approx(alone.llf, abs=1e-6)


@pytest.mark.parametrize("count", ["poisson", NEGATIVE])
def test_positive_counts_that_are_all_one_have_no_finite_mean(articles, count):
    some = articles[(articles["art"] > 0) & ((articles["fem"] == "Men") | (articles["art"] == 1))]
    with pytest.warns(SeparationWarning):
        fit = truncated("art ~ fem", some, count)
    assert fit.infinite == {"fem[T.Women]": "-"}
    assert fit.llf == pytest.approx(truncated("art ~ 1", some[some["fem"] == "Men"], count).llf, abs=1e-6)
    with pytest.warns((SeparationWarning, BoundaryWarning)) as told:  # theta, if there is one, is told of too
        fit = hurdle("art ~ 1 | fem", articles[articles["art"] <= 1], count)
    assert [one.category for one in told].count(SeparationWarning) == 1
    assert fit.infinite.keys() == {"count_Intercept"}


@pytest.mark.parametrize("count", ["poisson", NEGATIVE])
def test_a_large_exposure_moves_the_constant_alone(articles, count):
    few = articles.assign(time=1.0 + articles["ment"] / 10.0)
    for model, formula, rows in ((hurdle, "art ~ fem | fem", few), (truncated, "art ~ fem", few[few["art"] > 0])):
        one = model(formula, rows, count, exposure="time")
        other = model(formula, rows.assign(time=3e4 * rows["time"]), count, exposure="time")
        assert other.llf == pytest.approx(one.llf, abs=1e-7)
        name = "count_Intercept" if model is hurdle else "Intercept"
        assert other.params[name] == pytest.approx(one.params[name] - np.log(3e4), abs=1e-6)


def test_a_ratio_that_is_rounding_is_none():
    assert boundary_test("a", "b", -1000.0 + 1e-8, -1000.0).pvalue == 1.0
    assert boundary_test("a", "b", -1000.0 + 1e-4, -1000.0).pvalue == pytest.approx(
        0.5 * stats.chi2.sf(2e-4, 1), rel=1e-6
    )


@pytest.mark.parametrize("seed, llf", [(1008, -110.181977717), (1052, -109.635938125)])
def test_where_scoring_crawls_another_solver_goes_on(seed, llf):
    """Sizes far from any that few rows tell; pscl::zeroinfl(dist = "negbin", reltol = 1e-14) of R 4.2.2 comes there."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([60, 120, 250]))
    x = rng.normal(size=n) * rng.choice([0.5, 1, 3])
    z, g = rng.normal(size=n), rng.choice(list("abcd"), n, p=[0.6, 0.2, 0.1, 0.1])
    mu = np.exp(rng.choice([-0.5, 0.5, 1.5, 3]) + 0.5 * x / x.std(ddof=1) + (g == "b"))
    theta = rng.choice([0.3, 1, 5, 50])
    y = rng.negative_binomial(theta, theta / (theta + mu)) * (rng.uniform(size=n) > 1 / (1 + np.exp(1 - z)))
    fit = zero_inflated("y ~ x | x + z", {"x": x, "z": z, "y": y}, NEGATIVE)
    assert fit.converged
    assert fit.n_steps < 100
    assert fit.llf == pytest.approx(llf, abs=1e-6)
