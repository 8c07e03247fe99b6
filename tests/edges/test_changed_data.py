"""Columns are views of the user's data: what is computed after these were written over would be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from torchglm import glm
from torchglm.errors import DataError


def test_numbers_of_changed_data_are_refused():
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=50), "y": rng.poisson(2.0, 50).astype(float)}
    fit = glm("y ~ x", data, "poisson")
    data["x"][:] = 0.0
    with pytest.raises(DataError, match="written over"):
        _ = fit.llf
    with pytest.raises(DataError, match="written over"):
        _ = fit.fittedvalues
    with pytest.raises(DataError, match="written over"):
        fit.residuals("pearson")
    with pytest.raises(DataError, match="written over"):
        _ = fit.with_covariance("HC0").bse


@pytest.mark.parametrize("rows", [50, 250_000])
def test_data_sorted_in_place_are_refused(rows):
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=rows), "y": rng.poisson(2.0, rows).astype(float)}
    fit = glm("y ~ x", data, "poisson")
    data["x"].sort()
    with pytest.raises(DataError, match="written over"):
        _ = fit.llf


def test_numbers_already_computed_stay():
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=50), "y": rng.poisson(2.0, 50).astype(float)}
    fit = glm("y ~ x", data, "poisson")
    before = fit.llf
    data["x"][:] = 0.0
    assert fit.llf == before


@pytest.mark.parametrize("asked", [{"se": True}, {"interval": "confidence"}, {"interval": "simultaneous"}])
def test_predictions_for_the_rows_of_changed_data_are_refused(asked):
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=50), "y": rng.poisson(2.0, 50).astype(float)}
    fit = glm("y ~ x", data, "poisson")
    data["x"][:] = 0.0
    with pytest.raises(DataError, match="written over"):
        fit.predict(**asked)
