"""A family whose dispersion phi has a linear predictor too, on the log scale: a double generalized linear model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.exponential import Gamma, Gaussian, InverseGaussian
from torchglm.families.family import Family
from torchglm.families.fused import INF
from torchglm.families.likelihood import Information, Likelihood, RowTerms
from torchglm.families.mean import MeanModel
from torchglm.families.predictor_rows import curvature_of, gradient_of
from torchglm.numerics.gamma import digamma_excess, trigamma_excess
from torchglm.numerics.special import HALF_LOG_2PI, poisson_peak


class Normaliser(NamedTuple):
    """What nll has beside deviance / (2 phi), as functions of y and s = log phi, and the expected bend of nll in s.

    cdf  P(Y <= y), of y, mu and phi
    """

    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    bend: Callable[[Tensor], Tensor]
    expected: Callable[[Tensor], Tensor]
    cdf: Callable[[Tensor, Tensor, Tensor], Tensor]


def _half(s: Tensor) -> Tensor:
    return torch.full_like(s, 0.5)


def _gaussian_cdf(y: Tensor, mu: Tensor, phi: Tensor) -> Tensor:
    return torch.special.ndtr((y - mu) / phi.sqrt())


def _gamma_cdf(y: Tensor, mu: Tensor, phi: Tensor) -> Tensor:
    return torch.special.gammainc(1.0 / phi, y / (phi * mu))


def _inverse_gaussian_cdf(y: Tensor, mu: Tensor, phi: Tensor) -> Tensor:
    # The second term is exp(2 / (phi mu)) Phi(...), and exp(710) overflows.
    root = (phi * y).rsqrt()
    upper = torch.exp(2.0 / (phi * mu) + torch.special.log_ndtr(-root * (y / mu + 1.0)))
    return torch.special.ndtr(root * (y / mu - 1.0)) + upper


def _gamma_bend(s: Tensor) -> Tensor:
    shape = torch.exp(-s)
    return digamma_excess(shape) + trigamma_excess(shape)


NORMALISERS: dict[type[Family], Normaliser] = {
    Gaussian: Normaliser(lambda y, s: HALF_LOG_2PI + 0.5 * s, _half, torch.zeros_like, _half, _gaussian_cdf),
    InverseGaussian: Normaliser(
        lambda y, s: HALF_LOG_2PI + 0.5 * s + 1.5 * torch.log(y),
        _half,
        torch.zeros_like,
        _half,
        _inverse_gaussian_cdf,
    ),
    Gamma: Normaliser(
        lambda y, s: s + torch.log(y) - poisson_peak(torch.exp(-s)),
        lambda s: -digamma_excess(torch.exp(-s)),
        _gamma_bend,
        lambda s: trigamma_excess(torch.exp(-s)),
        _gamma_cdf,
    ),
}


@dataclass(frozen=True)
class MeanDispersion(Likelihood):
    """The density of a gaussian, gamma or inverse gaussian response, by eta and log phi.

    Source: Smyth (1989), by maximum likelihood in both parts.
    """

    predictors: ClassVar[tuple[str, ...]] = ("mean", "log_phi")

    family: Family

    def __post_init__(self) -> None:
        if type(self.family) not in NORMALISERS:
            known = ", ".join(cls.name for cls in NORMALISERS)
            raise OptionError(f"A predictor of the dispersion needs one of the families {known}; got {self.family!r}.")

    @property
    def support(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of the family."""
        return self.family.support

    @property
    def is_convex(self) -> bool:
        return True

    @cached_property
    def _mean_model(self) -> MeanModel:
        return MeanModel(self.family)

    @property
    def _normaliser(self) -> Normaliser:
        return NORMALISERS[type(self.family)]

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        inside = self._mean_model.nll(y, z[:, :1]) < INF
        return self._value(y, z, inside, torch.exp(-z[:, 1]))[0]

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        s = z[:, 1]
        precision = torch.exp(-s)
        flat, by_eta = self._mean_model.slope(y, z[:, :1])
        nll, scaled = self._value(y, z, flat < INF, precision)
        return nll, gradient_of([by_eta[:, 0] * precision, self._normaliser.slope(s) - scaled])

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        s = z[:, 1]
        precision = torch.exp(-s)
        rows = self._mean_model.expand(y, z[:, :1], information=information)
        nll, scaled = self._value(y, z, rows.nll < INF, precision)
        by_eta = rows.gradient[:, 0] * precision
        if information == "expected":
            cross, ss = torch.zeros_like(s), self._normaliser.expected(s)
        else:
            cross, ss = -by_eta, self._normaliser.bend(s) + scaled
        gradient = gradient_of([by_eta, self._normaliser.slope(s) - scaled])
        pairs = {(0, 0): rows.curvature[:, 0, 0] * precision, (0, 1): cross, (1, 1): ss}
        return RowTerms(nll, gradient, curvature_of(pairs, 2))

    def _value(self, y: Tensor, z: Tensor, inside: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
        """nll, and the part of it that is divided by phi."""
        scaled = 0.5 * precision * self._mean_model.deviance(y, z[:, :1])
        return torch.where(inside, scaled + self._normaliser.value(y, z[:, 1]), INF), scaled

    def mean(self, z: Tensor) -> Tensor:
        return self._mean_model.mean(z)

    def variance(self, z: Tensor) -> Tensor:
        return torch.exp(z[:, 1]) * self.family.variance(self.mean(z))

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        return self._normaliser.cdf(y, self.mean(z), torch.exp(z[:, 1]))

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        return {"mean": self.mean(z), "dispersion": torch.exp(z[:, 1]), "variance": self.variance(z)}

    def check_response(self, y: Tensor) -> Tensor:
        return self.family.check_response(y)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        mean = torch.dot(w, y) / w.sum()
        phi = torch.dot(w, (y - mean) ** 2) / w.sum() / self.family.variance(mean)
        return torch.stack([self.family.link.link(mean), torch.log(torch.where(phi > 0.0, phi, 1.0))])

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One response a row."""
        return self.family.sample(self.mean(z), torch.exp(z[:, 1]), generator)
