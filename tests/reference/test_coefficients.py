"""Coefficients, their covariance and what is read off them."""

from __future__ import annotations

import numpy as np
import pytest


def numbers(values) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])


def test_coefficients(fit, expected, names):
    distance = np.abs(fit.params[names].to_numpy() - numbers(expected["coef"])) / numbers(expected["se"])
    assert np.nanmax(distance) < 1e-7


def test_the_aliased_are_those_of_r(fit, expected, names):
    theirs = {name for name, value in zip(names, expected["coef"], strict=True) if value is None}
    assert set(fit.params.index[fit.params.isna()]) == set(fit.aliased) == theirs
    assert len(theirs) == len(expected["aliased"])


def test_standard_errors(fit, expected, names, close, rtol):
    close(fit.bse[names], expected["se"], rtol)


def test_covariance(fit, expected, defined, rtol):
    se = fit.bse[defined].to_numpy()
    scale = np.outer(se, se)
    ours = fit.cov_params().loc[defined, defined].to_numpy()
    np.testing.assert_allclose(ours / scale, np.array(expected["vcov"]) / scale, rtol=0, atol=rtol)


def test_statistics_and_p_values(fit, expected, names, rtol):
    assert fit.use_t == (expected["stat_dist"] == "t")
    statistic = numbers(expected["stat"])
    np.testing.assert_allclose(fit.tvalues[names], statistic, rtol=rtol, atol=1e-7)
    p = numbers(expected["p"])
    slack = p * (1e-6 + rtol * statistic**2)  # in the tail, log p falls as the square
    assert not np.any(np.abs(fit.pvalues[names].to_numpy() - p) > slack)


@pytest.mark.needs("confint_wald")
def test_intervals(fit, expected, names, rtol):
    table = expected["confint_t"] if fit.use_t else expected["confint_wald"]
    ours = fit.conf_int(level=table["level"]).loc[names]
    scale = fit.bse[names].to_numpy()
    for column, end in ((0, "lo"), (1, "hi")):
        distance = np.abs(ours[column].to_numpy() - numbers(table[end])) / scale
        assert np.nanmax(distance) < max(1e-7, rtol)


@pytest.mark.needs("wald_tests")
def test_wald_tests(fit, expected, names, close):
    order = fit.params.index.get_indexer(names)
    for wald in expected["wald_tests"]:
        matrix = np.zeros((len(wald["L"]), len(names)))
        matrix[:, order] = wald["L"]
        if any(wald["rhs"]):
            continue  # a matrix tests against zero
        ours = fit.wald_test(matrix)
        statistic, p = ("F", "F_p") if fit.use_t else ("chisq", "p")
        close([ours.statistic, ours.pvalue], [wald[statistic], wald[p]], 1e-6)
        assert ours.df == wald["df"]
        assert ours.df_denominator == (wald["F_df2"] if fit.use_t else None)


def test_a_wald_test_against_a_number_other_than_zero(reference, close):
    case = reference.cases["gauss_mtcars_full"]
    wald = case["expected"]["wald_tests"][1]
    assert wald["text"] == "factor(cyl)6 - factor(cyl)8 = 1"
    fit = reference.fit_of(case)
    for covariance, statistic in (("model", "chisq"), ("HC0", "chisq_HC0")):
        ours = fit.with_covariance(covariance).wald_test("C(cyl)[T.6] - C(cyl)[T.8] = 1")
        close([ours.statistic], [wald[statistic]], 1e-8)
