"""The bootstrap: each replicate is the fit of what was drawn, and what is drawn is what is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import IRLS, errors, glm
from torchglm.inference.intervals import bootstrap as room
from torchglm.inference.resampling import refits

EXACT = IRLS(reuse=False)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 150
    frame = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(list("abc"), n), "firm": rng.integers(0, 20, n)})
    frame["far"] = rng.normal(size=n) + 300.0
    frame["w"] = rng.integers(1, 4, n)
    frame["o"] = rng.normal(size=n) / 4
    frame["count"] = rng.poisson(np.exp(0.5 + 0.3 * frame["x"] + frame["o"]))
    frame["yes"] = (rng.random(n) < 0.4).astype(float)
    frame["size"] = rng.gamma(3.0, np.exp(0.3 * frame["x"]) / 3.0)
    return frame


def drawn_weights(fit, count: int, seed: int) -> np.ndarray:
    return room._row_weights(fit.estimate, count, np.random.default_rng(seed)).numpy()


@pytest.mark.parametrize(
    "formula, family, link",
    [
        ("count ~ x + g + far + offset(o)", "poisson", "log"),
        ("yes ~ x + g", "binomial", "cloglog"),
        ("size ~ x + g", "gamma", "inverse"),
        ("size ~ x * g", "gaussian", "identity"),
    ],
)
def test_a_replicate_of_rows_is_the_fit_of_the_rows_drawn(frame, formula, family, link):
    fit = glm(formula, frame, family, link)
    replicates = fit.bootstrap(6, seed=3).replicates
    for counts, (_, found) in zip(drawn_weights(fit, 6, 3), replicates.iterrows(), strict=True):
        assert counts.sum() == len(frame)
        again = glm(formula, frame.loc[frame.index.repeat(counts.astype(int))], family, link, solver=EXACT)
        assert (np.abs(found - again.params) < 2e-6 * again.bse).all()


def test_clusters_are_drawn_whole(frame):
    fit = glm("count ~ x + g", frame, "poisson")
    found = fit.bootstrap(5, kind="clusters", cluster="firm", seed=11).replicates
    labels = np.unique(frame["firm"])
    drawn = room.counts(np.random.default_rng(11), np.ones(len(labels)), 5).numpy()
    for counts, (_, theta) in zip(drawn, found.iterrows(), strict=True):
        rows = frame["firm"].map(dict(zip(labels, counts.astype(int), strict=True)))
        again = glm("count ~ x + g", frame.loc[frame.index.repeat(rows)], "poisson", solver=EXACT)
        assert (np.abs(theta - again.params) < 2e-6 * again.bse).all()


def test_parametric_responses_are_refitted(frame):
    fit = glm("count ~ x + g + offset(o)", frame, "poisson")
    found = fit.bootstrap(4, kind="parametric", seed=2).replicates
    responses = room._responses(fit.estimate, fit.scale, 4, np.random.default_rng(2)).numpy()
    assert len({tuple(row) for row in responses}) == 4
    for y, (_, theta) in zip(responses, found.iterrows(), strict=True):
        again = glm("count ~ x + g + offset(o)", frame.assign(count=y), "poisson", solver=EXACT)
        assert (np.abs(theta - again.params) < 2e-6 * again.bse).all()


def test_a_frequency_weights_copies_are_drawn_one_by_one(frame):
    fit = glm("count ~ x", frame, "poisson", freq_weights="w")
    counts = drawn_weights(fit, 400, 0) * frame["w"].to_numpy()
    np.testing.assert_allclose(counts.sum(1), frame["w"].sum())
    np.testing.assert_allclose(counts, np.round(counts))
    # each row's count is binomial(N, w / N): mean w
    np.testing.assert_allclose(counts.mean(0), frame["w"], atol=5 * np.sqrt(3.0 / 400))


def test_the_spread_of_wild_scores_is_the_sandwich(frame):
    fit = glm("count ~ x + far", frame, "poisson")
    for options, kind in (({}, {"covariance": "HC0"}), ({"cluster": "firm"}, {"covariance": "CR0", "cluster": "firm"})):
        spread = fit.bootstrap(20_000, kind="wild", seed=5, **options).cov_params()
        expected = fit.with_covariance(**kind).cov_params()
        np.testing.assert_allclose(spread, expected, rtol=0.06)


def test_seeds_decide_and_memory_does_not(frame, monkeypatch):
    fit = glm("count ~ x", frame, "poisson")
    one = fit.bootstrap(9, seed=1).replicates
    pd.testing.assert_frame_equal(fit.bootstrap(9, seed=1).replicates, one)
    assert not np.allclose(fit.bootstrap(9, seed=2).replicates, one)
    monkeypatch.setattr(refits, "ENTRIES", 2 * len(frame))
    assert fit.bootstrap(9, seed=1).replicates.shape == (9, 2)


def test_a_replicate_without_a_level_has_no_coefficient_for_it():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"y": rng.poisson(3.0, 30), "g": ["a"] * 29 + ["b"]})
    boot = glm("y ~ g", data, "poisson").bootstrap(50, seed=0)
    weights = drawn_weights(glm("y ~ g", data, "poisson"), 50, 0)
    assert 5 < (weights[:, -1] == 0).sum() < 45
    np.testing.assert_array_equal(boot.replicates["g[T.b]"].isna(), weights[:, -1] == 0)
    assert boot.failed == 0
    assert boot.replicates["Intercept"].notna().all()


def test_the_acceleration_of_a_mean_is_its_skewness_over_six_root_n():
    y = np.random.default_rng(1).gamma(1.0, 1.0, 60)
    boot = glm("y ~ 1", {"y": y}).bootstrap(10)
    skewness = ((y - y.mean()) ** 3).mean() / y.std() ** 3
    assert boot.acceleration["Intercept"] == pytest.approx(skewness / (6.0 * np.sqrt(60)), rel=1e-10)


def test_intervals_are_quantiles_of_the_replicates(frame):
    boot = glm("count ~ x", frame, "poisson").bootstrap(500, seed=1)
    x, b = boot.replicates["x"], boot.params["x"]
    low, high = np.quantile(x, [0.05, 0.95])
    np.testing.assert_allclose(boot.conf_int(level=0.9).loc["x"], [low, high])
    np.testing.assert_allclose(boot.conf_int(level=0.9, kind="basic").loc["x"], [2 * b - high, 2 * b - low])
    normal = 2 * b - x.mean() + np.array([-1, 1]) * 1.6448536269514722 * x.std()
    np.testing.assert_allclose(boot.conf_int(level=0.9, kind="normal").loc["x"], normal)
    bca = boot.conf_int(level=0.9, kind="bca").loc["x"]
    np.testing.assert_allclose(bca, [low, high], atol=0.5 * x.std())
    assert list(boot.summary().columns) == ["estimate", "bias", "std.error", "conf.low", "conf.high"]


def test_its_covariance_serves_a_fit(frame):
    fit = glm("count ~ x + g", frame, "poisson")
    boot = fit.bootstrap(100)
    pd.testing.assert_series_equal(fit.with_covariance(boot.cov_params()).bse, boot.bse, check_names=False)


def test_all_replicates_together_take_few_passes(frame):
    fit = glm("count ~ x + g", frame, "poisson")
    before = fit.estimate.objective.meter.passes
    fit.bootstrap(1000)
    assert fit.estimate.objective.meter.passes - before <= 12


def test_bad_requests_are_named(frame):
    fit = glm("count ~ x", frame, "poisson")
    with pytest.raises(errors.OptionError, match="kind= is one of 'rows'"):
        fit.bootstrap(10, kind="row")
    with pytest.raises(errors.OptionError, match="whole number from 2 on"):
        fit.bootstrap(1.5)
    with pytest.raises(errors.OptionError, match="give cluster="):
        fit.bootstrap(10, kind="clusters")
    with pytest.raises(errors.OptionError, match="knows no clusters"):
        fit.bootstrap(10, cluster="firm")
    with pytest.raises(errors.UnknownNameError, match="frim"):
        fit.bootstrap(10, kind="clusters", cluster="frim")
    with pytest.raises(errors.DataError, match="the same in every row"):
        fit.bootstrap(10, kind="clusters", cluster=np.ones(len(frame)))
    with pytest.raises(errors.DataError, match="missing in row 0 of the fit"):
        fit.bootstrap(10, kind="clusters", cluster=frame["firm"].where(frame.index > 0))
    with pytest.raises(errors.OptionError, match="cannot be sampled"):
        glm("count ~ x", frame, "quasipoisson").bootstrap(10, kind="parametric")
