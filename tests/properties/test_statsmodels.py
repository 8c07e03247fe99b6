"""statsmodels as a second oracle, where its definitions are R's."""

from __future__ import annotations

import importlib.util
import pathlib
import warnings

import numpy as np
import pytest

from torchglm import families, glm

sm = pytest.importorskip("statsmodels.api")

_spec = importlib.util.spec_from_file_location("properties_data", pathlib.Path(__file__).with_name("conftest.py"))
_data = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_data)

L = sm.families.links
PAIRS = {  # response, ours, theirs, whether statsmodels' likelihood is R's
    "gaussian identity": ("y", families.Gaussian(), sm.families.Gaussian(), True),
    "gaussian log": ("positive", families.Gaussian(link="log"), sm.families.Gaussian(L.Log()), False),
    "poisson log": ("count", families.Poisson(), sm.families.Poisson(), True),
    "poisson sqrt": ("count", families.Poisson(link="sqrt"), sm.families.Poisson(L.Sqrt()), True),
    "binomial logit": ("yes", families.Binomial(), sm.families.Binomial(), True),
    "binomial probit": ("yes", families.Binomial(link="probit"), sm.families.Binomial(L.Probit()), True),
    "binomial cloglog": ("yes", families.Binomial(link="cloglog"), sm.families.Binomial(L.CLogLog()), True),
    "binomial loglog": ("yes", families.Binomial(link="loglog"), sm.families.Binomial(L.LogLog()), True),
    "binomial cauchit": ("yes", families.Binomial(link="cauchit"), sm.families.Binomial(L.Cauchy()), True),
    "gamma log": ("positive", families.Gamma(link="log"), sm.families.Gamma(L.Log()), False),
    "gamma inverse": ("positive", families.Gamma(), sm.families.Gamma(L.InversePower()), False),
    "inverse gaussian log": (
        "positive",
        families.InverseGaussian(link="log"),
        sm.families.InverseGaussian(L.Log()),
        False,
    ),
    "negative binomial": ("count", families.NegativeBinomial(theta=2.0), sm.families.NegativeBinomial(alpha=0.5), True),
    "tweedie": ("positive", families.Tweedie(power=1.5, link="log"), sm.families.Tweedie(L.Log(), 1.5), False),
}


@pytest.fixture(scope="module", params=PAIRS)
def both(request):
    name, ours, theirs, same_likelihood = PAIRS[request.param]
    data = _data.made(5, rows=300)
    fit = glm(f"{name} ~ x * g + z", data, ours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sm.GLM.from_formula(f"{name} ~ x * g + z", data, family=theirs)
        start = 1.001 * fit.params[model.exog_names]  # near: for the inverse link it halves no steps and runs away
        oracle = model.fit(start_params=start, tol=1e-13, maxiter=300)
    assert set(fit.params.index) == set(oracle.params.index)  # in another order
    return fit, oracle, same_likelihood


def test_estimates(both):
    ours, theirs, _ = both
    order = theirs.params.index
    assert ((ours.params - theirs.params) / theirs.bse).abs().max() < 1e-6
    np.testing.assert_allclose(ours.bse[order], theirs.bse, rtol=1e-6)
    np.testing.assert_allclose(ours.cov_params().loc[order, order], theirs.cov_params(), rtol=1e-5, atol=1e-9)


def test_totals(both):
    ours, theirs, same_likelihood = both
    for name in ("deviance", "null_deviance", "pearson_chi2", "scale", "df_resid", "df_model", "nobs"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-7), name
    if same_likelihood:
        assert ours.llf == pytest.approx(theirs.llf, rel=1e-9)
    if same_likelihood and not ours.use_t:  # elsewhere statsmodels keeps the dispersion of the full model
        assert ours.llnull == pytest.approx(theirs.llnull, rel=1e-8)


@pytest.mark.parametrize("kind", ["response", "pearson", "deviance", "anscombe"])
def test_residuals(both, kind):
    ours, theirs, _ = both
    if kind == "anscombe" and ours.family.name in ("negative_binomial", "tweedie"):
        pytest.skip("another definition there")
    wanted = theirs.resid_anscombe_unscaled if kind == "anscombe" else getattr(theirs, f"resid_{kind}")
    np.testing.assert_allclose(ours.residuals(kind), wanted, rtol=1e-5, atol=1e-6)


def test_intervals_and_predictions(both):
    ours, theirs, _ = both
    new = _data.made(6, rows=9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its intervals leave the inverse link's domain
        prediction = theirs.get_prediction(new).summary_frame()
    mine = ours.get_prediction(new)
    np.testing.assert_allclose(mine["mean"], prediction["mean"], rtol=1e-6)
    np.testing.assert_allclose(mine["mean_se"], prediction["mean_se"], rtol=1e-5)
    if not ours.use_t:  # statsmodels' intervals are normal for every family
        order = theirs.params.index
        np.testing.assert_allclose(ours.conf_int().loc[order], theirs.conf_int(), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(ours.pvalues[order], theirs.pvalues, rtol=1e-5)


def test_robust_covariance_of_canonical_links(both):
    ours, theirs, _ = both
    canonical = {"gaussian": "identity", "poisson": "log", "binomial": "logit"}
    if canonical.get(ours.family.name) != ours.family.link.name:
        pytest.skip("statsmodels' bread is the observed information")
    robust = theirs.model.fit(cov_type="HC0", tol=1e-13)
    np.testing.assert_allclose(ours.with_covariance("HC0").bse[robust.params.index], robust.bse, rtol=1e-6)


def test_linear_hypotheses(both):
    ours, theirs, _ = both
    wanted = theirs.wald_test("x = z, z = 0", use_f=ours.use_t, scalar=True)
    found = ours.wald_test("x = z, z = 0")
    assert found.statistic == pytest.approx(float(wanted.statistic), rel=1e-5)
    assert found.pvalue == pytest.approx(float(wanted.pvalue), rel=1e-4)
