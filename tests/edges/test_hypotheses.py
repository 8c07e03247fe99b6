"""Hypotheses in text: names of any kind, numbers, what cannot be read, and units."""

from __future__ import annotations

import numpy as np
import pytest

from torchglm import errors, glm


@pytest.fixture
def fit(data):
    return glm("y ~ x*g + z + `a-b`", data.assign(**{"a-b": data["w"]}), "poisson")


def by_hand(fit, rows, target=0.0):
    """(L theta - r)' (L V L')^-1 (L theta - r) of rows given as {name: factor}."""
    matrix = np.array([[row.get(name, 0.0) for name in fit.params.index] for row in rows])
    gap = matrix @ fit.params.to_numpy() - target
    return gap @ np.linalg.solve(matrix @ fit.cov_params().to_numpy() @ matrix.T, gap)


READ = [
    ("x:g[T.b] = 0", [{"x:g[T.b]": 1}], 0.0),
    ("x:g[T.b]", [{"x:g[T.b]": 1}], 0.0),
    ("x:g[T.b] = 0, x:g[T.c] = 0", [{"x:g[T.b]": 1}, {"x:g[T.c]": 1}], 0.0),
    ("`x:g[T.b]` = g[T.b]", [{"x:g[T.b]": 1, "g[T.b]": -1}], 0.0),
    ("x=-1e-3", [{"x": 1}], -1e-3),
    ("x = 1.5E2", [{"x": 1}], 150.0),
    ("2 * (x - z) / 4 = 1 + .5", [{"x": 0.5, "z": -0.5}], 1.5),
    ("x\n+z=0", [{"x": 1, "z": 1}], 0.0),
    ("a-b = x", [{"a-b": 1, "x": -1}], 0.0),
    (["x = 0", "z = 1"], [{"x": 1}, {"z": 1}], np.array([0.0, 1.0])),
]


@pytest.mark.parametrize("hypothesis, rows, target", READ)
def test_what_a_hypothesis_says(fit, hypothesis, rows, target):
    test = fit.wald_test(hypothesis)
    assert test.statistic == pytest.approx(by_hand(fit, rows, target), rel=1e-9)
    assert test.df == len(rows)


REFUSED = [
    ("", errors.OptionError, "restricts nothing"),
    ("x = 0 = 1", errors.OptionError, 'one "=" in each'),
    ("x =", errors.OptionError, "missing"),
    ("x z", errors.OptionError, "missing"),
    ("x * z = 0", errors.OptionError, "by a number only"),
    ("x ** 2 = 0", errors.OptionError, "by a number only"),
    ("x / 0 = 0", errors.OptionError, "divides by zero"),
    ("1e999 * x = 0", errors.OptionError, "not finite"),
    ("1 = 2", errors.OptionError, "no coefficient is left"),
    ("x = x", errors.OptionError, "no coefficient is left"),
    ("x:g[T.d] = 0", errors.UnknownNameError, r"'x:g\[T.d\]' is no coefficient. Did you mean 'x:g"),
    ("`q` = 0", errors.UnknownNameError, "'q' is no coefficient"),
    ([], errors.OptionError, "shape"),
    (None, errors.OptionError, "shape"),
    (["x", 1], errors.OptionError, "is text"),
]


@pytest.mark.parametrize("hypothesis, error, words", REFUSED)
def test_what_cannot_be_read(fit, hypothesis, error, words):
    for method in (fit.wald_test, fit.t_test):
        with pytest.raises(error, match=words):
            method(hypothesis)


def test_a_matrix_of_numbers_that_are_none(fit):
    with pytest.raises(errors.OptionError, match="finite"):
        fit.wald_test(np.full(len(fit.params), np.nan))


def test_rows_of_a_t_test_are_labelled(fit):
    table = fit.t_test("x:g[T.b]  = 0, 2*z = 1")
    assert list(table.index) == ["x:g[T.b] = 0", "2*z = 1"]
    assert table["estimate"].to_list() == pytest.approx([fit.params["x:g[T.b]"], 2 * fit.params["z"]])
    assert table["statistic"].iloc[1] == pytest.approx((2 * fit.params["z"] - 1) / (2 * fit.bse["z"]))
    row = np.zeros(len(fit.params))
    row[[1, 4]] = 1.0, -2.0
    assert list(fit.t_test(row).index) == [f"{fit.params.index[1]} - 2 * {fit.params.index[4]} = 0"]


def test_units_of_columns_change_nothing(data):
    one = glm("y ~ x + z", data, "poisson").wald_test("x = 0, z = 0")
    two = glm("y ~ x + z", data.assign(x=data["x"] * 1e-8, z=data["z"] * 1e8), "poisson").wald_test("x = 0, z = 0")
    assert two.statistic == pytest.approx(one.statistic, rel=1e-9)
    with pytest.raises(errors.OptionError, match="repeat"):
        glm("y ~ x + z", data.assign(x=data["x"] * 1e-8), "poisson").wald_test("x = 0, z = 0, 3 * x = 0")


def test_restrictions_that_span_each_other(fit):
    rng = np.random.default_rng(0)
    for _ in range(20):
        free = rng.normal(size=(3, len(fit.params)))
        with pytest.raises(errors.OptionError, match="repeat"):
            fit.wald_test(np.vstack([free, rng.normal(size=3) @ free]))
        assert fit.wald_test(free).df == 3
