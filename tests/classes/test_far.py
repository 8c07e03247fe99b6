"""Classes far from where a search begins: columns and offsets a long way from zero, and cuts that cross."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import expit

from torchglm import glm, multinomial, ordinal, proportionality_test
from torchglm.errors import BoundaryWarning, ConvergenceWarning, SeparationWarning


@pytest.mark.parametrize("far", [1e3, 1e6])
def test_a_column_far_from_zero_moves_the_cuts_alone(data, far):
    near, moved = ordinal("rating ~ x + g", data), ordinal("rating ~ x + g", data.assign(x=far + data["x"]))
    np.testing.assert_allclose(moved.llf, near.llf, rtol=1e-11)
    np.testing.assert_allclose(moved.params[:3], near.params[:3], rtol=1e-7)
    np.testing.assert_allclose(moved.params[3:], near.params[3:] + far * near.params["x"], rtol=1e-7)
    np.testing.assert_allclose(moved.bse[:3], near.bse[:3], rtol=1e-6)
    ends = [fit.conf_int(method="profile").loc["x"] for fit in (near, moved)]
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-5)


@pytest.mark.parametrize("far", [10.0, 1e5])
def test_profile_of_a_cut_of_a_column_far_from_zero(far):
    """cut - far times x is a cut of the column moved back: its profile, by scipy on that column."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    y = np.digitize(x + rng.logistic(size=300), [-1.0, 0.5])
    fit = ordinal("y ~ x", pd.DataFrame({"x": x + far, "y": y}))

    def nll(cut: float, beta: float, gap: float) -> float:
        first = cut - far * beta
        below = expit(np.stack([first - x * beta, first + np.exp(gap) - x * beta]))
        chances = np.stack([below[0], below[1] - below[0], 1.0 - below[1]])
        return -float(np.log(chances[y, np.arange(300)]).sum())

    start = [fit.params["x"], math.log(fit.params["1|2"] - fit.params["0|1"])]
    ridge = fit.cov_params().loc["x", "0|1"] / fit.cov_params().loc["0|1", "0|1"]

    def root(cut: float) -> float:
        near = [start[0] + ridge * (cut - fit.params["0|1"]), start[1]]
        scaled = minimize(
            lambda b: nll(cut, near[0] + b[0] / max(far, 1.0), near[1] + b[1]),
            [0.0, 0.0],
            tol=1e-13,
            method="Nelder-Mead",
        )
        return 2.0 * (scaled.fun + fit.llf) - 1.959963984540054**2

    at, se = fit.params["0|1"], fit.bse["0|1"]
    expected = [brentq(root, at, at + side * 4.0 * se, xtol=1e-6 * se) for side in (-1.0, 1.0)]
    np.testing.assert_allclose((fit.conf_int(method="profile").loc["0|1"] - expected) / se, 0.0, atol=1e-5)


@pytest.mark.parametrize("far, spread", [(10.0, 1.0), (100.0, 1.0), (2000.0, 5.0)])
def test_so_does_the_column_of_a_scale(data, far, spread):
    """(cut - eta) e^(-s z) with z = (x - far) / spread: cuts and slopes grow by e^(s far / spread)."""
    near = ordinal("rating ~ z", data, scale="~ z")
    moved = ordinal("rating ~ x", data.assign(x=far + spread * data["z"]), scale="~ x")
    assert moved.converged
    assert moved.infinite == {}
    np.testing.assert_allclose(moved.llf, near.llf, rtol=1e-11)
    np.testing.assert_allclose(spread * moved.params["scale:x"], near.params["scale:z"], rtol=1e-6)
    chances = [fit.predict().to_numpy() for fit in (near, moved)]
    np.testing.assert_allclose(chances[1], chances[0], atol=1e-8)


@pytest.mark.parametrize("offset", [40.0, 1000.0])
def test_an_offset_moves_constants_alone(data, offset):
    rows = np.full(len(data), offset)
    for model, name in ((multinomial, "choice"), (ordinal, "rating")):
        near, moved = model(f"{name} ~ x", data), model(f"{name} ~ x", data, offset=rows)
        np.testing.assert_allclose(moved.llf, near.llf, rtol=1e-10)
        np.testing.assert_allclose(moved.params.filter(like="x"), near.params.filter(like="x"), rtol=1e-6)


def test_a_start_where_nothing_is_known_is_no_maximum(data):
    with pytest.warns(ConvergenceWarning, match="still falls along columns"):
        fit = multinomial("choice ~ 1", data, start=[1000.0, -1000.0])
    assert not fit.converged


def test_two_ordered_classes_name_what_the_binomial_names():
    frame = pd.DataFrame({"x": [-0.19, 0.05, 0.27, -0.39, 0.44, -0.06, -0.6, 0.1, -0.3, -0.29, -0.03, -0.36]})
    frame = frame.assign(g=list("abcbbaababba"), k=[0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    with pytest.warns(SeparationWarning):
        binomial = glm("k ~ x + g", frame, "binomial")
    with pytest.warns(SeparationWarning):
        ordered = ordinal("k ~ x + g", frame)
    with pytest.warns(SeparationWarning):
        classes = multinomial("k ~ x + g", frame)
    assert binomial.infinite == {"Intercept": "-", "g[T.b]": "+", "g[T.c]": "+"}
    assert ordered.infinite == {"g[T.b]": "+", "g[T.c]": "+", "0|1": "+"}
    assert classes.infinite == {f"1:{name}": sign for name, sign in binomial.infinite.items()}


@pytest.fixture(scope="module")
def crossing() -> tuple[pd.DataFrame, object]:
    """A fit whose cuts move towards each other, and meet, as x grows."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=400)
    ends = rng.random(400) < np.clip(0.5 + 0.22 * x, 0.02, 0.98)
    frame = pd.DataFrame({"x": x, "y": np.where(ends, np.where(rng.random(400) < 0.5, 0, 2), 1)})
    with pytest.warns(BoundaryWarning, match="The cuts cross in"):
        return frame, ordinal("y ~ 1", frame, nominal="~ x")


def test_rows_in_which_cuts_cross_have_no_probabilities(crossing):
    frame, fit = crossing
    low, high = (fit.params[f"{cut}:Intercept"] + fit.params[f"{cut}:x"] * frame["x"] for cut in ("0|1", "1|2"))
    cross = (high < low).to_numpy()
    assert cross.sum() > 3
    chances = fit.predict()
    assert chances.isna().all(axis=1).tolist() == cross.tolist()
    by_hand = np.stack([expit(low), expit(high) - expit(low), 1.0 - expit(high)], 1)
    np.testing.assert_allclose(chances[~cross], by_hand[~cross], atol=1e-12)
    assert fit.predict(kind="class").isna().tolist() == cross.tolist()
    assert int(fit.confusion().to_numpy().sum()) == (~cross).sum()
    assert f"The cuts cross in {cross.sum()} row(s)" in str(fit.summary())


def test_so_the_test_of_proportionality_says_what_its_larger_model_is(crossing):
    frame, fit = crossing
    table = proportionality_test(ordinal("y ~ x", frame))
    assert table.frame.loc["x", "logLik"] == pytest.approx(fit.llf, abs=1e-6)
    assert "its cuts cross in" in str(table)


def test_crossing_is_not_said_where_cuts_do_not(data):
    assert "cross" not in str(ordinal("rating ~ z", data, nominal="~ z").summary())


def test_cuts_that_no_row_knows_go_on_before_those_that_fall_without_end():
    """Of a level in which the two lowest of four classes never occur; the maximum by scipy, its two cuts far below."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=400), "g": rng.choice(list("abc"), 400)})
    frame["k"] = np.digitize(frame["x"] + rng.logistic(size=400), [-1.0, 0.0, 1.0])
    frame = frame[~((frame["g"] == "c") & (frame["k"] < 2))]
    with pytest.warns(SeparationWarning, match=r"1\|2:g\[T\.c\] -> -inf"):
        fit = ordinal("k ~ x", frame, nominal="~ g")
    assert fit.infinite == {"0|1:g[T.c]": "-", "1|2:g[T.c]": "-"}
    assert fit.converged
    x, k, g = frame["x"].to_numpy(), frame["k"].to_numpy(), frame["g"].to_numpy()

    def chances(v: np.ndarray, x: np.ndarray, group: str) -> np.ndarray:
        cuts = {"a": v[1:4], "b": v[4:7], "c": np.array([-60.0, -50.0, v[7]])}[group]
        ends = np.concatenate([np.zeros((len(x), 1)), expit(cuts - v[0] * x[:, None]), np.ones((len(x), 1))], 1)
        return np.diff(ends, axis=1)

    def nll(v: np.ndarray) -> float:
        each = (chances(v, x[g == one], one)[np.arange((g == one).sum()), k[g == one]] for one in "abc")
        return -sum(np.log(np.maximum(one, 1e-300)).sum() for one in each)

    best = minimize(nll, [1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 1.0, 1.0], method="BFGS")
    assert fit.llf == pytest.approx(-best.fun, rel=1e-9)
    new = pd.DataFrame({"x": [0.0, 1.0], "g": ["c", "c"]})
    np.testing.assert_allclose(fit.predict(new), chances(best.x, new["x"].to_numpy(), "c"), atol=1e-4)
