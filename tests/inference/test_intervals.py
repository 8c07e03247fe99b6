"""Profile and score intervals: against exact roots, closed forms and tests computed by refitting."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from torchglm import errors, glm

Q = stats.norm.ppf(0.975)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    n = 120
    frame = pd.DataFrame({"x": rng.normal(size=n), "far": rng.normal(size=n) + 500.0, "g": rng.choice(list("abc"), n)})
    frame["e"] = rng.uniform(0.5, 2.0, n)
    frame["w"] = rng.integers(1, 4, n)
    eta = 0.3 * frame["x"] + 0.2 * (frame["g"] == "b")
    frame["count"] = rng.poisson(frame["e"] * np.exp(0.5 + eta))
    frame["yes"] = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    frame["size"] = rng.gamma(3.0, np.exp(eta) / 3.0)
    return frame


def deviance_at(fit, formula: str, data: pd.DataFrame, name: str, value: float, **options) -> float:
    """The deviance with a coefficient held at a value: its column becomes an offset."""
    columns = fit.estimate.prepared.design.columns[0].to_dense(len(data)).numpy()
    place = list(fit.params.index).index(name)
    frame = pd.DataFrame(np.delete(columns, place, axis=1), columns=[f"c{k}" for k in range(columns.shape[1] - 1)])
    frame["y"], frame["held"] = fit.estimate.prepared.response.y.numpy(), value * columns[:, place]
    text = "y ~ 0 + " + " + ".join(c for c in frame if c.startswith("c"))
    return glm(text, frame, fit.family, offset="held", **options).deviance


@pytest.mark.parametrize(
    "family, link, response", [("poisson", "log", "count"), ("gamma", "log", "size"), ("binomial", "probit", "yes")]
)
def test_a_profile_end_is_where_the_deviance_has_risen_by_the_squared_quantile(frame, family, link, response):
    formula = f"{response} ~ x + g"
    fit = glm(formula, frame, family, link)
    ends = fit.conf_int(method="profile")
    for name in ("Intercept", "x", "g[T.b]"):
        for end in ends.loc[name]:
            rise = (deviance_at(fit, formula, frame, name, end) - fit.deviance) / fit.scale
            assert rise == pytest.approx(Q**2, rel=1e-7)


def test_a_centred_column_leaves_the_interval_of_the_intercept_right(frame):
    plain = glm("count ~ far + x", frame, "poisson", exposure="e")
    assert plain.estimate.layout.is_centered
    near = glm("count ~ I(far - 500) + x", frame, "poisson", exposure="e")
    for method in ("profile", "score"):
        ours, theirs = (fit.conf_int(method=method) for fit in (plain, near))
        np.testing.assert_allclose(ours.loc["far"], theirs.iloc[1], rtol=1e-8)
        np.testing.assert_allclose(ours.loc["x"], theirs.loc["x"], rtol=1e-8)
    other = glm("count ~ I(far - 0.0) + x", frame.assign(far=frame["far"]), "poisson", exposure="e")
    name = "Intercept"
    end = plain.conf_int(method="profile").loc[name, 0]
    shifted = glm("count ~ 0 + far + x", frame.assign(held=end + np.log(frame["e"])), "poisson", offset="held")
    assert shifted.deviance - other.deviance == pytest.approx(Q**2, rel=1e-7)


def test_the_score_interval_of_a_proportion_is_wilsons():
    fit = glm("p ~ 1", pd.DataFrame({"p": [0.35], "n": [20.0]}), "binomial", weights="n")
    low, high = fit.conf_int(method="score").loc["Intercept"]
    center, half = (7 + Q**2 / 2) / (20 + Q**2), Q * math.sqrt(20) / (20 + Q**2) * math.sqrt(0.35 * 0.65 + Q**2 / 80)
    np.testing.assert_allclose(1.0 / (1.0 + np.exp([-low, -high])), [center - half, center + half], rtol=1e-9)


def test_the_score_interval_of_a_poisson_mean_has_its_closed_form():
    fit = glm("y ~ 1", pd.DataFrame({"y": [3, 5, 4, 8]}), "poisson")
    low, high = np.exp(fit.conf_int(method="score").loc["Intercept"])
    mean, n = 5.0, 4
    half = Q * math.sqrt(mean / n + Q**2 / (4 * n * n))
    np.testing.assert_allclose([low, high], [mean + Q**2 / (2 * n) - half, mean + Q**2 / (2 * n) + half], rtol=1e-9)


def test_both_are_wald_where_the_likelihood_is_quadratic(frame):
    fit = glm("size ~ x + g + far", frame, dispersion=0.5)
    for method in ("profile", "score"):
        np.testing.assert_allclose(fit.conf_int(method=method), fit.conf_int(), rtol=1e-8)


def test_frequency_weights_are_rows_written_out(frame):
    short = glm("count ~ x + g", frame, "poisson", freq_weights="w")
    long = glm("count ~ x + g", frame.loc[frame.index.repeat(frame["w"])], "poisson")
    for method in ("profile", "score"):
        np.testing.assert_allclose(short.conf_int(method=method), long.conf_int(method=method), rtol=1e-8)


def test_separation_has_one_infinite_end_and_the_exact_other():
    data = pd.DataFrame({"y": [0, 0, 0, 1, 1, 1, 0, 1], "g": list("aaabbbcc")})
    with pytest.warns(errors.SeparationWarning):
        fit = glm("y ~ g", data, "binomial")
    ends = fit.conf_int(method="profile")
    # a has no success and b no failure: held at v, both put their logits at -+ v / 2
    assert ends.loc["g[T.b]", 0] == pytest.approx(-2.0 * math.log(math.expm1(Q**2 / 12.0)), rel=1e-7)
    assert ends.loc["g[T.b]", 1] == math.inf
    # three failures at logit v: 2 * 3 log(1 + exp(v)) = q^2
    assert ends.loc["Intercept", 0] == -math.inf
    assert ends.loc["Intercept", 1] == pytest.approx(math.log(math.expm1(Q**2 / 6.0)), rel=1e-7)


def test_an_identity_link_keeps_its_means_in_their_domain():
    data = pd.DataFrame({"y": [0, 1, 3, 2, 5, 4, 7], "x": [0.0, 1, 2, 3, 4, 5, 6]})
    fit = glm("y ~ x", data, "poisson", "identity")
    low, high = fit.conf_int(method="profile").loc["Intercept"]
    assert 0.0 <= low < fit.params["Intercept"] < high
    eta = np.array([low + fit.params["x"] * x for x in data["x"]])
    assert (eta >= 0).all()


def test_aliased_coefficients_have_no_interval_and_some_can_be_chosen(frame):
    fit = glm("count ~ x + I(2 * x) + g", frame, "poisson")
    ends = fit.conf_int(method="profile", parameters=["x", "I(2 * x)"])
    assert list(ends.index) == ["x", "I(2 * x)"]
    assert ends.loc["I(2 * x)"].isna().all()
    pd.testing.assert_frame_equal(ends.loc[["x"]], fit.conf_int(method="profile", parameters="x"))


def test_all_ends_together_take_few_passes(frame):
    fit = glm("count ~ x + g + far", frame, "poisson")
    before = fit.estimate.objective.meter.passes
    fit.conf_int(method="profile")
    assert fit.estimate.objective.meter.passes - before <= 30


def test_bad_requests_are_named(frame):
    fit = glm("count ~ x", frame, "poisson")
    with pytest.raises(errors.OptionError, match="'wald', 'profile', 'score'; got 'likelihood'"):
        fit.conf_int(method="likelihood")
    with pytest.raises(errors.UnknownNameError, match="no coefficient 'X'"):
        fit.conf_int(method="profile", parameters=["X"])
    with pytest.raises(errors.OptionError, match="level= lies between 0 and 1"):
        fit.conf_int(method="profile", level=95)


def test_a_loaded_fit_has_wald_intervals_only(frame, tmp_path):
    from torchglm import load

    fit = glm("count ~ x", frame, "poisson")
    fit.save(tmp_path / "fit.tglm")
    loaded = load(tmp_path / "fit.tglm")
    pd.testing.assert_frame_equal(loaded.conf_int(), fit.conf_int())
    with pytest.raises(errors.OptionError, match="loaded without its data"):
        loaded.conf_int(method="profile")


def test_many_coefficients_are_sought_in_batches(frame, monkeypatch):
    from torchglm.inference.intervals import inverted

    fit = glm("count ~ x + g + far", frame, "poisson")
    whole = fit.conf_int(method="profile")
    monkeypatch.setattr(inverted, "MOST_ENDS", 4)
    pd.testing.assert_frame_equal(fit.conf_int(method="profile"), whole, rtol=1e-9)


def test_wide_curvatures_are_the_same_one_by_one(frame, monkeypatch):
    from torchglm.objective import batch

    fit = glm("count ~ x + g + far", frame, "poisson")
    thetas = fit.estimate.solution.theta + 0.1 * torch.randn(3, 5, dtype=torch.float64)
    paired = batch.Batch(fit.estimate.objective).quadratic(thetas)
    monkeypatch.setattr(batch, "MOST_PAIRED", 1)
    single = batch.Batch(fit.estimate.objective).quadratic(thetas)
    torch.testing.assert_close(paired.curvature, single.curvature, rtol=1e-12, atol=1e-10)
    few = batch.Batch(fit.estimate.objective).quadratic(thetas[:2])  # so few that no pairs are written out
    torch.testing.assert_close(few.curvature, paired.curvature[:2], rtol=1e-12, atol=1e-10)
    for b in range(3):
        one = fit.estimate.objective.quadratic(thetas[b])
        torch.testing.assert_close(torch.linalg.inv(paired.curvature[b]), one.curvature.inverse(), rtol=1e-8, atol=0.0)
        torch.testing.assert_close(paired.gradient[b], one.gradient, rtol=1e-10, atol=1e-9)
        assert float(paired.value[b]) == pytest.approx(one.value, rel=1e-12)


def test_no_warning_is_given(frame):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        glm("yes ~ x + g", frame, "binomial").conf_int(method="profile")


@pytest.mark.parametrize("penalty", [None, "firth"])
def test_an_aliased_column_does_not_take_the_place_of_the_one_that_is_held(frame, penalty):
    twice = frame.assign(double=2.0 * frame["x"] + 1.0)
    plain = glm("yes ~ x + g", twice, "binomial", penalty=penalty)
    aliased = glm("yes ~ x + double + g", twice, "binomial", penalty=penalty)
    for method in ("profile", "score") if penalty is None else ("profile",):
        found = aliased.conf_int(method=method)
        assert found.loc["double"].isna().all()
        np.testing.assert_allclose(found.drop("double"), plain.conf_int(method=method), rtol=1e-6)
