"""negative_binomial(): laws, theta at the end of its range, weights, offsets, and what it refuses."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import chi2

import torchglm
from torchglm import Fit, glm, negative_binomial, poisson_test, update
from torchglm.counts import zero_inflated
from torchglm.errors import BoundaryWarning, OptionError, ResponseError
from torchglm.families import NegativeBinomial


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x, t = rng.normal(size=300), rng.uniform(0.5, 3.0, 300)
    mu = t * np.exp(0.4 + 0.5 * x)
    y = rng.poisson(mu * rng.gamma(1.5, 1 / 1.5, 300))
    frame = {"x": x, "t": t, "y": y, "w": rng.integers(0, 4, 300), "g": np.tile(["a", "b", "c"], 100)}
    return pd.DataFrame(frame)


def nb1_nll(b: np.ndarray, y: np.ndarray, X: np.ndarray) -> float:
    mu = np.exp(X @ b[:-1])
    r = mu * np.exp(b[-1])
    p = r / (r + mu)
    return -float((gammaln(y + r) - gammaln(r) - gammaln(y + 1) + r * np.log(p) + y * np.log1p(-p)).sum())


def test_the_fit_is_the_glm_at_theta(counts):
    fit = cast(Fit, negative_binomial("y ~ x + C(g)", counts, exposure="t"))
    theta = fit.estimated.loc["theta", "estimate"]
    plain = glm("y ~ x + C(g)", counts, NegativeBinomial(theta=theta), exposure="t")
    assert np.abs((fit.params - plain.params) / plain.bse).max() < 1e-8
    np.testing.assert_allclose(fit.bse, plain.bse, rtol=1e-8)
    assert fit.llf == pytest.approx(plain.llf, rel=1e-13)
    assert fit.aic == pytest.approx(plain.aic + 2.0, rel=1e-13)
    ours, theirs = (f.influence().select_dtypes("float") for f in (fit, plain))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-9)
    assert fit.nobs == 300


def test_no_other_theta_has_a_higher_likelihood(counts):
    fit = negative_binomial("y ~ x", counts)
    theta, error = fit.estimated.loc["theta"]
    h = 0.01 * theta
    below, above = (glm("y ~ x", counts, NegativeBinomial(theta=theta + k)).llf for k in (-h, h))
    assert below < fit.llf > above
    assert abs(above - below) < 0.05 * (2 * fit.llf - below - above)
    # at theta alone, the means held
    assert error > h / math.sqrt(2 * fit.llf - below - above) * 0.99


@pytest.mark.parametrize("link", ["log", "sqrt", "identity"])
@pytest.mark.parametrize("kind", ["NB2", "NB1"])
def test_links(counts, link, kind):
    fit = negative_binomial("y ~ C(g)", counts, link, kind)
    assert fit.converged
    # the means of groups do not depend on the link
    means = fit.fittedvalues.groupby(counts["g"]).first()
    again = negative_binomial("y ~ C(g)", counts, "log", kind).fittedvalues.groupby(counts["g"]).first()
    np.testing.assert_allclose(means, again, rtol=1e-7)


def test_nb1_is_the_maximum_that_scipy_finds(counts):
    fit = negative_binomial("y ~ x", counts, kind="NB1")
    X = np.column_stack([np.ones(300), counts["x"]])
    found = minimize(nb1_nll, fit.params + 0.05, args=(counts["y"].to_numpy(), X), method="BFGS", tol=1e-10)
    assert list(fit.params.index) == ["Intercept", "x", "log(theta)"]
    assert np.abs((fit.params - found.x) / fit.bse).max() < 1e-4
    assert fit.llf == pytest.approx(-found.fun, rel=1e-11)
    theta = np.exp(fit.params["log(theta)"])
    assert fit.estimated.loc["theta"].tolist() == pytest.approx([theta, theta * fit.bse["log(theta)"]], rel=1e-14)
    assert fit.aic == pytest.approx(2 * found.fun + 2 * 3, rel=1e-11)
    h, eye = 1e-3, np.eye(3)

    def second(i: int, j: int) -> float:
        corners = [(a, b, a * b) for a in (-1, 1) for b in (-1, 1)]
        y = counts["y"].to_numpy()
        return sum(s * nb1_nll(found.x + h * (a * eye[i] + b * eye[j]), y, X) for a, b, s in corners) / (4 * h * h)

    hessian = np.array([[second(i, j) for j in range(3)] for i in range(3)])
    np.testing.assert_allclose(fit.bse, np.sqrt(np.diag(np.linalg.inv(hessian))), rtol=1e-4)


def test_frequencies_are_rows_written_out(counts):
    kept = counts[counts["w"] > 0]
    short = negative_binomial("y ~ x", counts, freq_weights="w", offset="log(t)")
    long = negative_binomial("y ~ x", kept.loc[kept.index.repeat(kept["w"])], offset="log(t)")
    np.testing.assert_allclose(short.estimated, long.estimated, rtol=1e-8)
    np.testing.assert_allclose(short.bse, long.bse, rtol=1e-8)
    assert (short.aic, short.bic) == pytest.approx((long.aic, long.bic), rel=1e-12)
    assert short.rows_zero_weight == (counts["w"] == 0).sum()


def test_precision_weights_multiply_the_likelihood(counts):
    """As glm.nb's weights do."""
    weighted = negative_binomial("y ~ x", counts, weights="w")
    repeated = negative_binomial("y ~ x", counts, freq_weights="w")
    np.testing.assert_allclose(weighted.estimated, repeated.estimated, rtol=1e-9)
    assert weighted.nobs < repeated.nobs


def test_sampling_weights_have_a_sandwich_and_no_ratio(counts):
    fit = negative_binomial("y ~ x", counts[counts["w"] > 0], prob_weights="w")
    assert "sandwich" in fit.covariance_note
    with pytest.raises(OptionError, match="Sampling weights"):
        poisson_test(fit)


def test_aliased_columns_and_missing_rows(counts):
    data = counts.assign(x2=2.0 * counts["x"], y=counts["y"].astype(float))
    data.loc[3, "y"] = np.nan
    for information in ("expected", "joint"):
        fit = negative_binomial("y ~ x + x2", data, information=information)  # type: ignore[arg-type]
        plain = negative_binomial("y ~ x", data.dropna(), information=information)  # type: ignore[arg-type]
        assert fit.aliased == {"x2": ["2 x"]} or list(fit.aliased) == ["x2"]
        np.testing.assert_allclose(fit.bse[["Intercept", "x"]], plain.bse, rtol=1e-8)
        np.testing.assert_allclose(fit.estimated, plain.estimated, rtol=1e-8)
        assert fit.rows_dropped == 1
        assert np.isnan(fit.fittedvalues.iloc[3])


def test_start(counts):
    fit = negative_binomial("y ~ x", counts)
    again = negative_binomial("y ~ x", counts, start=fit.params)
    assert np.abs((fit.params - again.params) / fit.bse).max() < 1e-7
    with pytest.raises(OptionError, match="start="):
        negative_binomial("y ~ x", counts, start=[1.0])


def test_update_estimates_theta_anew(counts):
    fit = cast(Fit, negative_binomial("y ~ x + C(g)", counts))
    smaller = fit.update(". ~ . - C(g)")
    np.testing.assert_allclose(smaller.estimated, negative_binomial("y ~ x", counts).estimated, rtol=1e-12)
    assert update(fit, link="sqrt").family.link.name == "sqrt"
    assert update(fit, family="poisson").estimated.empty
    with pytest.raises(OptionError, match="penalty="):
        update(fit, penalty="firth")


def test_the_ratio_has_half_the_tail_of_chi2(counts):
    for kind in ("NB2", "NB1"):
        fit = negative_binomial("y ~ x", counts, exposure="t", kind=kind)  # type: ignore[arg-type]
        plain = glm("y ~ x", counts, "poisson", exposure="t")
        test = poisson_test(fit)
        assert test.llf_null == pytest.approx(plain.llf, rel=1e-13)
        assert test.pvalue == pytest.approx(0.5 * chi2.sf(test.statistic, 1), rel=1e-10)
        assert f"{test.statistic:.4f}" in str(test)


@pytest.mark.parametrize("kind", ["NB2", "NB1"])
def test_theta_at_infinity_is_poisson(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    data = {"x": x, "y": rng.binomial(20, 1 / (1 + np.exp(-0.3 * x)))}
    with pytest.warns(BoundaryWarning, match="Poisson is enough") as caught:
        fit = negative_binomial("y ~ x", data, kind=kind)
    assert [w.filename for w in caught] == [__file__]
    plain = glm("y ~ x", data, "poisson")
    assert fit.family == plain.family
    assert np.abs((fit.params - plain.params) / plain.bse).max() < 1e-8
    assert (fit.llf, fit.aic) == pytest.approx((plain.llf, plain.aic), rel=1e-13)
    assert not fit.bse.isna().any()
    assert fit.estimated.empty
    test = poisson_test(fit)
    assert (test.statistic, test.pvalue) == (0.0, 1.0)


def test_what_it_refuses(counts):
    with pytest.raises(ResponseError, match=r"row 0 has -1\.0"):
        negative_binomial("y ~ x", counts.assign(y=counts["y"].where(counts.index != 0, -1)))
    with pytest.raises(ResponseError, match="whole number"):
        negative_binomial("y ~ x", counts.assign(y=counts["y"] + 0.5))
    for kind in ("NB2", "NB1"):
        with pytest.raises(ResponseError, match="'y' is 0"):
            negative_binomial("y ~ x", counts.assign(y=0), kind=kind)  # type: ignore[arg-type]
        with pytest.raises(torchglm.errors.DomainError, match=r"outside of \(0, 1\), the domain of the logit link"):
            negative_binomial("y ~ x", counts, "logit", kind)  # type: ignore[arg-type]
    with pytest.raises(ResponseError, match="successes"):
        negative_binomial("cbind(y, w) ~ x", counts)
    with pytest.raises(OptionError, match="kind="):
        negative_binomial("y ~ x", counts, kind="NB3")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="information="):
        negative_binomial("y ~ x", counts, information="observed")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="covariance="):
        negative_binomial("y ~ x", counts, information="joint", covariance="HC1")
    with pytest.raises(torchglm.errors.FormulaError, match="2 parts"):
        negative_binomial("y ~ x | t", counts)


def test_the_ratio_is_one_of_theta(counts, tmp_path):
    with pytest.raises(OptionError, match="takes a fit of"):
        poisson_test(glm("y ~ x", counts, "poisson"))
    with pytest.raises(OptionError, match="takes a fit of"):
        poisson_test(zero_inflated("y ~ x", counts))
    negative_binomial("y ~ x", counts).save(tmp_path / "one.fit")
    with pytest.raises(OptionError, match="without its data"):
        poisson_test(torchglm.load(tmp_path / "one.fit"))  # type: ignore[arg-type]
