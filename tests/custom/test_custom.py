"""custom(): three models of one's own against R, and everything that a fit can do, of them."""

from __future__ import annotations

import json
import math
import pathlib

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from torchglm import families, glm, load, ordinal
from torchglm.custom_models import custom
from torchglm.errors import FormulaError, LikelihoodError, OptionError, ResponseError, SavedFileError, UnknownNameError

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parents[1] / "docs" / "data"
R = json.loads((HERE / "custom.json").read_text())
SURVIVAL = "cbind(futime, fustat) ~ age + ecog_ps + rx"


def student_t(y: Tensor, location: Tensor, log_scale: Tensor, log_df: Tensor) -> Tensor:
    df, t = log_df.exp(), (y - location) * torch.exp(-log_scale)
    constant = torch.lgamma(0.5 * df) - torch.lgamma(0.5 * df + 0.5) + 0.5 * torch.log(math.pi * df)
    return constant + log_scale + 0.5 * (df + 1.0) * torch.log1p(t * t / df)


def weibull(y: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    time, event = y.unbind(1)
    s = (time.log() - location) * torch.exp(-log_scale)
    return s.exp() - event * (s - log_scale - time.log())


def cmp(y: Tensor, z: Tensor) -> Tensor:
    log_rate, nu = z[:, 0], z[:, 1].exp()
    k = torch.arange(101, dtype=torch.float64)
    terms = k * log_rate[:, None] - nu[:, None] * torch.lgamma(k + 1.0)
    return torch.logsumexp(terms, 1) - y * log_rate + nu * torch.lgamma(y + 1.0)


def survived(location: Tensor, log_scale: Tensor) -> Tensor:
    return torch.exp(location + torch.lgamma(1.0 + log_scale.exp()))


def normal(y: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
    return 0.5 * ((y - mean) * torch.exp(-log_sd)) ** 2 + log_sd + 0.5 * math.log(2.0 * math.pi)


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / f"{name}.csv")


@pytest.fixture(scope="module")
def ovarian() -> pd.DataFrame:
    frame = read("ovarian")
    return frame.assign(w=np.resize([1, 2, 3], len(frame)), site=np.resize(range(1, 10), len(frame)))


def agrees(fit, case: dict, rtol: float) -> None:
    vcov = np.array(case["vcov"])
    se = np.sqrt(np.diag(vcov))
    assert fit.converged
    assert (np.abs(fit.params.to_numpy() - case["params"]) / se).max() < rtol
    np.testing.assert_allclose(fit.bse, se, rtol=rtol)
    assert np.abs((fit.cov_params().to_numpy() - vcov) / np.outer(se, se)).max() < 2.0 * rtol
    assert fit.llf == pytest.approx(case["loglik"], rel=1e-10)


def test_weibull_regression_is_survreg(ovarian):
    fit = custom(
        SURVIVAL,
        ovarian,
        weibull,
        ("location", "log_scale"),
        mean=lambda m, s: m.exp() * torch.exp(torch.lgamma(1 + s.exp())),
    )
    agrees(fit, R["weibull"], 1e-8)
    assert list(fit.params.index[[0, 1, -1]]) == ["location_Intercept", "location_age", "log_scale"]
    np.testing.assert_allclose(np.exp(fit.predict(kind="location")[:5]), R["weibull"]["predicted"], rtol=1e-9)
    expected = np.exp(fit.predict(kind="location")) * math.gamma(1.0 + R["weibull"]["scale"])
    np.testing.assert_allclose(fit.predict(), expected, rtol=1e-9)


def test_weibull_with_weights_clusters_and_an_offset(ovarian):
    names = ("location", "log_scale")
    agrees(custom(SURVIVAL, ovarian, weibull, names, freq_weights="w"), R["weighted"], 1e-8)
    robust = custom(SURVIVAL, ovarian, weibull, names).with_covariance("CR0", cluster="site")
    agrees(robust, R["clustered"], 1e-7)  # survreg's robust variance has no small-sample correction
    shifted = custom("cbind(futime, fustat) ~ ecog_ps + rx + offset(-age / 20)", ovarian, weibull, names)
    agrees(shifted, R["shifted"], 1e-8)
    given = custom("cbind(futime, fustat) ~ ecog_ps + rx", ovarian, weibull, names, offset="-age / 20")
    np.testing.assert_allclose(given.params, shifted.params, rtol=1e-12)
    predicted = [np.exp(fit.predict(ovarian[:5], kind="location")) for fit in (shifted, given)]
    np.testing.assert_allclose(predicted, [R["shifted"]["predicted"]] * 2, rtol=1e-9)


def test_student_t_regression():
    names = ("location", "log_scale", "log_df")
    fit = custom("stack_loss ~ air_flow + water_temp + acid_conc", read("stackloss"), student_t, names)
    agrees(fit, R["student"], 2e-6)  # numDeriv's Hessian
    # Lange, Little & Taylor (1989), JASA 84, Table 1: -38.5, .85, .49, -.07 with 1.1 degrees of freedom
    published = [-38.5, 0.85, 0.49, -0.07, 1.1]
    found = [*fit.params[:4], float(np.exp(fit.params["log_df"]))]
    assert [round(v, d) for v, d in zip(found, (1, 2, 2, 2, 1), strict=True)] == published


def test_conway_maxwell_poisson_regression():
    fit = custom("broken ~ transfers", read("freight"), cmp, ("log_rate", "log_nu"))
    agrees(fit, R["cmp"], 2e-6)


def test_a_normal_likelihood_is_glm(ovarian):
    fit = custom("age ~ rx + ecog_ps", ovarian, normal, start={"mean": 50.0, "log_sd": 2.0})
    plain = glm("age ~ rx + ecog_ps", ovarian)
    np.testing.assert_allclose(fit.params[:3], plain.params, rtol=1e-9)
    assert fit.llf == pytest.approx(plain.llf, rel=1e-12)
    assert fit.aic == pytest.approx(plain.aic, rel=1e-12)
    assert fit.params["log_sd"] == pytest.approx(0.5 * math.log(plain.deviance / len(ovarian)), rel=1e-9)
    n = len(ovarian)
    np.testing.assert_allclose(fit.bse[:3], plain.bse * math.sqrt((n - 3) / n), rtol=1e-8)
    np.testing.assert_allclose(fit.predict(), plain.predict(), rtol=1e-10)


@pytest.mark.parametrize("scale", [2e4, 3e7])
def test_a_normal_likelihood_of_large_responses_is_glm(ovarian, scale):
    large = ovarian.assign(age=scale * ovarian["age"])
    fit, plain = custom("age ~ rx + ecog_ps", large, normal), glm("age ~ rx + ecog_ps", large)
    assert fit.converged
    np.testing.assert_allclose(fit.params[:3], plain.params, rtol=1e-9)
    assert fit.llf == pytest.approx(plain.llf, rel=1e-12)


def test_one_predictor_is_named_as_in_glm():
    data = read("freight")
    fit = custom("broken ~ transfers", data, lambda y, eta: eta.exp() - y * eta + torch.lgamma(y + 1.0), "eta")
    plain = glm("broken ~ transfers", data, "poisson")
    pd.testing.assert_series_equal(fit.params, plain.params, rtol=1e-9)
    pd.testing.assert_series_equal(fit.bse, plain.bse, rtol=1e-8)
    assert fit.llf == pytest.approx(plain.llf, rel=1e-12)


def test_formulas_of_every_predictor(ovarian):
    fit = custom("age ~ rx | ecog_ps + C(fustat)", ovarian, normal)
    assert list(fit.params.index) == [
        "mean_Intercept", "mean_rx", "log_sd_Intercept", "log_sd_ecog_ps", "log_sd_C(fustat)[T.1]",
    ]  # fmt: skip
    link = fit.predict(ovarian[:3], kind="link")
    assert list(link.columns) == ["mean", "log_sd"]
    np.testing.assert_array_equal(link["log_sd"], fit.predict(ovarian[:3], kind="log_sd"))
    with pytest.raises(FormulaError, match=r"3 parts for 2 predictor"):
        custom("age ~ rx | 1 | 1", ovarian, normal)


def test_rows_written_out(ovarian):
    names = ("location", "log_scale")
    weighted = custom(SURVIVAL, ovarian, weibull, names, freq_weights="w", covariance="HC1")
    often = ovarian.loc[ovarian.index.repeat(ovarian["w"])]
    written = custom(SURVIVAL, often, weibull, names, covariance="HC1")
    np.testing.assert_allclose(weighted.cov_params(), written.cov_params(), rtol=1e-8)
    assert weighted.bic == pytest.approx(written.bic, rel=1e-12)
    zero = ovarian.assign(w=(ovarian.index > 2) * 1.0)
    left = custom(SURVIVAL, zero[3:], weibull, names)
    np.testing.assert_allclose(custom(SURVIVAL, zero, weibull, names, freq_weights="w").params, left.params, rtol=1e-9)


def test_a_response_of_two_columns_is_dropped_where_one_is_missing(ovarian):
    holes = ovarian.assign(
        fustat=ovarian["fustat"].where(ovarian.index != 4), futime=ovarian["futime"].mask(ovarian.index == 7)
    )
    names = ("location", "log_scale")
    fit, left = custom(SURVIVAL, holes, weibull, names), custom(SURVIVAL, ovarian.drop(index=[4, 7]), weibull, names)
    assert fit.record.facts.rows_dropped == 2
    np.testing.assert_allclose(fit.params, left.params, rtol=1e-10)
    infinite = ovarian.assign(futime=ovarian["futime"].astype(float).where(ovarian.index != 4, np.inf))
    with pytest.raises(Exception, match="infinite"):
        custom(SURVIVAL, infinite, weibull, names)


def test_three_columns_and_small_blocks(ovarian, monkeypatch):
    from torchglm.design import design

    names = ("location", "log_scale")
    whole = custom(SURVIVAL, ovarian, weibull, names)
    monkeypatch.setattr(design, "SMALLEST_BLOCK", 7)
    monkeypatch.setattr(design, "LARGEST_BLOCK", 7)
    three = "np.column_stack([futime, fustat, rx]) ~ age + ecog_ps + rx"
    fit = custom(three, ovarian, lambda y, m, s: weibull(y[:, :2], m, s), names)
    np.testing.assert_allclose(fit.params, whole.params, rtol=1e-9)
    np.testing.assert_allclose(fit.bse, whole.bse, rtol=1e-9)


def test_data_that_were_written_over_are_refused(ovarian):
    frame = {name: ovarian[name].to_numpy(dtype=float).copy() for name in ("age", "rx", "ecog_ps")}
    fit = custom("age ~ rx", frame, normal)
    frame["age"][0] += 1.0
    with pytest.raises(Exception, match=r"written over|changed"):
        fit.with_covariance("HC0").bse  # noqa: B018


@pytest.mark.parametrize("solver", ["newton_cg", "lbfgs"])
def test_solvers_agree(solver, ovarian):
    names = ("location", "log_scale")
    by_irls = custom(SURVIVAL, ovarian, weibull, names)
    other = custom(SURVIVAL, ovarian, weibull, names, solver=solver, start={"location": 6.0}, max_steps=500)
    assert np.abs((other.params - by_irls.params) / by_irls.bse).max() < 1e-5


@pytest.mark.parametrize("shift, scale", [(0.0, 100.0), (1e5, 10.0), (-3.0, 1e-4)])
def test_other_units_are_the_same_model(shift, scale):
    names = ("location", "log_scale", "log_df")
    formula, stack = "y ~ air_flow + water_temp + acid_conc", read("stackloss")
    plain = custom(formula, stack.assign(y=stack["stack_loss"]), student_t, names)
    moved = custom(formula, stack.assign(y=shift + scale * stack["stack_loss"]), student_t, names)
    assert moved.llf == pytest.approx(plain.llf - len(stack) * math.log(scale), abs=1e-6)
    expected = [shift + scale * plain.params.iloc[0], *(scale * plain.params[1:4])]
    np.testing.assert_allclose(moved.params[:4], expected, rtol=1e-5)
    assert moved.params["log_df"] == pytest.approx(plain.params["log_df"], abs=1e-5)


def test_starts(ovarian):
    fit = custom("age ~ rx", ovarian, normal)
    for start in ([50.0, 2.0], {"log_sd": 2.0}, fit.params, list(fit.params)):
        again = custom("age ~ rx", ovarian, normal, start=start)
        np.testing.assert_allclose(again.params, fit.params, rtol=1e-8)
    with pytest.raises(OptionError, match="start="):
        custom("age ~ rx", ovarian, normal, start=[1.0])
    with pytest.raises(OptionError, match="start="):
        custom("age ~ rx", ovarian, normal, start={"sd": 1.0})


BAD = {
    "shape": (lambda y, m, s: normal(y, m, s).sum(), "one value a row"),
    "finite": (lambda y, m, s: torch.log(m - 1e6) + y + s, "not finite"),
    "rows": (lambda y, m, s: normal(y - m.mean(), m, s), "predictors of other rows"),
    "detached": (lambda y, m, s: normal(y, m.detach() + 0.0 * m, s), "does not change|values say"),
    "numpy": (lambda y, m, s: normal(y, m, s).detach().numpy(), "torch tensor"),
    "raises": (lambda y, m, s: y @ torch.ones(3, 3), "raised RuntimeError"),
    "arguments": (lambda y: y, "called as nll"),
    "responses": (lambda y, m, s: normal(y - y.mean(), m, s), "responses of other rows"),
    "rows counted": (lambda y, m, s: normal(y, m, s) / len(y), "how many there are"),
    "float": (lambda y, m, s: normal(y, m, s).float(), "torch.float64"),
}


@pytest.mark.parametrize("name", BAD)
def test_likelihoods_that_fail_their_trial(name, ovarian):
    function, message = BAD[name]
    with pytest.raises(LikelihoodError, match=message):
        custom("age ~ rx", ovarian, function)


def test_calls_that_are_refused(ovarian):
    with pytest.raises(OptionError, match='no predictor may be called "mean"'):
        custom("age ~ rx", ovarian, normal, mean=lambda m, s: m)
    with pytest.raises(OptionError, match="different name"):
        custom("age ~ rx", ovarian, normal, ("a", "a"))
    with pytest.raises(ResponseError, match="a response is one column"):
        glm("np.column_stack([futime, fustat]) ~ rx", ovarian)
    fit = custom("age ~ rx", ovarian, normal)
    with pytest.raises(UnknownNameError, match="log_sd"):
        fit.predict(kind="sd")


def test_a_file_does_not_hold_code(ovarian, tmp_path):
    path = tmp_path / "fit"
    fit = custom("age ~ rx", ovarian, normal)
    fit.save(path)
    with pytest.raises(SavedFileError, match=r"test_custom:normal, which is code.*likelihood=normal\)"):
        load(path)
    again = load(path, likelihood=normal)
    assert str(again.summary()) == str(fit.summary())
    for kind in fit.kinds:
        pd.testing.assert_frame_equal(
            pd.DataFrame(again.predict(ovarian, kind, se=True)), pd.DataFrame(fit.predict(ovarian, kind, se=True))
        )
    assert again.wald_test("mean_rx = 0").statistic == fit.wald_test("mean_rx = 0").statistic
    assert torch.equal(again.to_module().coefficients, fit.to_module().coefficients)
    twice = tmp_path / "twice"
    again.save(twice)
    assert load(twice, likelihood=families.custom(normal, ("mean", "log_sd"))).params.equals(fit.params)


def test_a_mean_is_given_again_too(ovarian, tmp_path):
    path = tmp_path / "fit"
    names = ("location", "log_scale")
    fit = custom(SURVIVAL, ovarian, weibull, names, mean=survived, start={"location": 6.0})
    fit.save(path)
    for likelihood in (weibull, families.custom(weibull, names)):
        with pytest.raises(SavedFileError, match=r"with mean=.*custom\(weibull, \('location', 'log_scale'\), mean="):
            load(path, likelihood=likelihood)
    again = load(path, likelihood=families.custom(weibull, names, mean=survived))
    assert again.predict(ovarian).equals(fit.predict(ovarian))
    assert again.vector_model.likelihood.starts == fit.vector_model.likelihood.starts


OTHERS = {
    "another nll": (lambda y, m, s: normal(y, m, s) + s, "made-up rows its nll"),
    "other predictors": (families.custom(normal, ("mean", "sd")), "has the predictors mean, log_sd"),
    "a mean too many": (families.custom(normal, ("mean", "log_sd"), mean=lambda m, s: m), "not made with mean="),
    "text": ("normal", "got str"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_likelihood_is_refused(ovarian, tmp_path, name):
    likelihood, message = OTHERS[name]
    path = tmp_path / "fit"
    custom("age ~ rx", ovarian, normal).save(path)
    with pytest.raises(SavedFileError, match=message):
        load(path, likelihood=likelihood)


def test_a_likelihood_is_for_fits_that_need_one(ovarian, tmp_path):
    for fit in (glm("age ~ rx", ovarian), ordinal("rx ~ age", ovarian)):
        fit.save(tmp_path / "fit")
        with pytest.raises(SavedFileError, match="leave likelihood= out"):
            load(tmp_path / "fit", likelihood=normal)


def test_the_summary_names_the_function(ovarian):
    text = str(custom(SURVIVAL, ovarian, weibull, ("location", "log_scale")).summary())
    assert "weibull" in text
    assert "observed information" in text
