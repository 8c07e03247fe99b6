"""The covariances, under a short name: `torchglm.covariances.Model("observed")`."""

from __future__ import annotations

from torchglm.inference.covariance import HC0, HC1, CovarianceKind, Model, Sampling

__all__ = ["HC0", "HC1", "CovarianceKind", "Model", "Sampling"]
