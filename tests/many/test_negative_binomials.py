"""negative_binomial("~ x", data, responses=): every response has the numbers of MASS::glm.nb."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.many.conftest import quietly, read
from torchglm import glm, negative_binomial
from torchglm.errors import OptionError, StatusWarning
from torchglm.many import negative_binomials, responses

GLANCE = ("null.deviance", "logLik", "AIC", "BIC", "deviance", "df.residual", "nobs", "df.null", "theta")


def test_numbers_are_those_of_glm_nb(from_r):
    names = [one["name"] for one in from_r["sizes"]]
    fits = negative_binomial("~ kms + PetrolPrice + law", read("Seatbelts"), responses=names)
    glance = fits.glance().set_index("response")
    for one in from_r["sizes"]:
        name, bse = one["name"], np.array(one["bse"])
        np.testing.assert_allclose((fits.params.loc[name] - one["params"]) / bse, 0.0, atol=1e-7)
        np.testing.assert_allclose(fits.bse.loc[name], bse, rtol=1e-7)
        theta, error = fits.estimated.loc[name]
        assert theta == pytest.approx(one["theta"], rel=1e-7)
        assert error == pytest.approx(one["se_theta"], rel=1e-6)
        assert glance.loc[name, "deviance"] == pytest.approx(one["deviance"], rel=1e-7)
        assert glance.loc[name, "logLik"] == pytest.approx(one["llf"], rel=1e-9)


@pytest.fixture(scope="module")
def genes() -> tuple[pd.DataFrame, np.ndarray]:
    """Counts of 40 genes in 60 samples; the third varies less than Poisson counts."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"x": rng.normal(size=60), "g": rng.choice(["u", "v"], 60), "o": rng.normal(size=60) / 4})
    data["w"], data["k"] = rng.uniform(0.5, 2.0, 60), rng.integers(0, 3, 60)
    mu = np.exp(1.0 + 0.5 * data["x"].to_numpy()[:, None] * rng.normal(size=40) + data["o"].to_numpy()[:, None])
    theta = np.exp(rng.normal(size=40) + 0.5)
    counts = rng.poisson(mu * rng.gamma(theta, 1.0 / theta, size=(60, 40)))
    counts[:, 2] = 3 + (data["x"] > 0)
    return data, counts


MODELS = {
    "plain": ("~ x + g", {}),
    "offset": ("~ x + g", {"offset": "o"}),
    "weights": ("~ x", {"weights": "w"}),
    "freq_weights": ("~ x", {"freq_weights": "k"}),
    "HC0": ("~ x", {"covariance": "HC0"}),
    "joint": ("~ x", {"information": "joint"}),
    "no constant, offset": ("~ x - 1", {"offset": "o"}),
    "another link": ("~ x", {"link": "sqrt"}),
    "pearson": ("~ x", {"dispersion": "pearson", "weights": "w"}),
}


@pytest.mark.parametrize("model, worth", [*((m, 40_000) for m in MODELS), ("plain", 0), ("weights", 0)])
def test_each_response_has_the_fit_of_itself(genes, model, worth, monkeypatch):
    formula, arguments = MODELS[model]
    monkeypatch.setattr(responses, "WORTH", worth)  # 0: all are fitted alone
    data, counts = genes
    monkeypatch.setattr(negative_binomials, "ENTRIES", 60 * 7)  # seven responses at a time
    some = counts[:, :10]
    fits = quietly(lambda: negative_binomial(formula, data, responses=some, **arguments))
    glance = fits.glance().set_index("response")
    for j, name in enumerate(fits):
        frame = data.assign(y=some[:, j])
        one = quietly(lambda frame=frame: negative_binomial(f"y {formula}", frame, **arguments))
        np.testing.assert_allclose((fits.params.loc[name] - one.params) / one.bse, 0.0, atol=1e-7)
        np.testing.assert_allclose(fits.bse.loc[name], one.bse, rtol=1e-6)
        theirs = one.glance().iloc[0]
        for column in set(GLANCE) & set(theirs.index):
            assert glance.loc[name, column] == pytest.approx(theirs[column], rel=1e-8), column
        if "theta" in one.estimated:
            assert fits.estimated.loc[name, "theta"] == pytest.approx(one.theta, rel=1e-6)
            assert fits.estimated.loc[name, "theta.std.error"] == pytest.approx(one.estimated["theta"][1], rel=1e-5)


def test_counts_that_vary_no_more_than_poisson_counts(genes):
    data, counts = genes
    with pytest.warns(StatusWarning, match=r"Poisson is enough: 1 \('y3'\)"):
        fits = negative_binomial("~ x", data, responses=counts)
    assert fits.status["y3"] == "Poisson is enough: theta runs to infinity."
    assert fits.estimated.loc["y3", "theta"] == np.inf
    assert np.isnan(fits.estimated.loc["y3", "theta.std.error"])
    poisson = glm("y ~ x", data.assign(y=counts[:, 2]), "poisson")
    np.testing.assert_allclose(fits.params.loc["y3"], poisson.params, rtol=1e-8)
    np.testing.assert_allclose(fits.bse.loc["y3"], poisson.bse, rtol=1e-8)
    row = fits.glance().set_index("response").loc["y3"]
    assert row["logLik"] == pytest.approx(poisson.llf, rel=1e-10)
    assert row["AIC"] == pytest.approx(poisson.aic, rel=1e-10)
    assert row["null.deviance"] == pytest.approx(poisson.null_deviance, rel=1e-10)


def test_one_of_them_is_a_whole_fit(genes):
    data, counts = genes
    fits = quietly(lambda: negative_binomial("~ x", data, responses=counts))
    alone = negative_binomial("y8 ~ x", data.assign(y8=counts[:, 7]))
    assert str(fits["y8"].summary()) == str(alone.summary())


def test_faults_of_a_response_are_named(genes):
    data, counts = genes
    wide = pd.DataFrame(counts[:, :3].astype(float), columns=["good", "half", "zero"])
    wide["half"] += 0.5
    wide["zero"] = 0.0
    with pytest.warns(StatusWarning, match=r"Failed: 2 \('half', 'zero'\)"):
        fits = negative_binomial("~ x", data, responses=wide)
    assert "whole number" in fits.status["half"]
    assert "Every count in 'zero' is 0" in fits.status["zero"]
    assert fits.converged.tolist() == [True, False, False]
    assert fits.estimated.loc[["half", "zero"]].isna().all(axis=None)


def test_what_it_refuses(genes):
    data, counts = genes
    with pytest.raises(OptionError, match='kind="NB2"'):
        negative_binomial("~ x", data, kind="NB1", responses=counts)
    with pytest.raises(OptionError, match="start="):
        negative_binomial("~ x", data, responses=counts, start=[0.0, 0.0])
