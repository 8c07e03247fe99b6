"""glm(dispersion="~ z") and beta_regression() against likelihoods that R maximised, and published tables."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from torchglm import beta_regression, glm, load

FAMILIES = {"gaussian": "identity", "gamma": "log", "inverse_gaussian": "log"}

# betareg(yield ~ batch + temp, GasolineYield): table 2 of Cribari-Neto & Zeileis (2010), J. Stat. Softw. 34(2).
GASOLINE = {
    "Intercept": (-6.1595710, 0.1823247),
    "C(No, contr.treatment('J'))[T.A]": (1.7277289, 0.1012294),
    "C(No, contr.treatment('J'))[T.B]": (1.3225969, 0.1179020),
    "C(No, contr.treatment('J'))[T.C]": (1.5723099, 0.1161045),
    "C(No, contr.treatment('J'))[T.D]": (1.0597141, 0.1023598),
    "C(No, contr.treatment('J'))[T.E]": (1.1337518, 0.1035232),
    "C(No, contr.treatment('J'))[T.F]": (1.0401618, 0.1060365),
    "C(No, contr.treatment('J'))[T.G]": (0.5436922, 0.1091275),
    "C(No, contr.treatment('J'))[T.H]": (0.4959007, 0.1089257),
    "C(No, contr.treatment('J'))[T.I]": (0.3857930, 0.1185933),
    "EP": (0.0109669, 0.0004126),
}


@pytest.fixture(scope="module")
def theirs(reference):
    return json.loads((reference.root / "dispersion.json").read_text())


@pytest.fixture(scope="module")
def cars(reference) -> pd.DataFrame:
    return pd.read_csv(reference.root / "data" / "mtcars.csv").assign(hp100=lambda d: d["hp"] / 100)


@pytest.fixture(scope="module")
def petrol(reference) -> pd.DataFrame:
    frame = pd.read_csv(reference.root / "data" / "petrol.csv")
    return frame.assign(p=frame["Y"] / 100, ep=frame["EP"] / 100)


@pytest.mark.parametrize("family, link", FAMILIES.items())
def test_double_glm(cars, theirs, family, link):
    fit = glm("mpg ~ wt + hp100", cars, family, link, dispersion="~ wt")
    expected = theirs[family]
    assert list(fit.params.index) == ["Intercept", "wt", "hp100", "dispersion_Intercept", "dispersion_wt"]
    assert np.abs((fit.params - expected["par"]) / fit.bse).max() < 1e-8
    assert fit.llf == pytest.approx(-expected["nll"], rel=1e-12)
    assert fit.aic == pytest.approx(2 * expected["nll"] + 10, rel=1e-12)


def test_double_glm_is_generalized_least_squares(cars, theirs):
    fit = glm("mpg ~ wt + hp100", cars, dispersion="~ wt")
    expected = theirs["gls"]  # nlme stops at 1e-8
    np.testing.assert_allclose(fit.params.iloc[:3], expected["coef"], rtol=1e-7)
    assert fit.params["dispersion_wt"] == pytest.approx(expected["slope"], rel=1e-6)
    assert fit.llf == pytest.approx(expected["loglik"], rel=1e-12)


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_beta_regression(petrol, theirs, link):
    fit = beta_regression("p ~ ep + VP | ep", petrol, link)
    expected = theirs[f"beta_{link}"]
    assert list(fit.params.index) == ["Intercept", "ep", "VP", "precision_Intercept", "precision_ep"]
    assert np.abs((fit.params - expected["par"]) / fit.bse).max() < 1e-8
    assert fit.llf == pytest.approx(-expected["nll"], rel=1e-12)


def test_the_table_of_betareg(petrol):
    fit = beta_regression("p ~ C(No, contr.treatment('J')) + EP", petrol)
    rounded = {name: (round(fit.params[name], 7), round(fit.bse[name], 7)) for name in GASOLINE}
    assert rounded == GASOLINE
    phi = np.exp(fit.params["log(precision)"])
    assert round(phi, 1) == 440.3
    assert round(phi * fit.bse["log(precision)"]) == 110
    assert round(fit.llf, 1) == 84.8
    assert round(fit.predict(petrol, "precision").iloc[0], 1) == 440.3


def test_predictions(cars, petrol):
    fit = glm("mpg ~ wt + hp100", cars, "gamma", "log", dispersion="~ wt")
    by_hand = np.exp(fit.params["dispersion_Intercept"] + fit.params["dispersion_wt"] * cars["wt"])
    np.testing.assert_allclose(fit.predict(cars, "dispersion"), by_hand, rtol=1e-13)
    np.testing.assert_allclose(fit.predict(kind="variance"), by_hand * fit.predict() ** 2, rtol=1e-13)


@pytest.mark.parametrize("make", ["double", "beta"])
def test_saved(cars, petrol, make, tmp_path):
    if make == "double":
        fit, data = glm("mpg ~ wt", cars, dispersion="~ wt"), cars
    else:
        fit, data = beta_regression("p ~ ep | VP", petrol), petrol
    fit.save(tmp_path / "one.fit")
    loaded = load(tmp_path / "one.fit")
    assert loaded.params.equals(fit.params)
    assert loaded.llf == fit.llf
    assert loaded.predict(data).equals(fit.predict(data))
