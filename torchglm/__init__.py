"""torchglm: generalized linear models from R-style formulas, on PyTorch.

>>> from torchglm import glm
>>> fit = glm("y ~ x", {"x": [1.0, 2.0, 3.0, 4.0], "y": [2, 3, 6, 7]}, family="poisson")
>>> round(float(fit.params["x"]), 4)
0.4196
"""

from __future__ import annotations

from torchglm import checks, covariances, effects, errors, families, links, penalties
from torchglm.api import from_arrays, glm
from torchglm.compare import compare
from torchglm.effects import comparisons, emmeans, predictions, slopes
from torchglm.fit import Fit
from torchglm.saving import load
from torchglm.selection import step
from torchglm.solvers import IRLS, LBFGS, SGD, NewtonCG
from torchglm.term_tests import add1, anova, drop1, likelihood_ratio
from torchglm.update import update

__version__ = "0.1.0"

__all__ = [
    "IRLS",
    "LBFGS",
    "SGD",
    "Fit",
    "NewtonCG",
    "add1",
    "anova",
    "checks",
    "compare",
    "comparisons",
    "covariances",
    "drop1",
    "effects",
    "emmeans",
    "errors",
    "families",
    "from_arrays",
    "glm",
    "likelihood_ratio",
    "links",
    "load",
    "penalties",
    "predictions",
    "slopes",
    "step",
    "update",
]
