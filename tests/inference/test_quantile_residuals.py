"""Randomized quantile residuals, by their definition with scipy's distributions, and by their distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from torchglm import glm
from torchglm.errors import OptionError
from torchglm.families import NegativeBinomial

N = 4_000
RNG = np.random.default_rng(5)
X = RNG.normal(size=N)
MU = np.exp(0.3 * X + 0.2)
TRIALS = RNG.integers(1, 9, N)
CHANCE = 1 / (1 + np.exp(-X))
DATA = pd.DataFrame(
    {
        "x": X,
        "m": TRIALS.astype(float),
        "poisson": RNG.poisson(MU),
        "gamma": RNG.gamma(2.0, MU / 2.0),
        "gaussian": MU + RNG.normal(size=N),
        "inverse_gaussian": RNG.wald(MU, 2.0),
        "counts": RNG.negative_binomial(1.5, 1.5 / (1.5 + MU)),
        "share": RNG.binomial(TRIALS, CHANCE) / TRIALS,
    }
)
FITS = {
    "poisson": lambda: glm("poisson ~ x", DATA, "poisson"),
    "gamma": lambda: glm("gamma ~ x", DATA, "gamma", "log"),
    "gaussian": lambda: glm("gaussian ~ x", DATA, "gaussian", "log"),
    "inverse_gaussian": lambda: glm("inverse_gaussian ~ x", DATA, "inverse_gaussian", "log"),
    "negative_binomial": lambda: glm("counts ~ x", DATA, NegativeBinomial(theta=1.5)),
    "binomial": lambda: glm("share ~ x", DATA, "binomial", weights="m"),
}


@pytest.mark.parametrize("name", FITS)
def test_a_true_model_has_normal_ones(name):
    fit = FITS[name]()
    assert stats.kstest(fit.quantile_residuals(seed=1), "norm").pvalue > 0.01
    pd.testing.assert_series_equal(fit.quantile_residuals(seed=1), fit.quantile_residuals(seed=1))


def test_continuous_ones_are_the_definition():
    fit = FITS["gamma"]()
    wanted = stats.norm.ppf(stats.gamma.cdf(DATA["gamma"], 1 / fit.scale, scale=fit.scale * fit.fittedvalues))
    np.testing.assert_allclose(fit.quantile_residuals(), wanted, rtol=1e-8, atol=1e-10)
    fit = FITS["gaussian"]()
    np.testing.assert_allclose(fit.quantile_residuals(), fit.resid_response / fit.scale**0.5, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["poisson", "binomial"])
def test_discrete_ones_lie_between_their_quantiles(name):
    fit = FITS[name]()
    if name == "poisson":
        y, law = DATA["poisson"], stats.poisson(fit.fittedvalues)
    else:
        y, law = (DATA["share"] * DATA["m"]).round(), stats.binom(DATA["m"], fit.fittedvalues)
    found = stats.norm.cdf(fit.quantile_residuals(seed=3))
    assert (found >= law.cdf(y - 1) - 1e-12).all()
    assert (found <= law.cdf(y) + 1e-12).all()


def test_what_has_no_distribution_is_refused():
    with pytest.raises(OptionError, match="distribution"):
        glm("poisson ~ x", DATA, "quasipoisson").quantile_residuals()
    with pytest.raises(OptionError, match="freq_weights"):
        glm("poisson ~ x", DATA, "poisson", weights="m").quantile_residuals()
