"""Closed row terms of one family and link: stable where the chain rule through mu is not, and fast.

Blocks are a few thousand rows, so each torch call costs as much to start as to run: few calls, and in place on
temporaries of one's own. A row function gets the linear predictor eta (rows,) and the order of derivative wanted.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from torchglm.families.exponential import Gamma, Gaussian, InverseGaussian, Poisson
from torchglm.families.family import Family
from torchglm.families.link import Link
from torchglm.families.links import Identity, Inverse, InverseSquared, Log
from torchglm.families.negative_binomial import NegativeBinomial
from torchglm.families.tweedie import Tweedie
from torchglm.numerics.special import softplus

INF = float("inf")


class Order(IntEnum):
    """How much of the row terms is wanted; a curvature comes with the gradient."""

    VALUE = 0
    SLOPE = 1
    EXPECTED = 2
    OBSERVED = 3


class Rows(NamedTuple):
    """nll, and as far as the order asks for them gradient and curvature.

    Shapes: (rows,) each.
    """

    nll: Tensor
    gradient: Tensor | None = None
    curvature: Tensor | None = None


RowFunction = Callable[[Any, Tensor, Tensor, Order], Rows]
RowStep = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (y, eta) -> gradient, curvature
DevianceFunction = Callable[[Any, Tensor, Tensor], Tensor]
F = TypeVar("F")


class Pairs(Generic[F]):
    """Functions by family and link.

    An abstract link class, such as UnitLink, stands for all of its subclasses that have no function of their own.
    """

    def __init__(self) -> None:
        self._functions: dict[tuple[type[Family], type[Link]], F] = {}

    def __call__(self, family: type[Family], link: type[Link]) -> Callable[[F], F]:
        """A decorator: the function that it marks serves this pair."""

        def register(function: F) -> F:
            self._functions[family, link] = function
            return function

        return register

    def find(self, family: Family) -> F | None:
        """The function of the family and its link, or None."""
        # A concrete parent does not count: its subclass may have changed what the closed form has built in.
        link = type(family.link)
        parents = (cls for cls in link.__mro__[1:] if inspect.isabstract(cls))
        keys = ((type(family), cls) for cls in (link, *parents))
        return next((self._functions[key] for key in keys if key in self._functions), None)


fused: Pairs[RowFunction] = Pairs()
fused_step: Pairs[RowStep] = Pairs()  # gradient and expected curvature alone, where nll costs as much as both
fused_deviance: Pairs[DevianceFunction] = Pairs()


@fused(Gaussian, Identity)
def gaussian_identity(family: Gaussian, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """Half the squared residual."""
    rest = eta - y
    nll = (rest * rest).mul_(0.5)
    if order == Order.VALUE:
        return Rows(nll)
    return Rows(nll, rest, torch.ones_like(eta) if order > Order.SLOPE else None)


@fused(Gaussian, Log)
def gaussian_log(family: Gaussian, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """Half the squared residual of exp(eta)."""
    mu = torch.exp(eta)
    rest = mu - y
    nll = (rest * rest).mul_(0.5)
    if order == Order.VALUE:
        return Rows(nll)
    gradient = rest * mu
    if order == Order.SLOPE:
        return Rows(nll, gradient)
    return Rows(nll, gradient, torch.addcmul(gradient, mu, mu) if order == Order.OBSERVED else mu * mu)


@fused(Poisson, Log)
def poisson_log(family: Poisson, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """exp(eta) - y eta."""
    mu = torch.exp(eta)
    nll = torch.addcmul(mu, y, eta, value=-1.0)
    if order == Order.VALUE:
        return Rows(nll)
    return Rows(nll, mu - y, mu if order > Order.SLOPE else None)


@fused_step(Poisson, Log)
def poisson_log_step(y: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
    """mu - y and mu."""
    mu = torch.exp(eta)
    return mu - y, mu


@fused(Gamma, Log)
def gamma_log(family: Gamma, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """y exp(-eta) + eta."""
    ratio = torch.exp(-eta) * y
    nll = ratio + eta
    if order == Order.VALUE:
        return Rows(nll)
    gradient = 1.0 - ratio
    if order == Order.SLOPE:
        return Rows(nll, gradient)
    return Rows(nll, gradient, ratio if order == Order.OBSERVED else torch.ones_like(eta))


@fused(Gamma, Inverse)
def gamma_inverse(family: Gamma, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """y eta - log(eta); the mean is positive."""
    nll = torch.where(eta > 0.0, torch.addcmul(-torch.log(eta), y, eta), INF)
    if order == Order.VALUE:
        return Rows(nll)
    mu = torch.reciprocal(eta)
    return Rows(nll, y - mu, mu * mu if order > Order.SLOPE else None)


@fused(InverseGaussian, Log)
def inverse_gaussian_log(family: InverseGaussian, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """y exp(-2 eta) / 2 - exp(-eta)."""
    inverse = torch.exp(-eta)
    ratio = inverse * y
    nll = (0.5 * ratio - 1.0) * inverse
    if order == Order.VALUE:
        return Rows(nll)
    gradient = (1.0 - ratio) * inverse
    if order == Order.SLOPE:
        return Rows(nll, gradient)
    return Rows(nll, gradient, (2.0 * ratio - 1.0) * inverse if order == Order.OBSERVED else inverse)


@fused(InverseGaussian, InverseSquared)
def inverse_gaussian_inverse_squared(family: InverseGaussian, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """y eta / 2 - sqrt(eta)."""
    root = torch.sqrt(eta)
    nll = torch.where(eta > 0.0, torch.addcmul(-root, y, eta, value=0.5), INF)
    if order == Order.VALUE:
        return Rows(nll)
    half_mu = 0.5 / root
    gradient = torch.add(-half_mu, y, alpha=0.5)
    return Rows(nll, gradient, half_mu.div_(eta).mul_(0.5) if order > Order.SLOPE else None)


@fused(NegativeBinomial, Log)
def negative_binomial_log(family: NegativeBinomial, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """theta softplus(t) + y softplus(-t), with t = eta - log(theta)."""
    # A logistic regression of y successes and theta failures:
    # (y + theta) log(1 + mu / theta) - y eta, the textbook form, cancels for large y.
    theta = family.theta
    t = eta - math.log(theta)
    if order == Order.VALUE:
        return Rows(torch.addcmul(softplus(t) * theta, y, softplus(-t)))
    # The same in half the time, without a derivative at t = 0 for autograd.
    tail = torch.log1p(t.abs().neg_().exp_())
    nll = torch.addcmul((tail + t.clamp(min=0.0)).mul_(theta), y, (-t).clamp_(min=0.0).add_(tail))
    down = torch.sigmoid(-t)
    push = torch.sigmoid(t).mul_(theta)
    gradient = torch.addcmul(push, y, down, value=-1.0)
    if order == Order.SLOPE:
        return Rows(nll, gradient)
    return Rows(nll, gradient, (y / theta + 1.0).mul_(push).mul_(down) if order == Order.OBSERVED else push)


@fused(Tweedie, Log)
def tweedie_log(family: Tweedie, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """y exp((1 - p) eta) / (p - 1) + exp((2 - p) eta) / (2 - p)."""
    a, b = family.power - 1.0, 2.0 - family.power
    pull = torch.exp(eta * -a).mul(y)
    push = torch.exp(eta * b)
    nll = pull / a + push / b
    if order == Order.VALUE:
        return Rows(nll)
    gradient = push - pull
    if order == Order.SLOPE:
        return Rows(nll, gradient)
    return Rows(nll, gradient, push * b + pull * a if order == Order.OBSERVED else push)
