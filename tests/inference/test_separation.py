"""Which coefficients separation makes infinite, and no others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import glm
from torchglm.errors import SeparationWarning
from torchglm.families import Tweedie

X = np.random.default_rng(0).normal(size=30)


@pytest.mark.parametrize("family, y, sign", [("binomial", 1.0, "+"), ("binomial", 0.0, "-"), ("poisson", 0.0, "-")])
def test_one_value_only_moves_the_intercept(family, y, sign):
    with pytest.warns(SeparationWarning):
        fit = glm("y ~ x", {"x": X, "y": np.full(30, y)}, family)
    assert fit.infinite == {"Intercept": sign}


def test_a_level_of_zeros_of_a_tweedie():
    with pytest.warns(SeparationWarning):
        fit = glm("y ~ g", {"g": list("aaabbb"), "y": [1, 2, 3, 0, 0, 0.0]}, Tweedie(power=1.5))
    assert fit.infinite == {"g[T.b]": "-"}


def test_a_quasi_family_that_is_separated_still_gives_its_numbers():
    with pytest.warns(SeparationWarning):
        fit = glm("y ~ x", {"x": [1.0, 2, 3, 4, 5, 6], "y": [0, 0, 0, 1, 1, 1]}, "quasibinomial")
    assert fit.infinite == {"Intercept": "-", "x": "+"}
    assert fit.deviance < 1e-6


@pytest.mark.parametrize("family", ["gaussian", "gamma"])
def test_positive_families_have_no_end(family):
    assert glm("y ~ x", {"x": X, "y": np.exp(X)}, family, "log").infinite == {}


def test_overlap_is_no_separation():
    y = (X + np.random.default_rng(1).normal(size=30) > 0).astype(float)
    assert glm("y ~ x", {"x": X, "y": y}, "binomial").infinite == {}


@pytest.mark.parametrize("level", ["a", "b", "c"])
def test_a_level_that_is_all_success_beside_a_column_far_from_zero(level):
    """The information of the level is lost at the end of the search: it is not aliased, and no other column moves."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"far": rng.normal(size=60) + 2000.0, "g": np.resize(list("abc"), 60)})
    data["y"] = np.where(data["g"] == level, 1.0, rng.integers(0, 2, 60))
    with pytest.warns(SeparationWarning):
        fit = glm("y ~ far + g", data, "binomial")
    expected = {"Intercept": "+", "g[T.b]": "-", "g[T.c]": "-"} if level == "a" else {f"g[T.{level}]": "+"}
    assert fit.infinite == expected
    assert not fit.aliased
    assert fit.df_resid == 56
    rest = glm("y ~ far + g", data[data["g"] != level], "binomial")
    assert fit.params["far"] == pytest.approx(rest.params["far"], abs=1e-6)
    assert fit.deviance == pytest.approx(rest.deviance, abs=1e-6)
