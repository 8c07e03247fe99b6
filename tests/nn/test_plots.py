"""Plots: their lines and regions are those of the fit."""

from __future__ import annotations

import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from torchglm import SGD, errors, glm, multinomial
from torchglm.plots import plot_decision_boundary, plot_trace

mpl.use("Agg")


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(90, 2))
    data = pd.DataFrame({"u": x[:, 0], "v": x[:, 1], "s": rng.choice(["m", "n"], 90)})
    data["k"] = pd.Categorical.from_codes((x + rng.normal(size=(90, 2))).argmax(1), ["left", "top"])
    data["three"] = pd.Categorical.from_codes(rng.integers(0, 3, 90), ["one", "two", "three"])
    return data


def test_the_trace(data):
    fit = glm("k ~ u + v", data, "binomial", solver=SGD(epochs=6, batch_rows=16, metrics="accuracy"))
    ax = plot_trace(fit, ["loss", "accuracy"])
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines if not line.get_label().startswith("_")}
    np.testing.assert_array_equal(drawn["loss"], fit.trace["loss"][:7])
    np.testing.assert_array_equal(drawn["accuracy"], fit.trace["accuracy"][:7])
    assert ax.get_xlabel() == "epoch"
    other = glm("k ~ u + v", data, "binomial")
    np.testing.assert_array_equal(plot_trace(other).lines[0].get_ydata(), other.trace["loss"])
    assert plot_trace(other, ax=ax) is ax
    with pytest.raises(errors.UnknownNameError, match="Did you mean 'loss'"):
        plot_trace(other, "losss")


def test_a_boundary_is_where_the_probability_is_a_half(data):
    fit = glm("k ~ u + v", data, "binomial")
    ax = plot_decision_boundary(fit, data, "u", "v")
    regions = next(one for one in ax.collections if type(one).__name__ == "QuadContourSet")
    b0, bu, bv = fit.params
    edge = np.concatenate([path.vertices for path in regions.get_paths()])
    (low, high), (down, up) = ax.get_xlim(), ax.get_ylim()
    step = max(high - low, up - down) / 199
    inside = (edge[:, 0] > low + step) & (edge[:, 0] < high - step) & (edge[:, 1] > down + step)
    inside &= edge[:, 1] < up - step
    distance = np.abs(b0 + bu * edge[inside, 0] + bv * edge[inside, 1]) / np.hypot(bu, bv)
    assert inside.sum() > 50
    assert distance.max() < 1.5 * step
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["left", "top"]
    points = [len(one.get_offsets()) for one in ax.collections if type(one).__name__ == "PathCollection"]
    assert points == data["k"].value_counts()[["left", "top"]].tolist()


def test_three_classes_and_numbers(data):
    ax = plot_decision_boundary(multinomial("three ~ u * v", data), data, "u", "v")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two", "three"]
    numbers = data.assign(k=(data["k"] == "top").astype(int))
    ax = plot_decision_boundary(glm("k ~ u + v + s", numbers, "binomial"), numbers, "u", "v", at={"s": "m"})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1"]


def test_without_matplotlib_it_says_what_to_install(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(errors.OptionError, match="pip install"):
        plot_trace(glm("k ~ u", data, "binomial"))


def test_boundaries_that_mean_nothing(data):
    fit = glm("k ~ u + v + s", data, "binomial")
    with pytest.raises(errors.OptionError, match="at="):
        plot_decision_boundary(fit, data, "u", "v")
    with pytest.raises(errors.DataError, match="numeric"):
        plot_decision_boundary(fit, data, "u", "s")
    with pytest.raises(errors.UnknownNameError, match="w"):
        plot_decision_boundary(fit, data, "u", "w")
    with pytest.raises(errors.OptionError, match="x1 and x2 are both 'u'"):
        plot_decision_boundary(fit, data, "u", "u")
    with pytest.raises(errors.OptionError, match="classes"):
        plot_decision_boundary(glm("u ~ v", data), data, "u", "v")
