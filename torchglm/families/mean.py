"""The likelihood of a generalized linear model: one linear predictor, which is the link of the mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families import fused_binomial as _fused_binomial  # noqa: F401  (registers its pairs)
from torchglm.families.family import Family
from torchglm.families.fused import (
    INF,
    DevianceFunction,
    Order,
    RowFunction,
    Rows,
    RowStep,
    fused,
    fused_deviance,
    fused_step,
)
from torchglm.families.likelihood import Information, Likelihood, RowTerms

ORDERS = {"expected": Order.EXPECTED, "observed": Order.OBSERVED}


@dataclass(frozen=True)
class MeanModel(Likelihood):
    """A family and its link, as a row likelihood with q = 1."""

    predictors: ClassVar[tuple[str, ...]] = ("mean",)

    family: Family

    @property
    def has_dispersion(self) -> bool:
        return self.family.has_dispersion

    @property
    def is_canonical(self) -> bool:
        return type(self.family.link) is self.family.kernel.canonical_link

    @property
    def is_convex(self) -> bool:
        return True

    @cached_property
    def is_convex_everywhere(self) -> bool:
        sides = torch.tensor([-1.0, 1.0], dtype=torch.float64)  # of zero: eta = 1 / mu has a mean on one of them only
        return self.is_canonical and bool(self.family.mean_domain.contains(self.family.link.inverse(sides)).all())

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        return self._rows(self.family.kernel, y, z.select(1, 0), Order.VALUE).nll

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        nll, gradient, _ = self._rows(self.family.kernel, y, z.select(1, 0), Order.SLOPE)
        assert gradient is not None
        return nll, gradient.unsqueeze(1)

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        if information not in ORDERS:
            raise OptionError(f"information is 'expected' or 'observed'; got {information!r}.")
        nll, gradient, curvature = self._rows(self.family.kernel, y, z.select(1, 0), ORDERS[information])
        assert gradient is not None
        assert curvature is not None
        return RowTerms(nll, gradient.unsqueeze(1), curvature.view(-1, 1, 1))

    def step(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        if self._step is None:
            return super().step(y, z)
        gradient, curvature = self._step(y, z.select(1, 0))
        return gradient.unsqueeze(1), curvature.view(-1, 1, 1)

    def mean(self, z: Tensor) -> Tensor:
        return self.family.link.inverse(z.select(1, 0))

    def deviance(self, y: Tensor, z: Tensor) -> Tensor:
        """The unit deviance of each row, exact even where the mean rounds to an end of its domain.

        Scale: phi = 1, w = 1.
        """
        return self._deviance(self.family.kernel, y, z.select(1, 0))

    @cached_property
    def _rows(self) -> RowFunction:
        return fused.find(self.family.kernel) or chain

    @cached_property
    def _step(self) -> RowStep | None:
        return fused_step.find(self.family.kernel)

    @cached_property
    def _deviance(self) -> DevianceFunction:
        return fused_deviance.find(self.family.kernel) or chain_deviance


def chain_deviance(family: Family, y: Tensor, eta: Tensor) -> Tensor:
    """The unit deviance of each row, of any pair, through mu."""
    return family.unit_deviance(y, family.link.inverse(eta))


def chain(family: Family, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """Row terms of any pair, by the chain rule through mu."""
    mu = family.link.inverse(eta)
    inside = family.mean_domain.contains(mu) & family.link.eta_domain.contains(eta)
    nll = torch.where(inside, family.nll(y, mu), INF)
    if order == Order.VALUE:
        return Rows(nll)
    step = family.link.derivative(eta)
    variance = family.variance(mu)
    slope = step / variance
    rest = mu - y
    if order == Order.SLOPE:
        return Rows(nll, rest * slope)
    expected = step * slope
    if order == Order.EXPECTED:
        return Rows(nll, rest * slope, expected)
    bend = family.link.second_derivative(eta) / variance - family.variance_derivative(mu) * slope * slope
    return Rows(nll, rest * slope, expected + rest * bend)
