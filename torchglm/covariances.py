"""The covariances, under a short name: `torchglm.covariances.Cluster("firm", ssc="stata")`."""

from __future__ import annotations

from torchglm.inference.covariance.bias_reduced import CR2, CR3
from torchglm.inference.covariance.cluster import CR0, CR1S, Cluster
from torchglm.inference.covariance.hac import HAC, DriscollKraay
from torchglm.inference.covariance.kind import CovarianceKind, Model
from torchglm.inference.covariance.robust import HC0, HC1, HC2, HC3, Sampling

__all__ = [
    "CR0",
    "CR1S",
    "CR2",
    "CR3",
    "HAC",
    "HC0",
    "HC1",
    "HC2",
    "HC3",
    "Cluster",
    "CovarianceKind",
    "DriscollKraay",
    "Model",
    "Sampling",
]
