"""glm(dispersion="~ z") and beta_regression(): laws and what they refuse."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import beta_regression, glm
from torchglm.errors import FormulaError, OptionError, ResponseError


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    x, z = rng.normal(size=250), rng.uniform(size=250)
    y = rng.gamma(np.exp(1 + z), np.exp(0.3 * x - 1 - z))
    mu, phi = 1 / (1 + np.exp(-0.5 * x)), np.exp(2 + z)
    p = rng.beta(mu * phi, (1 - mu) * phi)
    return pd.DataFrame({"x": x, "z": z, "y": y, "p": p, "n": rng.integers(1, 4, 250), "w": rng.uniform(0.5, 2.0, 250)})


@pytest.mark.parametrize("family, link", [("gaussian", "identity"), ("gamma", "log"), ("inverse_gaussian", "log")])
def test_a_constant_dispersion_is_the_maximum_likelihood_one(data, family, link):
    double = glm("y ~ x", data, family, link, dispersion="~ 1")
    plain = glm("y ~ x", data, family, link, dispersion="ml")
    assert np.abs((double.params[["Intercept", "x"]] - plain.params) / plain.bse).max() < 1e-7
    assert np.exp(double.params["dispersion_Intercept"]) == pytest.approx(plain.scale, rel=1e-9)
    np.testing.assert_allclose(double.bse[["Intercept", "x"]], plain.bse, rtol=1e-7)


def test_a_weight_is_an_offset_of_the_dispersion(data):
    """phi / w, as glm's weights."""
    with pytest.raises(OptionError, match=r"offset\(-log\(w\)\)"):
        glm("y ~ x", data, weights="w", dispersion="~ z")
    double = glm("y ~ x", data, dispersion="~ 1 + offset(-log(w))")
    plain = glm("y ~ x", data, weights="w", dispersion="ml")
    np.testing.assert_allclose(double.params[["Intercept", "x"]], plain.params, rtol=1e-8)
    assert np.exp(double.params["dispersion_Intercept"]) == pytest.approx(plain.scale, rel=1e-8)
    assert double.llf == pytest.approx(plain.llf, rel=1e-12)


def test_frequencies_are_rows_written_out(data):
    long = data.loc[data.index.repeat(data["n"])]
    for short, other in (
        (
            glm("y ~ x", data, "gamma", "log", dispersion="~ z", freq_weights="n"),
            glm("y ~ x", long, "gamma", "log", dispersion="~ z"),
        ),
        (beta_regression("p ~ x | z", data, freq_weights="n"), beta_regression("p ~ x | z", long)),
    ):
        np.testing.assert_allclose(short.params, other.params, rtol=1e-8)
        np.testing.assert_allclose(short.bse, other.bse, rtol=1e-8)
        assert (short.llf, short.bic) == pytest.approx((other.llf, other.bic), rel=1e-12)


def test_a_mirrored_proportion_has_mirrored_coefficients(data):
    fit = beta_regression("p ~ x | z", data)
    mirrored = beta_regression("I(1 - p) ~ x | z", data)
    np.testing.assert_allclose(mirrored.params.iloc[:2], -fit.params.iloc[:2], rtol=1e-9)
    np.testing.assert_allclose(mirrored.params.iloc[2:], fit.params.iloc[2:], rtol=1e-9)
    assert mirrored.llf == pytest.approx(fit.llf, rel=1e-12)


def test_a_constant_precision(data):
    alone, formula = beta_regression("p ~ x", data), beta_regression("p ~ x | 1", data)
    np.testing.assert_allclose(alone.params, formula.params, rtol=1e-12)
    assert list(alone.params.index) == ["Intercept", "x", "log(precision)"]


def test_robust_and_clustered_errors(data):
    fit = beta_regression("p ~ x | z", data, cluster="n")
    assert fit.bse.notna().all()
    assert not np.allclose(fit.bse, fit.with_covariance("HC0").bse)


def test_the_variables_of_the_caller(data):
    bend = 2.0  # noqa: F841  (the formula uses it)
    double = glm("y ~ x", data, "gamma", "log", dispersion="~ I(z**bend)")
    assert "dispersion_I(z ** bend)" in double.params.index or "dispersion_I(z**bend)" in double.params.index


def test_what_they_refuse(data):
    with pytest.raises(OptionError, match="one of the families"):
        glm("n ~ x", data, "poisson", dispersion="~ z")
    with pytest.raises(FormulaError, match="right side only"):
        glm("y ~ x", data, dispersion="phi ~ z")
    with pytest.raises(OptionError, match="penalty="):
        glm("y ~ x", data, "gamma", "log", dispersion="~ z", penalty="firth")
    with pytest.raises(ResponseError, match="positive"):
        glm("I(y - 1) ~ x", data, "gamma", "log", dispersion="~ z")
    with pytest.raises(ResponseError, match=r"above 0 and below 1.*row 0 has 1\.0"):
        beta_regression("p ~ x", data.assign(p=data["p"].where(data.index != 0, 1.0)))
    with pytest.raises(FormulaError, match="3 parts"):
        beta_regression("p ~ x | z | z", data)
    with pytest.raises(ResponseError, match=r"successes and failures, for which .* has no use"):
        beta_regression("cbind(n, n) ~ x", data)


@pytest.mark.parametrize("family", ["gaussian", "gamma", "inverse_gaussian"])
def test_rows_without_any_error_have_no_highest_likelihood(data, family):
    """A group of one value: as phi goes to 0 there, the density goes to infinity."""
    data = data.assign(g=np.where(data["w"] < 1.0, "a", np.where(data["n"] == 1, "b", "c")))
    constant = data.assign(y=data["y"].where(data["g"] != "a", 2.0))
    with pytest.raises(ResponseError, match=rf"exact in {(data['g'] == 'a').sum()} row\(s\).*no maximum"):
        glm("y ~ g", constant, family, "log", dispersion="~ g")
    perfect = data.assign(y=np.exp(1.0 + 0.1 * data["x"]))
    with pytest.raises(ResponseError, match=f"exact in {len(data)} row"):
        glm("y ~ x", perfect, family, "log", dispersion="~ z")


def test_small_errors_are_no_exact_fit(data):
    """Positions of 1e6 with errors of a millimetre."""
    rng = np.random.default_rng(0)
    near = data.assign(y=1e6 + data["x"] + 1e-3 * np.exp(0.3 * data["z"]) * rng.normal(size=len(data)))
    fit = glm("y ~ x", near, dispersion="~ z")
    assert fit.params["dispersion_Intercept"] == pytest.approx(2.0 * np.log(1e-3), abs=0.5)
    assert fit.params["dispersion_z"] == pytest.approx(0.6, abs=0.3)
