"""Responses between 0 and 1 by the beta distribution, its mean and its precision each with a predictor.

With a = mu phi, b = (1 - mu) phi, nll is a Kullback-Leibler divergence times phi and what Stirling's main terms leave
of three log gammas, so that nothing cancels where phi is large:

    nll = kl(a, phi y) + kl(b, phi (1 - y)) + peak(phi) - peak(a) - peak(b) - log(mu (1 - mu) phi) + log(y (1 - y))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from torchglm.families.likelihood import Information, Likelihood, RowTerms
from torchglm.families.link import Tails, UnitLink
from torchglm.families.predictor_rows import curvature_of, gradient_of
from torchglm.families.resolved import Resolved, resolve_unit_link
from torchglm.numerics.gamma import digamma_excess, trigamma_excess
from torchglm.numerics.special import betainc, kl_div, poisson_peak, standard_gamma


class _Shapes(NamedTuple):
    phi: Tensor
    a: Tensor
    b: Tensor


@dataclass(frozen=True)
class Beta(Likelihood):
    """The beta density of a proportion, by the link of its mean and log phi: Var(y) = mu (1 - mu) / (1 + phi).

    Source: Ferrari & Cribari-Neto (2004); R's betareg with link.phi = "log".
    """

    predictors: ClassVar[tuple[str, ...]] = ("mean", "log_precision")
    support: ClassVar[str] = "above 0 and below 1"

    link: Resolved[UnitLink] = Resolved("logit", resolve_unit_link)

    @property
    def is_convex(self) -> bool:
        return True

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        log_mu, log_nu = self.link.log_inverse(z[:, 0]), self.link.log_complement(z[:, 0])
        shapes = _shapes(log_mu, log_nu, z[:, 1])
        return _divergence(y, shapes) + _normaliser(y, shapes) - (log_mu + log_nu + z[:, 1])

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        tails = self.link.tails(z[:, 0])
        nll, by_eta, by_s = _first(y, z[:, 1], tails, _shapes(tails.log_mu, tails.log_nu, z[:, 1]))
        return nll, gradient_of([by_eta, by_s])

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        tails = self.link.tails(z[:, 0])
        shapes = _shapes(tails.log_mu, tails.log_nu, z[:, 1])
        nll, by_eta, by_s = _first(y, z[:, 1], tails, shapes)
        in_phi, in_a, in_b = (trigamma_excess(shape) for shape in shapes)
        pull, push = tails.slope_mu, tails.slope_nu
        ee = pull * pull * (shapes.a + in_a) + push * push * (shapes.b + in_b)
        es, ss = pull * in_a - push * in_b, in_a + in_b - in_phi
        if information == "observed":
            bends = self.link.bends(z[:, 0], tails)
            # mu'' / mu', from the side whose slope does not vanish.
            lower = tails.log_mu < tails.log_nu
            safe_mu, safe_nu = torch.where(lower, pull, 1.0), torch.where(lower, 1.0, push)
            bent = torch.where(lower, pull - bends.mu / safe_mu, bends.nu / safe_nu - push)
            ee, es, ss = ee + by_eta * bent, es + by_eta, ss + by_s
        return RowTerms(nll, gradient_of([by_eta, by_s]), curvature_of({(0, 0): ee, (0, 1): es, (1, 1): ss}, 2))

    def mean(self, z: Tensor) -> Tensor:
        return self.link.inverse(z[:, 0])

    def variance(self, z: Tensor) -> Tensor:
        return self.mean(z) * self.link.complement(z[:, 0]) / (1.0 + torch.exp(z[:, 1]))

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        shapes = _shapes(self.link.log_inverse(z[:, 0]), self.link.log_complement(z[:, 0]), z[:, 1])
        return betainc(shapes.a, shapes.b, y)

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        return {"mean": self.mean(z), "precision": torch.exp(z[:, 1]), "variance": self.variance(z)}

    def check_response(self, y: Tensor) -> Tensor:
        return (y > 0.0) & (y < 1.0)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        mean = torch.dot(w, y) / w.sum()
        variance = torch.dot(w, (y - mean) ** 2) / w.sum()
        phi = (mean * (1.0 - mean) / variance - 1.0).clamp(1e-2, 1e6)  # no rows vary: the precision is infinite
        return torch.stack([self.link.link(mean), torch.log(phi)])

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One response a row."""
        shapes = _shapes(self.link.log_inverse(z[:, 0]), self.link.log_complement(z[:, 0]), z[:, 1])
        upper, lower = standard_gamma(shapes.a, generator), standard_gamma(shapes.b, generator)
        return upper / (upper + lower)


def _shapes(log_mu: Tensor, log_nu: Tensor, s: Tensor) -> _Shapes:
    return _Shapes(torch.exp(s), torch.exp(log_mu + s), torch.exp(log_nu + s))


def _divergence(y: Tensor, shapes: _Shapes) -> Tensor:
    """phi times the Kullback-Leibler divergence of y from mu."""
    return kl_div(shapes.a, shapes.phi * y) + kl_div(shapes.b, shapes.phi * (1.0 - y))


def _normaliser(y: Tensor, shapes: _Shapes) -> Tensor:
    phi, a, b = shapes
    return poisson_peak(phi) - poisson_peak(a) - poisson_peak(b) + torch.log(y) + torch.log1p(-y)


def _first(y: Tensor, s: Tensor, tails: Tails, shapes: _Shapes) -> tuple[Tensor, Tensor, Tensor]:
    """nll and its two slopes."""
    divergence = _divergence(y, shapes)
    nll = divergence + _normaliser(y, shapes) - (tails.log_mu + tails.log_nu + s)
    in_phi, in_a, in_b = (digamma_excess(shape) for shape in shapes)
    distance = tails.log_mu - tails.log_nu - torch.logit(y)
    by_eta = shapes.a * tails.slope_mu * distance + tails.slope_mu * in_a - tails.slope_nu * in_b
    return nll, by_eta, divergence + in_a + in_b - in_phi
