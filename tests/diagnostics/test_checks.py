"""Checks: each says yes to what it looks for, and no to its absence; the page shows what they say."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from torchglm import glm
from torchglm.checks import Calibration, Check, Finding, Simulated, Subject
from torchglm.diagnostics.checks.check import CHECKS
from torchglm.errors import SeparationWarning, UnknownNameError
from torchglm.families import NegativeBinomial, Tweedie

N = 3_000
RNG = np.random.default_rng(11)
X, U = RNG.normal(size=(2, N))
MU = np.exp(0.5 + 0.4 * X)
P = 1.0 / (1.0 + np.exp(-(0.3 + X)))
DATA = pd.DataFrame(
    {
        "x": X,
        "u": U,
        "poisson": RNG.poisson(MU),
        "spread": RNG.negative_binomial(1.5, 1.5 / (1.5 + MU)),
        "holes": RNG.poisson(MU) * (RNG.random(N) > 0.25),
        "positive": 1 + RNG.poisson(MU),
        "bit": (RNG.random(N) < P).astype(float),
        "curved": RNG.poisson(np.exp(0.2 + 0.2 * X + 0.15 * X**2)),
        "gamma": RNG.gamma(3.0, MU / 3.0),
        "gaussian": X + U + RNG.normal(size=N),
        "heavy": X + RNG.standard_t(2.0, size=N),
        "near": X + 0.05 * RNG.normal(size=N),
    }
)
TRIALS = RNG.integers(5, 20, N)
DATA["m"], DATA["share"] = TRIALS, RNG.binomial(TRIALS, P) / TRIALS
DATA["clumped"] = RNG.binomial(TRIALS, RNG.beta(4.0 * P, 4.0 * (1.0 - P))) / TRIALS


def verdict(name: str, formula: str, family="poisson", **given) -> Finding:
    return glm(formula, DATA, family, **given).check(name)[name]


@pytest.mark.parametrize(
    "formula, family, beside",
    [
        ("poisson ~ x + u", "poisson", {}),
        ("spread ~ x + u", NegativeBinomial(theta=1.5), {}),
        ("bit ~ x + u", "binomial", {}),
        ("share ~ x + u", "binomial", {"weights": "m"}),
        ("gamma ~ x + u", "gamma", {"link": "log"}),
        ("gaussian ~ x + u", "gaussian", {}),
    ],
)
def test_a_true_model_is_of_no_concern(formula, family, beside):
    page = glm(formula, DATA, family, **beside).check(seed=1)
    assert page.ok, str(page)
    assert len(page.findings) + len(page.left_out) == len(CHECKS.names())


def test_overdispersion_is_seen():
    found = verdict("overdispersion", "spread ~ x")
    assert found.concern
    assert found.details["p"].max() < 1e-10
    assert verdict("overdispersion", "clumped ~ x", "binomial", weights="m").verdict == "overdispersed"
    halved = DATA.assign(even=np.round(MU))
    assert glm("even ~ x", halved, "poisson").check("overdispersion")["overdispersion"].verdict == "underdispersed"


def test_zeros_are_counted():
    found = verdict("zero_inflation", "holes ~ x")
    assert found.verdict == "too many zeros"
    assert found.details.loc["z", "observed"] == (DATA["holes"] == 0).sum()
    assert verdict("zero_inflation", "positive ~ x").verdict == "too few zeros"
    assert verdict("zero_inflation", "spread ~ x", NegativeBinomial(theta=1.5)).ok


def test_the_z_of_zeros_is_standard_normal():
    rng = np.random.default_rng(2)
    x = rng.normal(size=150)
    drawn = [
        glm("y ~ x", {"y": rng.poisson(np.exp(0.3 + 0.5 * x)), "x": x}, "poisson").check("zero_inflation")
        for _ in range(150)
    ]
    z = np.array([page["zero_inflation"].statistic for page in drawn])
    assert abs(z.mean()) < 4 / 150**0.5
    assert 0.75 < z.std() < 1.25


def test_a_curve_is_seen_by_the_link_test():
    assert verdict("link", "curved ~ x").concern
    assert verdict("link", "curved ~ x + I(x**2)").ok


def test_calibration_of_a_wrong_link():
    data = DATA.assign(odd=(RNG.random(N) < 0.1 + 0.8 * (np.abs(X) < 0.7)).astype(float))
    fit = glm("odd ~ x", data, "binomial")
    assert fit.check("calibration")["calibration"].concern
    curve = fit.calibration_curve(groups=5)
    assert not ((curve["lower"] < curve["observed"]) & (curve["observed"] < curve["upper"])).all()


def test_trials_written_out_are_calibrated_alike():
    rows = np.repeat(np.arange(200), TRIALS[:200])
    successes = np.concatenate(
        [np.arange(m) < round(m * s) for m, s in zip(TRIALS[:200], DATA["share"][:200], strict=True)]
    )
    written = pd.DataFrame({"x": X[rows], "y": successes.astype(float)})
    grouped = glm("share ~ x", DATA[:200], "binomial", weights="m")
    single = glm("y ~ x", written, "binomial")
    a, b = (fit.check(Calibration(groups=8))["calibration"] for fit in (grouped, single))
    assert a.statistic == pytest.approx(b.statistic, rel=1e-6)
    columns = ["n", "predicted", "observed", "std.error"]
    pd.testing.assert_frame_equal(
        grouped.calibration_curve(8)[columns], single.calibration_curve(8)[columns], rtol=1e-6
    )


def test_calibration_curve_of_counts():
    curve = glm("poisson ~ x", DATA, "poisson").calibration_curve(groups=10)
    assert curve["n"].tolist() == [300.0] * 10
    assert (curve["n"] * curve["observed"]).sum() == pytest.approx(DATA["poisson"].sum())
    inside = (curve["lower"] < curve["observed"]) & (curve["observed"] < curve["upper"])
    assert inside.sum() >= 8


def test_collinear_terms():
    found = verdict("collinearity", "gaussian ~ x + near + u", "gaussian")
    assert found.concern
    r2 = np.linalg.lstsq(np.column_stack([np.ones(N), DATA["near"], U]), X, rcond=None)
    rest = 1.0 - r2[1][0] / ((X - X.mean()) ** 2).sum()
    assert found.details.loc["x", "GVIF"] == pytest.approx(1.0 / (1.0 - rest), rel=1e-6)


def test_an_outlier_is_named():
    data = DATA.assign(gaussian=DATA["gaussian"].where(DATA.index != 17, 25.0))
    found = glm("gaussian ~ x + u", data).check("outliers")["outliers"]
    assert found.concern
    assert "row 17" in found.number
    assert found.details.index[0] == 17


def test_an_influential_row_is_named():
    data = DATA[:30].assign(x=lambda d: d["x"].where(d.index != 4, 60.0))
    found = glm("gaussian ~ x", data).check("influence")["influence"]
    assert found.concern
    assert "row 4" in found.number


def test_simulations_see_what_is_wrong():
    assert verdict("simulation", "spread ~ x").concern
    assert verdict("simulation", "heavy ~ x", "gaussian").concern
    assert verdict("simulation", "holes ~ x").details.loc["zeros", "p"] < 0.01
    fit = glm("poisson ~ x", DATA, "poisson")
    assert fit.check("simulation", seed=4).frame().equals(fit.check("simulation", seed=4).frame())
    assert (
        fit.check("simulation", seed=4)["simulation"].statistic
        != fit.check("simulation", seed=5)["simulation"].statistic
    )
    few = fit.check(Simulated(draws=50, rows=500))["simulation"]
    assert "500 rows" in few.number


def test_simulated_p_values_are_even():
    rng = np.random.default_rng(8)
    p = []
    for seed in range(60):
        x = rng.normal(size=60)
        fit = glm("y ~ x", {"y": rng.poisson(np.exp(x)), "x": x}, "poisson")
        p.append(fit.check(Simulated(draws=99), seed=seed)["simulation"].p)
    assert np.mean(np.array(p) < 0.05) < 0.12


@pytest.mark.parametrize("at, kind", [(3.5, "complete"), (3.0, "quasi-complete")])
def test_separation_says_which(at, kind):
    with pytest.warns(SeparationWarning):
        fit = glm("y ~ x", {"y": [0, 0, 0, 1, 1, 1], "x": [1.0, 2.0, 3.0, at, 4.0, 5.0]}, "binomial")
    found = fit.check("separation")["separation"]
    assert found.verdict == kind
    assert found.details.loc["x", "direction"] == "+"


def test_frequencies_are_as_written_out():
    data = DATA[:300].assign(f=RNG.integers(1, 4, 300))
    written = data.loc[data.index.repeat(data["f"])]
    names = ["collinearity", "overdispersion", "zero_inflation", "link", "outliers", "influence"]
    one, other = (
        fit.check(names).frame()
        for fit in (glm("spread ~ x", data, "poisson", freq_weights="f"), glm("spread ~ x", written, "poisson"))
    )
    pd.testing.assert_frame_equal(one, other, rtol=1e-6)
    bits = [glm("bit ~ x", data, "binomial", freq_weights="f"), glm("bit ~ x", written, "binomial")]
    a, b = (fit.check("calibration")["calibration"].statistic for fit in bits)
    assert a == pytest.approx(b, rel=1e-7)


@pytest.mark.parametrize("family", ["quasipoisson", Tweedie(power=1.5), Tweedie(power=2.5), "inverse_gaussian"])
def test_every_family_has_a_page(family):
    positive = DATA[:300].assign(y=DATA["gamma"][:300])
    text = str(glm("y ~ x", positive, family, "log").check())
    assert "Not asked:" in text


def test_means_that_follow_their_rows_are_not_simulated():
    data = DATA[:300].assign(g=np.arange(300) % 100)
    page = glm("gamma ~ C(g)", data, "gamma", "log").check()
    assert "fewer than 5 observations" in page.left_out["simulation"]


def test_small_fits_have_a_page():
    saturated = glm("y ~ x", {"y": [1.0, 2.0], "x": [0.0, 1.0]})
    assert saturated.check().findings == {}
    assert "Checks of the fit" in str(saturated.check())
    assert not saturated.influence()["is_influential"].any()
    assert "Checks of the fit" in str(glm("y ~ 1", {"y": [1, 2, 5]}, "poisson").check())


def test_the_page():
    page = glm("spread ~ x", DATA, "poisson").check()
    lines = str(page).splitlines()
    assert max(map(len, lines)) <= 80
    assert repr(page) == str(page)
    assert "! overdispersed" in str(page)
    assert "Standard errors are too small" in str(page)
    assert page.as_html().count("<tr>") == len(page.findings) + 1
    assert page.as_markdown().count("\n|") == len(page.findings) + 2
    assert set(page.concerns) <= set(page.findings)
    assert page["overdispersion"].concern
    assert not page["overdispersion"].ok
    with pytest.raises(UnknownNameError, match="does not apply"):
        page["calibration"]
    with pytest.raises(UnknownNameError, match="overdispersion"):
        page["overdispersed"]


def test_a_check_of_ones_own():
    try:

        @dataclass(frozen=True)
        class Enough(Check, name="enough_rows"):
            least: int = 100

            def run(self, subject: Subject) -> Finding | str:
                n = subject.estimate.n
                return Finding("Rows", f"{n:.0f}", n, float("nan"), "enough", n < self.least)

        assert "Rows" in str(glm("gamma ~ x", DATA, "gamma", "log").check())
        assert glm("poisson ~ x", DATA[:50], "poisson").check(Enough(60))["enough_rows"].concern
    finally:
        CHECKS._classes.pop("enough_rows", None)


def test_many_rows_are_sampled_for_simulations_alone():
    rng = np.random.default_rng(0)
    n = 200_000
    x = rng.normal(size=n)
    data = {"x": x, "y": rng.poisson(np.exp(0.2 * x))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = glm("y ~ x", data, "poisson").check()
    assert page.ok, str(page)
    assert ", 20000 rows" in page["simulation"].number
