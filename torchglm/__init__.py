"""torchglm: generalized linear models from R-style formulas, on PyTorch.

>>> from torchglm import glm
>>> fit = glm("y ~ x", {"x": [1.0, 2.0, 3.0, 4.0], "y": [2, 3, 6, 7]}, family="poisson")
>>> round(float(fit.params["x"]), 4)
0.4196
"""

from __future__ import annotations

from torchglm import checks, classification, covariances, effects, errors, families, links, nn, penalties, plots
from torchglm.api import from_arrays, glm
from torchglm.classes import multinomial, ordinal
from torchglm.compare import compare
from torchglm.count_tests import theta_test, vuong_test, zero_inflation_test
from torchglm.counts import hurdle, truncated, zero_inflated
from torchglm.custom_models import custom
from torchglm.dispersion_models import beta_regression
from torchglm.effects import comparisons, emmeans, predictions, slopes
from torchglm.fit import Fit
from torchglm.negative_binomial import negative_binomial, poisson_test
from torchglm.proportionality import proportionality_test, scale_test
from torchglm.saving import load
from torchglm.selection import step
from torchglm.solvers import IRLS, LBFGS, SGD, EarlyStopping, NewtonCG
from torchglm.streams import stream
from torchglm.term_tests import add1, anova, drop1, likelihood_ratio
from torchglm.tweedie import tweedie
from torchglm.update import update
from torchglm.vector_fit import VectorFit

__version__ = "0.1.0"

__all__ = [
    "IRLS",
    "LBFGS",
    "SGD",
    "EarlyStopping",
    "Fit",
    "NewtonCG",
    "VectorFit",
    "add1",
    "anova",
    "beta_regression",
    "checks",
    "classification",
    "compare",
    "comparisons",
    "covariances",
    "custom",
    "drop1",
    "effects",
    "emmeans",
    "errors",
    "families",
    "from_arrays",
    "glm",
    "hurdle",
    "likelihood_ratio",
    "links",
    "load",
    "multinomial",
    "negative_binomial",
    "nn",
    "ordinal",
    "penalties",
    "plots",
    "poisson_test",
    "predictions",
    "proportionality_test",
    "scale_test",
    "slopes",
    "step",
    "stream",
    "theta_test",
    "truncated",
    "tweedie",
    "update",
    "vuong_test",
    "zero_inflated",
    "zero_inflation_test",
]
