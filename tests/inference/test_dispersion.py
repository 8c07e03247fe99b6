"""The four ways to phi."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import glm

U = np.array([5, 10, 15, 20, 30, 40, 60, 80, 100.0])
CLOTTING = pd.DataFrame({"u": U, "lot1": [118, 58, 42, 35, 27, 25, 21, 19, 18], "w": np.arange(1.0, 10.0)})


def test_gamma_by_maximum_likelihood():
    # R 4.2.2: MASS::gamma.dispersion(glm(lot1 ~ log(u), family = Gamma, data = clotting))
    fit = glm("lot1 ~ log(u)", CLOTTING, "gamma", dispersion="ml")
    assert fit.scale == pytest.approx(0.0018582817071028865, rel=1e-6)


def test_gamma_with_weights_by_maximum_likelihood():
    # R 4.2.2: MASS::gamma.dispersion(glm(lot1 ~ log(u), family = Gamma("log"), weights = 1:9, data = clotting))
    fit = glm("lot1 ~ log(u)", CLOTTING, "gamma", "log", weights="w", dispersion="ml")
    assert fit.deviance == pytest.approx(0.42232006734353239, rel=1e-9)
    assert fit.scale == pytest.approx(0.046809672171697063, rel=1e-6)


@pytest.mark.parametrize("family", ["gaussian", "inverse_gaussian"])
def test_deviance_over_n(family):
    fit = glm("lot1 ~ log(u)", CLOTTING, family, "log", dispersion="ml")
    assert fit.scale == pytest.approx(fit.deviance / 9, rel=1e-12)
    assert glm("lot1 ~ log(u)", CLOTTING, family, "log", dispersion="deviance").scale == pytest.approx(fit.deviance / 7)


def test_frequencies_are_repetitions():
    repeated = CLOTTING.loc[CLOTTING.index.repeat(CLOTTING["w"].astype(int))]
    one = glm("lot1 ~ log(u)", CLOTTING, "gamma", "log", freq_weights="w", dispersion="ml")
    other = glm("lot1 ~ log(u)", repeated, "gamma", "log", dispersion="ml")
    assert one.scale == pytest.approx(other.scale, rel=1e-9)


def test_a_known_phi_is_tested_with_z_and_an_estimated_one_with_t():
    assert not glm("lot1 ~ log(u)", CLOTTING, "gamma", dispersion=0.002).use_t
    assert glm("lot1 ~ log(u)", CLOTTING, "poisson", dispersion="pearson").use_t
    assert not glm("lot1 ~ log(u)", CLOTTING, "poisson").use_t
