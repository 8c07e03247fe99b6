"""Covariances of the coefficients, by name. Bread is the inverse expected information, as in R's sandwich.

model      phi A                                 A = (X' W X)^-1
HC0        A (sum_i s_i s_i') A                  s_i = w_i g_i x_i, the score of a row
HC1        HC0 n / (n - rank)
sampling   HC0 n / (n - 1)                       survey::svyglm, each row its own sampling unit
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.weights import Frequency, Probability, Weights
from torchglm.errors import OptionError
from torchglm.families.likelihood import Information
from torchglm.inference.estimate import Estimate
from torchglm.numerics.registry import Registry
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import assemble

COVARIANCES: Registry[CovarianceKind] = Registry("covariance")


class CovarianceKind(ABC):
    """A way to the covariance of the coefficients."""

    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        if name is not None:
            cls.name = name
            COVARIANCES.add(name, cls)

    @abstractmethod
    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        """(p, p) in the formula's order, NaN where aliased."""

    def variances(self, estimate: Estimate, phi: float) -> Tensor:
        """(p,) its diagonal."""
        return self.matrix(estimate, phi).diagonal()

    @property
    @abstractmethod
    def note(self) -> str:
        """As the summary names it."""


@dataclass(frozen=True)
class Model(CovarianceKind, name="model"):
    """phi times the inverse information, `expected` or `observed`."""

    information: Information = "expected"

    def __post_init__(self) -> None:
        if self.information not in ("expected", "observed"):
            raise OptionError(f'information= is "expected" or "observed"; got {self.information!r}.')

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        if self.information == "expected":
            return phi * estimate.unscaled_covariance
        point = estimate.objective.quadratic(estimate.solution.theta, information="observed")
        inverse = estimate.layout.covariance_to_user(point.curvature.inverse()).cpu()
        inverse[estimate.aliased, :] = math.nan
        inverse[:, estimate.aliased] = math.nan
        return phi * inverse

    def variances(self, estimate: Estimate, phi: float) -> Tensor:
        if self.information == "expected":
            return phi * estimate.unscaled_variances
        return self.matrix(estimate, phi).diagonal()

    @property
    def note(self) -> str:
        return f"model-based, {self.information} information"


def sandwich(estimate: Estimate) -> Tensor:
    """A (sum_i s_i s_i') A: one pass beside the bread. A frequency weight counts its row that often."""
    estimate.refuse_changed_data()
    objective, theta = estimate.objective, estimate.solution.theta
    raw = objective.raw(theta)
    frequency = isinstance(estimate.prepared.weights, Frequency)

    def row_sums(block: Block) -> Sums:
        _, gradient = objective.likelihood.slope(block.y, objective.predictors(block, raw))
        squared = gradient[:, 0].square()
        if block.weight is not None:
            squared *= block.weight if frequency else block.weight.square()
        return Sums(block.columns[0].gram(squared, block.scratch[0]))

    meat = assemble(estimate.layout.columns[0], objective.design.sum(row_sums))
    meat = estimate.layout.meat_to_user(meat).cpu()
    bread = estimate.unscaled_covariance.nan_to_num(nan=0.0)
    out = bread @ meat @ bread
    out[estimate.aliased, :] = math.nan
    out[:, estimate.aliased] = math.nan
    return out


def inflation(n: float, df: float) -> float:
    """n / df; NaN with no degrees of freedom left."""
    return n / df if df > 0 else math.nan


@dataclass(frozen=True)
class HC0(CovarianceKind, name="HC0"):
    """White's sandwich, as sandwich::vcovHC(type = "HC0")."""

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return sandwich(estimate)

    @property
    def note(self) -> str:
        return "HC0 sandwich, bread of the expected information"


@dataclass(frozen=True)
class HC1(CovarianceKind, name="HC1"):
    """White's sandwich times n / (n - rank), as sandwich::vcovHC(type = "HC1")."""

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return sandwich(estimate) * inflation(estimate.n, estimate.df_resid)

    @property
    def note(self) -> str:
        return "HC1 sandwich, n / (n - rank), bread of the expected information"


@dataclass(frozen=True)
class Sampling(CovarianceKind, name="sampling"):
    """The sandwich of independently sampled rows, as survey::svyglm with ids = ~1."""

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return sandwich(estimate) * inflation(estimate.n, estimate.n - 1.0)

    @property
    def note(self) -> str:
        return "sampling-weight sandwich, n / (n - 1), bread of the expected information"


def resolve_covariance(given: object, weights: Weights | None) -> CovarianceKind:
    """The kind that a name, class or instance stands for; "model" of sampling weights is their sandwich.

    Raises: UnknownNameError, OptionError.
    """
    if given == "model" and isinstance(weights, Probability):
        return Sampling()
    return COVARIANCES.resolve(given, CovarianceKind)
