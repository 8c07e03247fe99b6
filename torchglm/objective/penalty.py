"""Penalties: what is added to the score of each row so that estimates lose their first-order bias, and stay finite.

Both add phi h_i a(eta_i) x_i to the score sum_i w_i (y_i - mu_i) d_i / V_i x_i, at phi = 1 as all sums here, with
leverages h_i, d = d mu / d eta and W = d^2 / V:

    firth      a = d' / 2d           takes off the first-order bias of the coefficients
    jeffreys   a = W' / 2W           the gradient of 1/2 log det (X'WX / phi), Jeffreys' prior

phi drops out of the leverages and stays in front: the score is that of the likelihood times phi, the addition is free
of it. Estimating phi adds nothing, for it is orthogonal to the coefficients (Cordeiro & McCullagh 1991, section 4).
For a canonical link V' = d' / d, so that W' / W = d' / d and the two are one.

A frequency weight w adds w copies of leverage h_i / w, a precision weight one row of leverage h_i: the same sum.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.families.family import Family
from torchglm.families.mean import MeanModel
from torchglm.numerics.registry import Registry

PENALTIES: Registry[Penalty] = Registry("penalty")


class Penalty(ABC):
    """An adjustment of the score, row by row, in proportion to the leverage.

    To be registered: `class Mine(Penalty, name="mine")`.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        if name is not None:
            cls.name = name
            PENALTIES.add(name, cls)

    @abstractmethod
    def pull(self, family: Family, eta: Tensor, weight: Tensor) -> Tensor:
        """a(eta) (rows,), where `weight` is W(eta), exact even where V rounds to zero."""

    @abstractmethod
    def is_likelihood(self, family: Family) -> bool:
        """Whether the adjusted score is the gradient of a penalised log-likelihood, for a given phi."""

    @abstractmethod
    def note(self, family: Family) -> str:
        """As the summary names it."""


@dataclass(frozen=True)
class Firth(Penalty, name="firth"):
    """The mean bias-reducing adjusted score.

    Source: Firth (1993); Kosmidis & Firth (2009), equation 11. brglm2's type = "AS_mean".
    """

    def pull(self, family: Family, eta: Tensor, weight: Tensor) -> Tensor:
        return 0.5 * _per_slope(family, eta, family.link.second_derivative(eta))

    def is_likelihood(self, family: Family) -> bool:
        return MeanModel(family).is_canonical

    def note(self, family: Family) -> str:
        same = "; here Jeffreys' prior" if self.is_likelihood(family) else ""
        return f"Firth: mean bias-reducing adjusted score{same}"


@dataclass(frozen=True)
class Jeffreys(Penalty, name="jeffreys"):
    """The log-likelihood plus half the log determinant of the expected information.

    Source: Firth (1993), Heinze & Schemper (2002), Kosmidis & Firth (2021). brglm2's type = "MPL_Jeffreys".
    """

    def pull(self, family: Family, eta: Tensor, weight: Tensor) -> Tensor:
        # W' / W = 2 d' / d - V' d / V, and d / V = W / d: there V = mu (1 - mu) would be 0 at a mean that rounds to 1
        bend = family.variance_derivative(family.link.inverse(eta)) * weight
        return _per_slope(family, eta, family.link.second_derivative(eta) - 0.5 * bend)

    def is_likelihood(self, family: Family) -> bool:
        return True

    def note(self, family: Family) -> str:
        return "Jeffreys: log-likelihood + 1/2 log det of the information"


def _per_slope(family: Family, eta: Tensor, value: Tensor) -> Tensor:
    """value / d (rows,), d = d mu / d eta; 0 where d has underflowed: such a row has no leverage."""
    slope = family.link.derivative(eta)
    return torch.where(slope != 0.0, value / slope, 0.0)
