"""Predictions for new rows, with standard errors, offsets and exposures."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.needs("predict")


@pytest.mark.parametrize("scale", ["link", "response"])
def test_predictions(fit, expected, new_rows, close, rtol, scale):
    theirs = expected["predict"]
    ours = fit.predict(new_rows, scale=scale, se=True)
    close(ours["predicted"], theirs[scale], rtol)
    close(ours["se"], theirs[f"{scale}_se"], rtol)


def test_the_rows_of_the_fit_predict_themselves(case, fit, reference, close):
    used = fit.fittedvalues.notna()
    close(fit.predict(reference.read(case["data"]))[used], fit.fittedvalues[used], 1e-12)
