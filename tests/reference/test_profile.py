"""Profile likelihood limits, against the roots that R's likelihood has to 13 digits."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.needs("confint_profile")
def test_profile_limits(case, fit):
    exact = case["expected"]["confint_profile"]["exact"]
    names = case["expected"]["coef_names_formulaic"]
    found = fit.conf_int(method="profile", level=case["expected"]["confint_profile"]["level"]).loc[names]
    for column, end in ((0, "lo"), (1, "hi")):
        expected = np.array(exact[end], dtype=float)
        apart = np.abs(found[column].to_numpy() - expected) / fit.bse[names].to_numpy()
        assert not np.isnan(found[column][~np.isnan(expected)]).any()
        assert np.nanmax(apart) < 1e-8
