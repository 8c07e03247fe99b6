"""Labels of columns and rows, and whose variable a name is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import custom, errors, from_arrays, glm, multinomial

SHIFT = 0.25


def fit(formula, data):
    return glm(formula, data, family="poisson")


def labels(n):
    return {
        "repeated": pd.Index(np.zeros(n, dtype=int)),
        "reversed": pd.Index(range(n, 0, -1)),
        "dates": pd.date_range("2020-01-01", periods=n),
        "two levels": pd.MultiIndex.from_product([range(6), range(n // 6)], names=["p", "q"]),
        "text": pd.Index([f"r{i}" for i in range(n)], name="id"),
    }


@pytest.mark.parametrize("kind", labels(60))
def test_results_keep_any_index(data, kind):
    plain = data.copy()
    plain.loc[3, "x"] = np.nan
    odd = plain.set_index(labels(60)[kind])
    found = glm("y ~ scale(x) + g", odd, family="poisson", weights="w", subset="k < 4", offset=0.1 * odd["z"])
    expected = glm("y ~ scale(x) + g", plain, family="poisson", weights="w", subset="k < 4", offset=0.1 * plain["z"])
    np.testing.assert_array_equal(found.params, expected.params)
    for series in (found.fittedvalues, found.resid_deviance):
        assert series.index.equals(odd.index)
    assert np.isnan(found.fittedvalues.iloc[3])
    np.testing.assert_array_equal(found.fittedvalues.to_numpy(), expected.fittedvalues.to_numpy())
    new = found.predict(odd, offset=0.1 * odd["z"])
    assert new.index.equals(odd.index)
    used = found.fittedvalues.notna().to_numpy()
    np.testing.assert_allclose(new[used], found.fittedvalues[used], rtol=1e-12)


@pytest.mark.parametrize("name", ["a b", "ü-1", "x.1", "größe", "温度", "class", "1x", "a:b", "C(g)"])
def test_names_in_backticks(data, name):
    odd = data.rename(columns={"x": name})
    found = fit(f"y ~ `{name}` + z", odd)
    np.testing.assert_array_equal(found.params, fit("y ~ x + z", data).params)
    np.testing.assert_allclose(found.predict(odd), found.fittedvalues, rtol=1e-12)


def test_backticks_inside_code(data):
    odd = data.rename(columns={"w": "a b", "g": "g g", "y": "y y"})
    found = fit("`y y` ~ C(`g g`) + log(`a b`) + offset(log(`a b`))", odd)
    plain = fit("y ~ C(g) + log(w) + offset(log(w))", data)
    np.testing.assert_array_equal(found.params, plain.params)
    np.testing.assert_allclose(found.predict(odd), plain.predict(data), rtol=1e-12)


def test_labels_that_are_no_text(data):
    numbered = data[["y", "x", "z"]].set_axis([2, 3, 4], axis=1)
    np.testing.assert_array_equal(fit("`2` ~ `3` + `4`", numbered).params, fit("y ~ x + z", data).params)
    nested = data[["y", "x"]].set_axis(pd.MultiIndex.from_tuples([("p", "y"), ("p", "x")]), axis=1)
    np.testing.assert_array_equal(fit("`('p', 'y')` ~ `('p', 'x')`", nested).params, fit("y ~ x", data).params)


@pytest.mark.parametrize("formula", ["`0` ~ `1`", "`2` ~ `1`", "`2` ~ ."])
def test_labels_that_a_formula_reads_as_the_intercept(data, formula):
    with pytest.raises(errors.FormulaError, match="Rename"):
        fit(formula, data[["x", "z", "y"]].set_axis([0, 1, 2], axis=1))


def test_from_arrays_renames_number_labels(data):
    formula, columns = from_arrays(data[["x", "z"]].set_axis([0, 1], axis=1), data["y"])
    found = fit(formula, columns)
    assert list(found.params.index) == ["Intercept", "x0", "x1"]
    np.testing.assert_allclose(found.params.to_numpy(), fit("y ~ x + z", data).params.to_numpy(), rtol=1e-10)


def test_the_callers_variables_do_not_hide_transforms(data):
    C, log, I, cbind, offset, center = 3, 5, "x", 2, 7, None  # noqa: F841
    found = glm("y ~ C(g) + log(w) + I(k + 1) + center(x) + offset(x)", data, family="poisson")
    assert len(found.params) == 6
    assert len(glm("cbind(k, 5 - k) ~ C(g)", data, family="binomial").params) == 3


def test_data_come_before_the_caller(data):
    x = np.zeros(len(data))  # noqa: F841
    assert not glm("y ~ x", data).aliased


def test_functions_and_constants_of_the_caller(data):
    factor = 2.0

    def local(v):
        return v * factor

    found = glm("y ~ local(x) + I(z - SHIFT) + I(z**factor)", data, family="poisson")
    by_hand = fit("y ~ p + q + r", data.assign(p=2 * data["x"], q=data["z"] - 0.25, r=data["z"] ** 2))
    np.testing.assert_allclose(found.params.to_numpy(), by_hand.params.to_numpy(), rtol=1e-9)
    np.testing.assert_allclose(found.predict(data[:5]), by_hand.fittedvalues[:5], rtol=1e-10)


def test_keyword_arguments_take_the_callers_variables(data):
    knots = [-0.5, 0.5]  # noqa: F841
    assert len(glm("y ~ bs(x, knots=knots)", data).params) == 6


def test_modules_of_the_caller(data):
    found = glm("y ~ pd.Series.abs(x) + np.log(w)", data)
    np.testing.assert_array_equal(found.params, glm("y ~ abs(x) + log(w)", data).params)


def test_a_formula_in_a_class_body(data):
    class Model:
        power = 2.0
        fit = glm("y ~ I(x**power)", data, family="poisson")

    np.testing.assert_allclose(Model.fit.params, fit("y ~ I(x**2)", data).params, rtol=1e-12)


@pytest.mark.parametrize("formula", ["y ~ x + extra", "y ~ x + I(z * extra)"])
def test_an_array_of_the_caller_follows_the_rows_in_use(data, formula):
    extra = np.random.default_rng(1).normal(size=len(data))
    column = data.assign(extra=extra)
    holes = data.assign(x=data["x"].mask(data["k"] == 2))
    expected = glm(formula, holes.assign(extra=extra), family="poisson")
    found = glm(formula, holes, family="poisson")
    np.testing.assert_array_equal(found.params, expected.params)
    with pytest.raises(errors.DataError, match=r"'extra'.*column of that name"):
        found.predict(data)  # of as many rows: the fit's own values would be the wrong ones
    np.testing.assert_allclose(found.predict(column), expected.predict(column), rtol=1e-14)


def test_an_array_of_the_caller_of_another_length(data):
    extra = np.zeros(7)  # noqa: F841
    with pytest.raises(errors.FormulaError, match="'extra' gives 7"):
        glm("y ~ extra", data)


@pytest.mark.parametrize(
    "formula, name", [("y ~ Intercept + x", "z"), ("y ~ `x:k` + x:k", "z"), ("y ~ `g[T.b]` + g", "z")]
)
def test_two_columns_of_one_name(data, formula, name):
    wanted = next(n for n in ("Intercept", "x:k", "g[T.b]") if n in formula)
    with pytest.raises(errors.FormulaError, match="Two columns"):
        fit(formula, data.rename(columns={name: wanted}))


def test_two_coefficients_of_one_name(data):
    classes = data.assign(c=np.resize(["a", "a:z", "q"], len(data)))
    with pytest.raises(errors.FormulaError, match="Two coefficients of the model would be named 'a:z:x'"):
        multinomial("c ~ z:x + x", classes, base="q")
    named = data.rename(columns={"x": "b_c", "z": "c"})
    with pytest.raises(errors.FormulaError, match="would be named 'a_b_c', after their class or predictor"):
        custom("y ~ b_c | c", named, lambda y, a, a_b: 0.5 * (y - a) ** 2 * a_b.exp() - 0.5 * a_b)


@pytest.mark.parametrize("role", ["cluster", "by", "weights", "offset", "subset"])
@pytest.mark.parametrize("name", ["cc", "np"])
def test_a_transforms_name_is_no_column(data, role, name):
    with pytest.raises(errors.UnknownNameError, match=f"'{name}' is no column of the data: it names a "):
        glm("y ~ x", data, "poisson", **{role: name})
    if role != "by":
        with pytest.raises(errors.UnknownNameError, match=f"'{name}' is no column of the data: it names a "):
            glm("y ~ x", lambda: [data], "poisson", **{role: name})
