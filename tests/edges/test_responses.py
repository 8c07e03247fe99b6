"""What may stand on the left-hand side."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import errors, glm

NUMBERS = ("llf", "aic", "bic", "deviance", "null_deviance", "llnull", "pearson_chi2")


@pytest.mark.parametrize(
    "response",
    [
        lambda b: b,
        lambda b: b.astype("boolean"),
        lambda b: b.astype(object),
        lambda b: b.map({True: "yes", False: "no"}),
        lambda b: pd.Categorical(b.map({True: "low", False: "tall"}), categories=["tall", "none", "low"]),
        lambda b: pd.Categorical(b, categories=[False, True]),
        lambda b: b.astype("uint8"),
    ],
)
def test_two_levels_of_any_kind(data, response):
    found = glm("r ~ x + z", data.assign(r=response(data["b"])), family="binomial")
    plain = glm("r ~ x + z", data.assign(r=data["b"] * 1.0), family="binomial")
    np.testing.assert_array_equal(found.params, plain.params)
    assert found.llf == plain.llf


def test_two_levels_by_code(data):
    plain = glm("r ~ x", data.assign(r=(data["g"] == "a") * 1.0), family="binomial")
    for left in ("I(g == 'a')", "{g == 'a'}", "C(g == 'a')"):
        np.testing.assert_array_equal(glm(f"{left} ~ x", data, family="binomial").params, plain.params)


def test_a_missing_two_level_response_drops_its_row(data):
    r = data["b"].map({True: "yes", False: "no"})
    r[7] = None
    found = glm("r ~ x", data.assign(r=r), family="binomial")
    plain = glm("b ~ x", data.drop(index=7), family="binomial")
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-12)
    assert found.rows_dropped == 1


def grouped(data):
    """Six cells with their trials and successes, and the same rows one by one."""
    cell = pd.DataFrame({"x": [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5], "n": [4, 9, 1, 7, 12, 3], "s": [1, 3, 1, 2, 9, 3]})
    return cell.assign(f=cell["n"] - cell["s"], p=cell["s"] / cell["n"])


def test_all_grouped_forms_of_a_binomial_agree(data):
    cell = grouped(data)
    forms = {
        "cbind": glm("cbind(s, f) ~ x", cell, family="binomial"),
        "cbind of code": glm("cbind(s, n - s) ~ x", cell.astype({"s": "uint8", "n": "uint8"}), family="binomial"),
        "proportion": glm("p ~ x", cell, family="binomial", weights="n"),
        "proportion by code": glm("I(s / n) ~ x", cell, family="binomial", weights="n"),
    }
    from scipy import stats

    first = forms["cbind"]
    by_hand = stats.binom.logpmf(cell["s"], cell["n"], first.fittedvalues).sum()
    assert first.llf == pytest.approx(by_hand, rel=1e-10)
    for name, fit in forms.items():
        np.testing.assert_allclose(fit.params, first.params, rtol=1e-10, err_msg=name)
        np.testing.assert_allclose(fit.bse, first.bse, rtol=1e-10)
        for number in NUMBERS:
            assert getattr(fit, number) == pytest.approx(getattr(first, number), rel=1e-10), (name, number)
        assert (fit.nobs, fit.df_resid) == (6, 4)


def test_rows_one_by_one_have_the_grouped_coefficients(data):
    cell = grouped(data)
    long = pd.concat([cell.loc[cell.index.repeat(cell[c]), ["x"]].assign(r=v) for c, v in (("s", 1.0), ("f", 0.0))])
    one, many = glm("cbind(s, f) ~ x", cell, family="binomial"), glm("r ~ x", long, family="binomial")
    np.testing.assert_allclose(one.params, many.params, rtol=1e-8)
    np.testing.assert_allclose(one.bse, many.bse, rtol=1e-8)
    coefficients = one.llf - many.llf  # the binomial coefficients, which single rows have not
    assert one.llnull - many.llnull == pytest.approx(coefficients, rel=1e-8)
    frequency = glm("r ~ x", long.groupby(["x", "r"]).size().reset_index(name="n"), family="binomial", freq_weights="n")
    for number in NUMBERS:
        assert getattr(frequency, number) == pytest.approx(getattr(many, number), rel=1e-8), number


def test_cells_without_trials_count_for_nothing(data):
    cell = grouped(data)
    empty = pd.concat([cell, cell[:2].assign(s=0, f=0, n=0)], ignore_index=True)
    found, plain = (glm("cbind(s, f) ~ x", d, family="binomial") for d in (empty, cell))
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-12)
    assert (found.nobs, found.llf) == (6, pytest.approx(plain.llf, rel=1e-12))


BAD = [
    ("g ~ x", "binomial", "3 levels \\('a', 'b', 'c'\\)"),
    ("C(g) ~ x", "binomial", "3 levels"),
    ("t ~ x", "gaussian", "two levels, 'no' and 'yes'.*gaussian"),
    ("t ~ x", "poisson", "two levels.*poisson"),
    ("cbind(k, 5 - k) ~ x", "poisson", "successes and failures.*poisson"),
    ("cbind(k, 5 - k) ~ x", "gaussian", "successes and failures.*gaussian"),
    ("cbind(k, 2 - k) ~ x", "binomial", "failures of row 1\\d\\d are negative"),
    ("cbind(k, k, k) ~ x", "binomial", "two columns"),
    ("np.c_[x, z] ~ x", "gaussian", "2 dimensions"),
    ("bs(x, df=4) ~ z", "gaussian", "several columns"),
    ("I(3) ~ z", "gaussian", "0 dimensions"),
]


@pytest.mark.parametrize("formula, family, words", BAD)
def test_bad_responses(data, formula, family, words):
    data["t"] = np.where(data["b"], "yes", "no")
    with pytest.raises(errors.ResponseError, match=words):
        glm(formula, data.set_index(pd.RangeIndex(100, 160)), family=family)


def test_one_level_and_no_trial(data):
    with pytest.raises(errors.ResponseError, match="1 level"):
        glm("g ~ x", data[data["g"] == "a"], family="binomial")
    with pytest.raises(errors.WeightError, match="no trial"):
        glm("cbind(0 * k, 0 * k) ~ x", data, family="binomial")
