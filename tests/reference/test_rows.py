"""One number a row: linear predictor, fitted values and residuals."""

from __future__ import annotations

import numpy as np
import pytest


def used(fit, values) -> np.ndarray:
    """The values of the rows in the fit."""
    return values[fit.fittedvalues.notna()].to_numpy()


def test_linear_predictor(fit, expected, close, rtol):
    close(used(fit, fit.linear_predictor)[:10], expected["linear_predictor_first10"], rtol)


def test_fitted_values(fit, expected, close, rtol):
    close(used(fit, fit.fittedvalues)[:10], expected["fitted_first10"], rtol)


@pytest.mark.needs("residuals")
@pytest.mark.parametrize("kind", ["deviance", "pearson", "working", "response"])
def test_residuals(fit, expected, rtol, kind):
    theirs = expected["residuals"][kind]
    if theirs is None:
        pytest.skip("R has none")
    values = used(fit, fit.residuals(kind))
    first = np.array(theirs["first10"], dtype=float)
    small = 10 * rtol * np.sqrt(theirs["sumsq"] / len(values))  # a residual is a difference of numbers of fit size
    np.testing.assert_allclose(values[:10], first, rtol=10 * rtol, atol=small)
    np.testing.assert_allclose(values.sum(), theirs["sum"], rtol=10 * rtol, atol=small * len(values))
    np.testing.assert_allclose((values**2).sum(), theirs["sumsq"], rtol=10 * rtol, atol=1e-300)


@pytest.mark.needs("rows_dropped_0based")
def test_dropped_rows_are_nan_in_place(fit, expected):
    missing = np.flatnonzero(fit.fittedvalues.isna())
    assert missing.tolist() == expected["rows_dropped_0based"]
