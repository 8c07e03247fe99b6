"""Closed row terms of the binomial pairs, from log mu and log(1 - mu) of the link."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from torchglm.families.exponential import Binomial
from torchglm.families.fused import INF, Order, Rows, fused, fused_deviance, fused_step
from torchglm.families.link import Bends, Tails, UnitLink
from torchglm.families.links import Log, Logit
from torchglm.numerics.special import blend, kl_div, log1mexp, softplus


@fused(Binomial, Logit)
def binomial_logit(family: Binomial, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """log(1 + exp(eta)) - y eta."""
    if order == Order.VALUE:
        return Rows(torch.lerp(softplus(eta), softplus(-eta), y))
    # The same in half the time, without a second derivative at 0 for autograd. max(eta, 0) - y eta is exact for y = 0
    # and 1, so that the nll e^-700 of a success at eta = 700 survives.
    nll = torch.log1p(eta.abs().neg_().exp_()).add_(torch.addcmul(eta.clamp(min=0.0), y, eta, value=-1.0))
    mu, nu = torch.sigmoid(eta), torch.sigmoid(-eta)
    curvature = mu * nu if order > Order.SLOPE else None
    return Rows(nll, torch.lerp(mu, nu.neg_(), y), curvature)


@fused_step(Binomial, Logit)
def binomial_logit_step(y: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
    """mu - y and mu (1 - mu), good to the rounding of one."""
    mu = torch.sigmoid(eta)
    return mu - y, torch.addcmul(mu, mu, mu, value=-1.0)


@fused(Binomial, UnitLink)
def binomial_unit(family: Binomial, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """-(1 - y) log(1 - mu) - y log(mu), by the logs of the link."""
    link = cast(UnitLink, family.link)
    if order == Order.VALUE:
        return Rows(-blend(y, link.log_complement(eta), link.log_inverse(eta)))
    tails = link.tails(eta)
    return _rows(y, tails, link.bends(eta, tails) if order == Order.OBSERVED else None, order)


@fused(Binomial, Log)
def binomial_log(family: Binomial, y: Tensor, eta: Tensor, order: Order) -> Rows:
    """-(1 - y) log(1 - exp(eta)) - y eta, for eta < 0."""
    inside = eta < 0.0
    distance = torch.where(inside, -eta, 1.0)
    odds = 1.0 / torch.expm1(distance)
    tails = Tails(eta, log1mexp(distance), torch.ones_like(eta), odds)
    bends = Bends(torch.zeros_like(eta), odds * (1.0 + odds)) if order == Order.OBSERVED else None
    rows = _rows(y, tails, bends, order)
    return rows._replace(nll=torch.where(inside, rows.nll, INF))


def _rows(y: Tensor, tails: Tails, bends: Bends | None, order: Order) -> Rows:
    nll = -blend(y, tails.log_nu, tails.log_mu)
    if order == Order.VALUE:
        return Rows(nll)
    gradient = blend(y, tails.slope_nu, -tails.slope_mu)
    if bends is not None:
        return Rows(nll, gradient, blend(y, bends.nu, bends.mu))
    return Rows(nll, gradient, tails.slope_mu * tails.slope_nu if order == Order.EXPECTED else None)


@fused_deviance(Binomial, UnitLink)
def binomial_deviance(family: Binomial, y: Tensor, eta: Tensor) -> Tensor:
    """The unit deviance of each row, exact where mu rounds to 0 or to 1."""
    link = cast(UnitLink, family.link)
    log_mu, log_nu = link.log_inverse(eta), link.log_complement(eta)
    entropy = torch.xlogy(y, y) + torch.xlogy(1.0 - y, 1.0 - y)
    large = entropy - blend(y, log_nu, log_mu)
    # Near y = mu the two halves of that cancel; kl_div's do not, but exp(log_nu) underflows far from it.
    small = kl_div(y, torch.exp(log_mu)) + kl_div(1.0 - y, torch.exp(log_nu))
    return 2.0 * torch.where(large > 0.1, large, small)
