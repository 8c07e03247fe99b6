"""The dispersion phi: Pearson's, the deviance's, the maximum-likelihood one, or a number."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from torchglm.design.weights import Frequency
from torchglm.errors import OptionError
from torchglm.families.family import Family
from torchglm.inference.estimate import Estimate


class DispersionKind(ABC):
    """A way to phi."""

    estimated: ClassVar[bool] = True  # then tests refer to t

    @abstractmethod
    def value(self, estimate: Estimate) -> float:
        """phi; NaN with no degrees of freedom left."""

    @property
    @abstractmethod
    def note(self) -> str:
        """As the summary names it."""


@dataclass(frozen=True)
class Fixed(DispersionKind):
    """A number."""

    estimated: ClassVar[bool] = False
    phi: float = 1.0

    def value(self, estimate: Estimate) -> float:
        return self.phi

    @property
    def note(self) -> str:
        return f"fixed at {self.phi:g}"


@dataclass(frozen=True)
class Pearson(DispersionKind):
    """X2 / df, as R's summary.glm."""

    def value(self, estimate: Estimate) -> float:
        df = estimate.df_resid
        return estimate.pearson / df if df > 0 else math.nan

    @property
    def note(self) -> str:
        return "Pearson chi2 / df"


@dataclass(frozen=True)
class Deviance(DispersionKind):
    """D / df."""

    def value(self, estimate: Estimate) -> float:
        df = estimate.df_resid
        return estimate.totals.deviance / df if df > 0 else math.nan

    @property
    def note(self) -> str:
        return "deviance / df"


@dataclass(frozen=True)
class MaximumLikelihood(DispersionKind):
    """The phi of highest likelihood at theta."""

    def value(self, estimate: Estimate) -> float:
        weights = estimate.prepared.weights
        design = estimate.objective.design
        w = torch.ones(design.n, dtype=torch.float64) if weights is None else weights.values.cpu()
        if weights is not None and design.shares is not None:
            w = torch.cat(design.everywhere([w]))
        ones = torch.ones_like(w)
        precision, repeats = (ones, w) if isinstance(weights, Frequency) else (w, ones)
        return estimate.family.ml_dispersion(estimate.totals.deviance, precision, repeats)

    @property
    def note(self) -> str:
        return "maximum likelihood"


NAMED: dict[str, type[DispersionKind]] = {"pearson": Pearson, "deviance": Deviance, "ml": MaximumLikelihood}


def resolve_dispersion(given: object, family: Family) -> DispersionKind:
    """The kind that dispersion= asks for; None: Pearson's where the family has a dispersion, else 1.

    Raises: OptionError.
    """
    if given is None:
        return Pearson() if family.has_dispersion else Fixed(1.0)
    if isinstance(given, str) and given in NAMED:
        if given == "ml" and not family.counts_dispersion:
            raise OptionError(
                f'dispersion="ml" needs a likelihood with a dispersion; the {family.name} family has none.'
            )
        return NAMED[given]()
    if isinstance(given, (int, float)) and not isinstance(given, bool) and given > 0 and math.isfinite(given):
        return Fixed(float(given))
    raise OptionError(f'dispersion= is "pearson", "deviance", "ml" or a positive number; got {given!r}.')
