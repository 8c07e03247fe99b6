"""Simultaneous bands, contrasts of predictions, fitted distributions and simulated responses."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from torchglm import errors, families, glm
from torchglm.inference.prediction import interval as prediction_interval
from torchglm.inference.prediction.distribution import distribution


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 80
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(list("ab"), n), "t": rng.integers(2, 9, n)})
    frame["count"] = rng.poisson(np.exp(0.5 + 0.3 * frame["x"]))
    frame["size"] = rng.gamma(3.0, np.exp(0.3 * frame["x"]) / 3.0) + 0.1
    frame["share"] = rng.binomial(frame["t"], 0.4) / frame["t"]
    frame["w"] = rng.uniform(0.5, 2.0, n)
    return frame


def test_a_simultaneous_band_of_a_line_is_working_and_hotellings(frame):
    fit = glm("size ~ x", frame)
    band = fit.predict(frame, interval="simultaneous", se=True)
    half = np.sqrt(2.0 * stats.f.ppf(0.95, 2, len(frame) - 2)) * band["se"]
    np.testing.assert_allclose(band["upper"] - band["predicted"], half, rtol=1e-10)
    poisson = glm("count ~ x + g", frame, "poisson")
    band = poisson.predict(frame, interval="simultaneous", scale="link", se=True)
    half = np.sqrt(stats.chi2.ppf(0.95, 3)) * band["se"]
    np.testing.assert_allclose(band["predicted"] - band["lower"], half, rtol=1e-10)


def test_a_simultaneous_band_holds_every_line_of_the_joint_confidence_region(frame):
    """Scheffe: the band is touched by some theta of the ellipsoid at every row, and never left."""
    fit = glm("count ~ x + g", frame, "poisson")
    band = fit.predict(frame, interval="simultaneous", scale="link")
    x = fit.estimate.prepared.design.columns[0].to_dense(len(frame)).numpy()
    rng = np.random.default_rng(0)
    radius = np.sqrt(stats.chi2.ppf(0.95, 3))
    root = np.linalg.cholesky(fit.cov_params().to_numpy())
    directions = rng.normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    eta = x @ (fit.params.to_numpy()[:, None] + radius * root @ directions.T)
    assert (eta <= band["upper"].to_numpy()[:, None] + 1e-9).all()
    assert (eta >= band["lower"].to_numpy()[:, None] - 1e-9).all()
    share = (eta.max(1) - band["predicted"]) / (band["upper"] - band["predicted"])
    assert (share > 0.97).all()


def test_contrasts_on_the_link_scale_are_those_of_coefficients(frame):
    fit = glm("size ~ x + g", frame, "gamma", "log").with_covariance("HC1")
    rows = pd.DataFrame({"x": [0.0, 1.0, 0.0], "g": ["a", "a", "b"]})
    found = fit.contrast(rows, {"slope": [-1, 1, 0], "b - a": [-1, 0, 1]})
    expected = fit.t_test("x = 0, g[T.b] = 0")
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert list(found.index) == ["slope", "b - a"]


def test_contrasts_of_means_have_delta_method_errors(frame):
    fit = glm("size ~ x + g", frame, "gamma", "log")
    rows = pd.DataFrame({"x": [0.5, -1.0], "g": ["a", "b"]})
    found = fit.contrast(rows, [1, -1], scale="response").iloc[0]
    design = np.array([[1, 0.5, 0.0], [1, -1.0, 1.0]])
    mu = np.exp(design @ fit.params.to_numpy())
    gradient = np.array([1, -1]) @ (mu[:, None] * design)
    assert found["estimate"] == pytest.approx(mu[0] - mu[1], rel=1e-12)
    assert found["std.error"] == pytest.approx(np.sqrt(gradient @ fit.cov_params().to_numpy() @ gradient), rel=1e-10)


@pytest.mark.parametrize(
    "response, family, weights",
    [
        ("size", "gaussian", "w"),
        ("size", families.Gamma("log"), "w"),
        ("size", families.InverseGaussian("log"), "w"),
        ("count", "poisson", None),
        ("count", families.NegativeBinomial(theta=2.0), None),
        ("share", "binomial", "t"),
    ],
)
def test_the_distribution_has_the_fitted_mean_and_variance(frame, response, family, weights):
    fit = glm(f"{response} ~ x + g", frame, family, weights=weights)
    found = fit.get_distribution()
    mu, w = fit.fittedvalues.to_numpy(), 1.0 if weights is None else frame[weights].to_numpy()
    scale = w if response == "share" else 1.0  # of successes rather than their proportion
    np.testing.assert_allclose(found.mean(), scale * mu, rtol=1e-9)
    sd = fit.resid_response / fit.resid_pearson * np.sqrt(fit.scale)
    np.testing.assert_allclose(found.std(), scale * sd, rtol=1e-9)
    np.testing.assert_allclose(found.cdf(found.ppf(0.3)) >= 0.3 - 1e-12, True)
    draws = fit.simulate(400, seed=1)
    np.testing.assert_allclose((draws.mean(axis=1) - mu) / (sd / 20.0), 0.0, atol=5.0)
    ratio = draws.var(axis=1).sum() / (sd**2).sum()
    assert 0.85 < ratio < 1.15


def test_new_rows_have_distributions_too(frame):
    fit = glm("count ~ x", frame, "poisson")
    new = pd.DataFrame({"x": [0.0, 1.0]})
    np.testing.assert_allclose(fit.get_distribution(new).pmf(2), stats.poisson.pmf(2, fit.predict(new)))


def test_dropped_rows_are_missing_and_seeds_decide(frame):
    data = frame.assign(x=frame["x"].where(frame.index != 5), label=[f"r{k}" for k in range(80)]).set_index("label")
    fit = glm("count ~ x", data, "poisson")
    draws = fit.simulate(3, seed=4)
    assert list(draws.columns) == ["sim_1", "sim_2", "sim_3"]
    assert draws.index.equals(data.index)
    assert draws.loc["r5"].isna().all()
    assert int(draws.isna().sum().sum()) == 3
    pd.testing.assert_frame_equal(fit.simulate(3, seed=4), draws)
    assert np.isnan(fit.get_distribution().mean()[5])


def test_bad_requests_are_named(frame):
    fit = glm("count ~ x", frame, "poisson")
    with pytest.raises(errors.OptionError, match="n= is a positive whole number"):
        fit.simulate(0)
    with pytest.raises(errors.OptionError, match="quasipoisson"):
        glm("count ~ x", frame, "quasipoisson").simulate()
    with pytest.raises(errors.OptionError, match="has no distribution"):
        glm("count ~ x", frame, "quasipoisson").get_distribution()
    with pytest.raises(errors.OptionError, match="tweedie family is not computed here; fit"):
        glm("count ~ x", frame, families.Tweedie(power=1.5)).predict(frame, interval="prediction")
    with pytest.raises(errors.OptionError, match="freq_weights="):
        glm("count ~ x", frame, "poisson", weights="w").get_distribution()
    with pytest.raises(errors.OptionError, match="2 weights for 80 complete rows"):
        fit.contrast(frame, [1, -1])
    with pytest.raises(errors.OptionError, match="number a row"):
        fit.contrast(frame, "x")
    with pytest.raises(errors.OptionError, match="simultaneous"):
        fit.predict(frame, interval="all")


def test_an_interval_of_counts_ends_its_search_where_it_is_found(monkeypatch):
    asked = []

    def counted(family, mu, phi, w=1.0):
        law = distribution(family, mu, phi, w)
        return SimpleNamespace(cdf=lambda y: (asked.append(y), law.cdf(y))[1])

    monkeypatch.setattr(prediction_interval, "distribution", counted)
    x = np.arange(20.0)
    fit = glm("y ~ x", {"x": x, "y": np.round(np.exp(0.1 * x))}, "poisson")
    ends = fit.predict({"x": [5.0]}, interval="prediction")
    assert len(asked) < 30
    assert ends["lower"].item() == stats.poisson.ppf(0.025, ends["predicted"].item())
