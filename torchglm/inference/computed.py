"""Numbers computed from the data of an estimate, each when it is first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from torchglm.inference.covariance.kind import CovarianceKind
from torchglm.inference.dispersion import DispersionKind
from torchglm.inference.estimate import Estimate
from torchglm.inference.record import Numbers
from torchglm.inference.totals import Totals
from torchglm.numerics.described import described


@dataclass(frozen=True)
class Computed(Numbers):
    """The numbers of an estimate under a covariance and a dispersion."""

    estimate: Estimate
    covariance_kind: CovarianceKind
    dispersion: DispersionKind

    @property
    def theta(self) -> Tensor:
        """(p,) coefficients, NaN where aliased."""
        return self.estimate.theta

    @property
    def totals(self) -> Totals:
        """Deviance, X2, log-likelihood."""
        return self.estimate.totals

    @property
    def null(self) -> Totals:
        """The null model's."""
        return self.estimate.null

    def settle(self) -> None:
        """Nothing; over several ranks, what a summary shows is computed now: all are here, and one may show it."""
        if self.estimate.objective.design.ranks.world > 1:
            asked = {"covariance": self.covariance_kind, "dispersion": self.dispersion}
            facts = {name: described(kind) for name, kind in asked.items()}
            self.estimate.objective.design.ranks.agree(facts, "computing standard errors")
            _ = self.totals, self.null, self.phi, self.variances

    @cached_property
    def phi(self) -> float:
        """The dispersion."""
        return self.dispersion.value(self.estimate)

    @cached_property
    def variances(self) -> Tensor:
        """(p,) of the coefficients."""
        cheaper = self.covariance_kind.variances(self.estimate, self.phi)
        return self.covariance.diagonal() if cheaper is None else cheaper

    @cached_property
    def covariance(self) -> Tensor:
        """(p, p) of the coefficients."""
        return self.covariance_kind.matrix(self.estimate, self.phi)
