"""One number a fit: deviances, degrees of freedom, dispersion, likelihood and criteria."""

from __future__ import annotations

import math

import pytest

from torchglm import glm

LEVEL = {
    "deviance": "deviance",
    "df_resid": "df_residual",
    "scale": "dispersion",
    "pearson_chi2": "pearson_chi2",
    "llf": "loglik",
    "aic": "aic",
    "bic": "bic",
}
NULL = {"null_deviance": "null_deviance", "df_null": "df_null"}


def agrees(ours: float, theirs: float | None, rtol: float) -> bool:
    return theirs is None or math.isclose(ours, theirs, rel_tol=rtol, abs_tol=1e-12)


@pytest.mark.parametrize("ours, theirs", LEVEL.items())
def test_totals(fit, expected, rtol, ours, theirs):
    if fit.family.name.startswith(("quasi", "tweedie")) and ours in ("llf", "aic", "bic"):
        assert math.isnan(getattr(fit, ours))
    assert agrees(getattr(fit, ours), expected[theirs], rtol)


@pytest.mark.parametrize("ours, theirs", NULL.items())
def test_the_null_model(fit, expected, rtol, names, ours, theirs):
    assert agrees(getattr(fit, ours), expected[theirs], rtol)


def test_counts(fit, expected):
    assert fit.record.facts.rank == expected["rank"]
    assert fit.nobs == expected["nobs_R"]
    assert len(fit.fittedvalues.dropna()) == expected["n_obs"]
    assert fit.rows_dropped == len(expected.get("rows_dropped_0based", []))


def test_the_search_has_converged(fit):
    assert fit.converged, fit.status
    assert fit.infinite == {}


def test_a_row_of_frequency_w_is_w_rows(reference):
    case = reference.cases["gauss_freq_weights"]
    same = case["python"]["equivalent"]
    ours = reference.fit_of({**case, "data": same["data"], "python": {**case["python"], **same}})
    assert ours.nobs == case["expected"]["n_obs"]
    assert (ours.bse / reference.fit_of(case).bse - 1.0).abs().max() < 1e-12
    for name, theirs in {**LEVEL, **NULL}.items():
        assert agrees(getattr(ours, name), case["expected"][theirs], 1e-10), name


def test_the_likelihood_counts_the_rows_of_positive_weight(reference):
    case = reference.cases["gauss_zero_weights"]
    fit, weight = reference.fit_of(case), case["python"]["weights"]
    data = reference.read(case["data"])
    kept = glm(case["python"]["formula"], data[data[weight] > 0], weights=weight)
    assert case["expected"]["loglik"] is None  # R adds the log of zero
    assert (fit.llf, fit.aic, fit.bic, fit.scale) == pytest.approx(
        (kept.llf, kept.aic, kept.bic, kept.scale), rel=1e-13
    )
