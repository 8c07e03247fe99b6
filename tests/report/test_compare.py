"""The numbers and marks in a table of fits: R's, by compare.R beside this file."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import torchglm
from torchglm import glm
from torchglm.errors import SeparationWarning
from torchglm.report.compare import side_by_side
from torchglm.report.comparison import star_code

NUMBERS = ["estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high"]


@pytest.fixture(scope="module")
def odd():
    """Fits with a separated, an aliased and an ordinary coefficient."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=60)
    frame = pd.DataFrame({"x": x, "twice": 2 * x, "g": ["a", "b"] * 30, "y": (rng.random(60) < 0.5).astype(int)})
    frame.loc[frame["g"] == "b", "y"] = 1
    with pytest.warns(SeparationWarning):
        separated = glm("y ~ x + g", frame, family="binomial")
    return [glm("y ~ x + twice", frame, family="binomial"), separated]


def column_of(comparison, name: str, what: str) -> list[float]:
    return comparison.frame[(name, what)].dropna().tolist()


def cells(comparison) -> dict[str, list[str]]:
    """Row by row: the label with the cells, those below an estimate under `label below`."""
    rows, label = {}, ""
    for first, *rest in comparison.table().rows:
        label = first or f"{label} below"
        rows[label] = rest
    return rows


def test_the_numbers_are_those_of_r(fits, in_r):
    frame = side_by_side(fits).frame
    for name, column in zip(["(1)", "(2)", "(3)"], in_r, strict=True):
        part = frame[name].dropna(how="all")
        assert len(part) == len(column["names"])
        for what in NUMBERS:
            np.testing.assert_allclose(part[what], column[what], rtol=1e-8, atol=1e-130)


def test_the_facts_are_those_of_r(fits, in_r):
    facts = side_by_side(fits, facts=["llf", "aic", "bic", "deviance", "nobs", "scale", "pseudo_r2"]).facts
    for name, column in zip(["(1)", "(2)", "(3)"], in_r, strict=True):
        wanted = [column[what] for what in ("llf", "aic", "bic", "deviance", "nobs", "scale", "pseudo_r2")]
        wanted = [math.nan if value is None else value for value in wanted]
        np.testing.assert_allclose(facts[name].astype(float), wanted, rtol=1e-9)


@pytest.mark.parametrize("ask", ["HC1", ["HC1"] * 3, ("HC1", "HC1", torchglm.covariances.HC1())])
def test_one_covariance_for_all_columns_or_one_each(fits, in_r, ask):
    comparison = side_by_side(fits, covariance=ask)
    for name, column in zip(comparison.names, in_r, strict=True):
        np.testing.assert_allclose(column_of(comparison, name, "std.error"), column["HC1"], rtol=1e-8)
    assert set(comparison.facts.loc["Covariance"]) == {"HC1"}
    assert comparison.notes[1].startswith("Covariance: HC1 sandwich, n / (n - rank)")


def test_one_fit_under_several_covariances(fits, in_r):
    comparison = side_by_side([fits[1]] * 3, covariance=[None, "HC0", "HC1"])
    frame = comparison.frame
    np.testing.assert_allclose(frame["(1)"]["std.error"], in_r[1]["std.error"], rtol=1e-8)
    np.testing.assert_allclose(frame["(3)"]["std.error"], in_r[1]["HC1"], rtol=1e-8)
    np.testing.assert_allclose(frame["(2)"]["std.error"] * math.sqrt(64 / 57), in_r[1]["HC1"], rtol=1e-8)
    assert list(comparison.facts.loc["Covariance"]) == ["model-based", "HC0", "HC1"]
    assert "Covariance of (2): HC0 sandwich, bread of the expected information." in comparison.notes


def test_exponentiated_columns_have_delta_method_errors(fits, in_r):
    comparison = side_by_side(fits[:2], exponentiate=[True, False])
    changed, plain = in_r[0], in_r[1]
    part = comparison.frame["(1)"].dropna(how="all")
    np.testing.assert_allclose(part["estimate"], np.exp(changed["estimate"]), rtol=1e-8)
    np.testing.assert_allclose(part["std.error"], changed["ratio.std.error"], rtol=1e-8)
    np.testing.assert_allclose(part["conf.low"], np.exp(changed["conf.low"]), rtol=1e-8)
    np.testing.assert_allclose(part["statistic"], changed["statistic"], rtol=1e-8)
    np.testing.assert_allclose(comparison.frame["(2)"]["estimate"], plain["estimate"], rtol=1e-8)
    assert comparison.notes[1] == "exp(coef) in (1), with standard errors by the delta method."
    assert side_by_side(fits, exponentiate=True).notes[1] == "exp(coef), with standard errors by the delta method."


def test_exponentials_that_overflow_are_inf_without_a_warning():
    fit = glm("y ~ x", {"x": [1.0, 2.0, 3.0, 4.0], "y": [900.0, 1800.0, 2701.0, 3600.0]})
    assert cells(side_by_side([fit], exponentiate=True))["x"] == ["inf"]


def test_the_level_is_that_of_the_intervals(fits):
    comparison = side_by_side(fits, statistic="ci", level=0.9)
    ends = fits[2].conf_int(level=0.9)
    np.testing.assert_array_equal(comparison.frame["(3)"][["conf.low", "conf.high"]], ends)
    assert comparison.notes[0] == "90% confidence intervals in brackets."


@pytest.mark.parametrize(
    "statistic, below",
    [
        ("se", lambda r: f"({r['std.error'][3]:.4f})"),
        ("t", lambda r: f"({r['statistic'][3]:.3f})"),
        ("p", lambda r: "(<0.001)" if r["p.value"][3] < 0.001 else f"({r['p.value'][3]:.3f})"),
        ("ci", lambda r: f"[{r['conf.low'][3]:.4f}, {r['conf.high'][3]:.4f}]"),
    ],
)
def test_what_stands_below_an_estimate(fits, in_r, statistic, below):
    rows = cells(side_by_side(fits, statistic=statistic))
    assert rows["District[T.D4] below"] == [below(column) for column in in_r]


def test_nothing_below_an_estimate(fits):
    comparison = side_by_side(fits, statistic=None, facts=[])
    assert [row[0] for row in comparison.table().rows] == list(fits[1].params.index)
    assert comparison.notes == ("Covariance: model-based, expected information.",)
    assert len(str(comparison).splitlines()) == 3 + 1 + 7 + 1 + 1


def test_z_and_t_values_are_called_so(fits):
    assert side_by_side(fits[:2], statistic="t").notes[0] == "z values in parentheses."
    assert side_by_side(fits, statistic="t").notes[0] == "z or t values in parentheses."
    assert side_by_side(fits[2:], statistic="t").notes[0] == "t values in parentheses."


def test_stars_on_request(fits, in_r):
    comparison = side_by_side(fits, stars=True)
    assert cells(comparison)["Age[T.25-29]"] == ["", "-0.1563+", "-0.1563"]
    assert cells(comparison)["District[T.D4]"] == ["0.2218***", "0.2470***", "0.2470*"]
    assert in_r[1]["p.value"][4] == pytest.approx(0.0589, abs=5e-5)
    assert comparison.notes[-1] == "+ p < 0.1, * p < 0.05, ** p < 0.01, *** p < 0.001"
    assert "+" not in str(side_by_side(fits))
    assert [star_code(p) for p in (0.0005, 0.005, 0.03, 0.07, 0.2)] == ["***", "**", "*", "+", ""]


def test_stars_do_not_move_the_numbers(fits):
    lines = [
        line for line in str(side_by_side(fits, stars=True)).splitlines() if line.startswith("Dist") or "(0" in line
    ]
    points = {
        tuple(place for place, c in enumerate(line) if c == "." and line[place + 1] != "D") for line in lines[2:6]
    }
    assert len(points) == 1


def test_a_coefficient_has_the_same_decimals_in_all_columns():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=400), "z": rng.normal(size=400)})
    frame["y"] = frame["x"] + 0.19 * rng.normal(size=400)
    frame["big"] = 1000 * frame["y"]
    close = side_by_side([glm("y ~ x", frame), glm("y ~ x + z", frame[:300])])
    errors = close.frame.loc["x", [("(1)", "std.error"), ("(2)", "std.error")]]
    assert errors.min() < 0.01 < errors.max()  # five decimals by itself, and four
    assert [len(cell.partition(".")[2]) for cell in cells(close)["x"]] == [5, 5]
    far = cells(side_by_side([glm("y ~ x", frame), glm("big ~ x", frame)]))
    assert [len(cell.partition(".")[2]) for cell in far["x"]] == [5, 4]


def test_aliased_and_infinite_coefficients_are_marked(odd):
    comparison = side_by_side(odd, stars=True)
    rows = cells(comparison)
    assert rows["twice"] == ["-", ""]
    assert rows["twice below"] == ["", ""]
    assert rows["g[T.b]"] == ["", "inf"]
    assert rows["g[T.b] below"] == ["", ""]
    assert cells(side_by_side(odd, exponentiate=True))["g[T.b]"] == ["", "inf"]
    assert "(1): 1 not defined because of singularities (-): twice = x." in comparison.notes
    assert any(note.startswith("(2) is separated") and "g[T.b] -> +inf" in note for note in comparison.notes)
    np.testing.assert_array_equal(comparison.frame["(2)"].loc["g[T.b]", "estimate"], odd[1].params["g[T.b]"])


def test_a_coefficient_at_minus_infinity_is_a_ratio_of_zero(odd):
    with pytest.warns(SeparationWarning):
        fit = glm("y ~ g", {"y": [1, 0, 1, 0, 0, 0], "g": list("aaabbb")}, family="binomial")
    assert cells(side_by_side([fit]))["g[T.b]"] == ["-inf"]
    assert cells(side_by_side([fit], exponentiate=True))["g[T.b]"] == ["0"]


def test_weights_are_shown_where_a_fit_has_them(claims, fits):
    assert "Weights" not in side_by_side(fits).facts.index
    weighted = glm("Claims ~ District", claims, family="poisson", freq_weights="Holders")
    facts = side_by_side([fits[0], weighted]).facts
    assert list(facts.loc["Weights"]) == ["none", weighted.weights_note]
    assert list(facts.loc["Offset"]) == ["yes", "no"]
    assert "Dispersion" not in facts.index


def test_penalties_are_named(odd):
    data = {"y": [1, 0, 1, 0, 0, 0], "g": list("aaabbb")}
    firth = glm("y ~ g", data, family="binomial", penalty="firth")
    comparison = side_by_side([odd[0], firth])
    assert list(comparison.facts.loc["Penalty"]) == ["none", "Firth"]
    assert f"(2) is penalised: {firth.penalty_note}." in comparison.notes
    # half a success and half a failure to each level: log(2.5 / 1.5) and log(0.5 / 3.5)
    slope = math.log(0.5 / 3.5) - math.log(2.5 / 1.5)
    assert comparison.frame.loc["g[T.b]", ("(2)", "estimate")] == pytest.approx(slope, rel=1e-7)


def test_what_does_not_compare_is_said(claims, fits):
    fewer = glm("Claims ~ District", claims, family="poisson", subset="Holders > 20", exposure="Holders")
    other = glm("Holders ~ District", claims)
    said = "The fits differ in their {}: likelihoods, AIC and BIC do not compare."
    assert said.format("numbers of observations") in side_by_side([fits[0], fewer]).notes
    assert said.format("responses and numbers of observations") in side_by_side([other, fewer]).notes
    assert not any("differ" in note for note in side_by_side([fits[0], fewer], facts=["nobs"]).notes)


def test_a_fit_that_has_not_converged_says_so(claims):
    with pytest.warns(torchglm.errors.ConvergenceWarning):
        fit = glm("Claims ~ District", claims, family="poisson", max_steps=1)
    notes = side_by_side({"short": fit}).notes
    assert f"short has not converged: {fit.status}" in notes


def test_facts_by_name_by_label_and_by_function(fits):
    asked = {"N": "nobs", "Terms": lambda fit: len(fit.params), "Formula": "formula"}
    facts = side_by_side(fits, facts=asked).facts
    assert list(facts.index) == ["N", "Terms", "Formula"]
    assert list(facts.loc["Terms"]) == [4, 7, 7]
    assert cells(side_by_side(fits, facts=asked))["Terms"] == ["4", "7", "7"]
    assert list(side_by_side(fits, facts=["df_resid"]).facts.loc["Df residuals"]) == [60, 57, 57]
