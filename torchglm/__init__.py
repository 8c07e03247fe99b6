"""torchglm: generalized linear models from R-style formulas, on PyTorch.

>>> from torchglm import glm
>>> fit = glm("y ~ x", {"x": [1.0, 2.0, 3.0, 4.0], "y": [2, 3, 6, 7]}, family="poisson")
>>> round(float(fit.params["x"]), 4)
0.4196
"""

from __future__ import annotations

from torchglm import covariances, errors, families, links
from torchglm.api import from_arrays, glm
from torchglm.fit import Fit
from torchglm.saving import load
from torchglm.solvers import IRLS, LBFGS, SGD, NewtonCG

__version__ = "0.1.0"

__all__ = [
    "IRLS",
    "LBFGS",
    "SGD",
    "Fit",
    "NewtonCG",
    "covariances",
    "errors",
    "families",
    "from_arrays",
    "glm",
    "links",
    "load",
]
