"""ordinal() and multinomial() against R: ordinal::clm, nnet::multinom, and what r/classes.R computes beside them.

The wine data are those of Randall (1989) as ordinal::wine has them; what is known of their models is published in the
manual and tests of that package (Christensen 2022).
"""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pandas as pd
import pytest

from torchglm.classes import multinomial, ordinal
from torchglm.proportionality import proportionality_test, scale_test

ROOT = pathlib.Path(__file__).parent
MORE = json.loads((ROOT / "classes.json").read_text())
ORDINAL = ["logit", "probit", "cloglog", "loglog", "cauchit"]


def data_of(reference, name: str) -> pd.DataFrame:
    frame = reference.read(name)
    if name == "quine":
        frame = frame.assign(w=1 + (np.arange(1, len(frame) + 1) % 3) / 2, o=frame["Days"] / 40)
    return frame.assign(**{c: frame[c].cat.as_ordered() for c in ("Sat", "Age") if c in frame})


def fit_of_case(reference, case: dict):
    model = case["python"]
    data = data_of(reference, case["data"])
    if model["family"] == "ordinal":
        return ordinal(model["formula"], data, model["link"], freq_weights=model["weights"])
    return multinomial(model["formula"], data, freq_weights=model["weights"])


def new_rows(reference, case: dict) -> pd.DataFrame:
    known = reference.read(case["data"])
    rows = pd.DataFrame(case["expected"]["predict"]["newdata"])
    return rows.assign(
        **{
            c: pd.Categorical(rows[c], known[c].cat.categories)
            for c in rows
            if isinstance(known[c].dtype, pd.CategoricalDtype)
        }
    )


def check_shared(fit, expected, close, covariance) -> None:
    close(fit.llf, expected["loglik"], 1e-10)
    close(fit.deviance, expected["deviance"], 1e-10)
    close(fit.aic, expected["aic"], 1e-10)
    close(fit.bic, expected["bic"], 1e-10)
    close(fit.llnull, expected["null_loglik"], 1e-10)
    close(fit.cov_params(), covariance, 1e-8)
    assert fit.nobs == expected["n_obs"]
    assert list(fit.classes) == expected["response_levels"]
    close(fit.fittedvalues.iloc[:10], expected["fitted_probs_first10"], 1e-8)


@pytest.mark.parametrize("name", [*(f"ordinal_housing_{link}" for link in ORDINAL), "ordinal_quine_logit"])
def test_ordinal(reference, close, name):
    case = reference.cases[name]
    expected, fit = case["expected"], fit_of_case(reference, case)
    close(fit.params, [*expected["coef"], *expected["thresholds"]], 1e-8)
    assert list(fit.params.index[-len(expected["thresholds"]) :]) == expected["threshold_names"]
    for ours, theirs in ((fit.bse, "se"), (fit.tvalues, "stat")):
        close(ours, expected[theirs], 1e-8)
    close(fit.pvalues, expected["p"], 1e-6)
    check_shared(fit, expected, close, expected["vcov"])
    rows = new_rows(reference, case)
    close(fit.predict(rows), expected["predict"]["probs"], 1e-8)
    close(fit.predict(rows, "cumulative"), np.cumsum(expected["predict"]["probs"], axis=1)[:, :-1], 1e-8)


@pytest.mark.parametrize("name", ["multinom_housing", "multinom_quine"])
def test_multinomial(reference, close, name):
    case = reference.cases[name]
    expected, fit = case["expected"], fit_of_case(reference, case)
    for ours, theirs in ((fit.params, "coef"), (fit.bse, "se"), (fit.tvalues, "stat")):
        close(ours, np.ravel(expected[theirs]), 1e-8)
    close(fit.pvalues, np.ravel(expected["p"]), 1e-6)
    check_shared(fit, expected, close, expected["vcov"])
    rows = new_rows(reference, case)
    chances = np.array(expected["predict"]["probs"])
    close(fit.predict(rows), chances, 1e-8)
    assert list(fit.predict(rows, "class")) == [fit.classes[k] for k in chances.argmax(1)]


def more_fits(data):
    housing, quine = data("housing"), data("quine")
    kept = {"freq_weights": "Freq"}
    return {
        "plain_quine": lambda: ordinal("Age ~ Days + Sex", quine),
        "weights_offset_quine": lambda: ordinal("Age ~ Sex + Lrn", quine, "probit", weights="w", offset="o"),
        "nominal_housing": lambda: ordinal("Sat ~ Infl + Type", housing, nominal="~ Cont", **kept),
        "scale_housing": lambda: ordinal("Sat ~ Infl + Type", housing, "probit", scale="~ Cont", **kept),
        "both_housing": lambda: ordinal("Sat ~ Infl", housing, "cloglog", nominal="~ Cont", scale="~ Type", **kept),
        "multinom_base_housing": lambda: multinomial("Sat ~ Infl + Type + Cont", housing, base="High", **kept),
        "multinom_offset_quine": lambda: multinomial("Age ~ Days + Sex", quine, base="F2", weights="w", offset="o"),
    }


@pytest.mark.parametrize("name", MORE)
def test_more_models(reference, close, name):
    expected = MORE[name]
    fit = more_fits(lambda data: data_of(reference, data))[name]()
    close(fit.llf, expected["loglik"], 1e-10)
    np.testing.assert_allclose((fit.params - expected["coef"]) / fit.bse, 0.0, atol=1e-7)
    close(fit.cov_params(), expected["vcov"], 1e-7)
    close(fit.with_covariance("HC0").cov_params(), expected["HC0"], 1e-7)
    if "CR0" in expected:
        close(fit.with_covariance("CR0", cluster="Eth").cov_params(), expected["CR0"], 1e-7)
    if "probs" in expected:
        close(fit.predict().iloc[:6], expected["probs"], 1e-8)


@pytest.fixture(scope="module")
def wine() -> pd.DataFrame:
    return pd.read_csv(ROOT / "data" / "wine.csv")


def test_published_fit_of_wine(wine):
    fit = ordinal("rating ~ temp + contact", wine)
    assert fit.params.round(4).tolist() == [2.5031, 1.5278, -1.3444, 1.2508, 3.4669, 5.0064]
    assert (round(fit.llf, 2), round(fit.aic, 2)) == (-86.49, 184.98)


def test_published_nominal_and_scale_effects_with_weights(wine):
    fit = ordinal("rating ~ temp", wine, nominal="~ contact", scale="~ temp", weights="weight")
    published = {
        "Intercept": [-0.905224120279548, 1.31043498891987, 3.34235590523008, 4.52389661722693],
        "contact[T.yes]": [-3.03954652971192, -1.56922389038976, -1.75662549320839, -1.16845464236365],
    }
    for column, values in published.items():
        ours = [fit.params[f"{low}|{low + 1}:{column}"] for low in range(1, 5)]
        np.testing.assert_allclose(ours, values, rtol=1e-6)
    assert fit.params["temp[T.warm]"] == pytest.approx(2.52988580848393, rel=1e-6)
    assert fit.params["scale:temp[T.warm]"] == pytest.approx(-0.0261457032829033, abs=1e-6)


def test_published_tests_of_proportionality(wine):
    frame = proportionality_test(ordinal("rating ~ temp + contact", wine)).frame
    assert frame["df"].tolist()[1:] == [3.0, 3.0, 6.0]
    assert frame["statistic"].round(4).tolist()[1:3] == [3.1750, 0.5667]
    assert frame["p.value"].round(4).tolist()[1:3] == [0.3654, 0.9040]


def test_tests_are_those_of_the_larger_models(wine):
    fit = ordinal("rating ~ temp + contact", wine)
    for role, table in (("nominal", proportionality_test(fit)), ("scale", scale_test(fit))):
        left = "rating ~ temp" if role == "nominal" else "rating ~ temp + contact"
        larger = ordinal(left, wine, **{role: "~ contact"})
        row = table.frame.loc["contact"]
        assert row["logLik"] == pytest.approx(larger.llf, rel=1e-9)
        assert row["statistic"] == pytest.approx(2 * (larger.llf - fit.llf), rel=1e-6)
        assert row["df"] == larger.record.facts.rank - fit.record.facts.rank
