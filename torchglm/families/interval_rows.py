"""-log(F(a) - F(b)) for b < a and the distribution F of a link, with its derivatives in both ends.

In the lower tail F(a) - F(b) = F(a) (1 - e^-d), d = log F(a) - log F(b), keeps every digit; in the upper tail the same
of 1 - F, with b and a exchanged. Rows of the lowest class have no b and those of the highest no a: one tail alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchglm.families.fused import INF
from torchglm.families.link import UnitLink
from torchglm.families.unit_links import Logit
from torchglm.numerics.special import log1mexp, softplus


class Ends(NamedTuple):
    """The ends of each row's interval; where one is infinite, it holds the other, for no branch may meet infinity.

    Shapes: (rows,).
    """

    a: Tensor
    b: Tensor
    has_a: Tensor
    has_b: Tensor


class IntervalRows(NamedTuple):
    """nll, and its derivatives in a and in b, an infinite end having none.

    sum = d/da + d/db; with_a and with_b are the derivatives of that sum in a and in b: what a shift of both ends
    needs, without the cancellation of a narrow interval where the link allows it.
    Shapes: (rows,).
    """

    nll: Tensor
    a: Tensor
    b: Tensor
    sum: Tensor
    aa: Tensor
    ab: Tensor
    bb: Tensor
    with_a: Tensor
    with_b: Tensor


def interval_nll(link: UnitLink, ends: Ends) -> Tensor:
    """-log(F(a) - F(b)), +inf where a <= b; autograd can follow it."""
    both = ends.has_a & ends.has_b
    if type(link) is Logit:
        # F(a) - F(b) = F(a) (1 - F(b)) (1 - e^(b - a)).
        whole = torch.where(ends.has_a, softplus(-ends.a), 0.0) + torch.where(ends.has_b, softplus(ends.b), 0.0)
        width = ends.a - ends.b
        return _inside(whole, width, both)
    below_a, below_b = link.log_inverse(ends.a), link.log_inverse(ends.b)
    above_a, above_b = link.log_complement(ends.a), link.log_complement(ends.b)
    low = _in_lower_tail(ends, below_a, above_b)
    whole = -torch.where(low, below_a, above_b)
    return _inside(whole, torch.where(low, below_a - below_b, above_b - above_a), both)


def interval_rows(link: UnitLink, ends: Ends) -> IntervalRows:
    """nll and derivatives to second order."""
    return _logit_rows(ends) if type(link) is Logit else _tail_rows(link, ends)


def _inside(whole: Tensor, width: Tensor, both: Tensor) -> Tensor:
    valid = both & (width > 0.0)
    nll = whole - torch.where(valid, log1mexp(torch.where(valid, width, 1.0)), 0.0)
    return torch.where(both & ~(width > 0.0), INF, nll)


def _in_lower_tail(ends: Ends, below_a: Tensor, above_b: Tensor) -> Tensor:
    return ends.has_a & (~ends.has_b | (below_a < above_b))


def _odds(width: Tensor, both: Tensor) -> Tensor:
    """1 / (e^width - 1) where there are two ends, else 0."""
    valid = both & (width > 0.0)
    return torch.where(valid, 1.0 / torch.expm1(torch.where(valid, width, 1.0)), 0.0)


def _logit_rows(ends: Ends) -> IntervalRows:
    both = ends.has_a & ends.has_b
    width = ends.a - ends.b
    odds = _odds(width, both)
    above_a = torch.where(ends.has_a, torch.sigmoid(-ends.a), 0.0)
    below_b = torch.where(ends.has_b, torch.sigmoid(ends.b), 0.0)
    with_a, with_b = above_a * torch.sigmoid(ends.a), below_b * torch.sigmoid(-ends.b)
    whole = torch.where(ends.has_a, softplus(-ends.a), 0.0) + torch.where(ends.has_b, softplus(ends.b), 0.0)
    cross = odds * (1.0 + odds)
    return IntervalRows(
        _inside(whole, width, both),
        -above_a - odds,
        below_b + odds,
        below_b - above_a,
        with_a + cross,
        -cross,
        with_b + cross,
        with_a,
        with_b,
    )


def _tail_rows(link: UnitLink, ends: Ends) -> IntervalRows:
    both = ends.has_a & ends.has_b
    tails_a, tails_b = link.tails(ends.a), link.tails(ends.b)
    bends_a, bends_b = link.bends(ends.a, tails_a), link.bends(ends.b, tails_b)
    low = _in_lower_tail(ends, tails_a.log_mu, tails_b.log_nu)
    width = torch.where(low, tails_a.log_mu - tails_b.log_mu, tails_b.log_nu - tails_a.log_nu)
    odds = _odds(width, both)
    one_a, one_b = ends.has_a.to(odds.dtype), ends.has_b.to(odds.dtype)
    # The near end carries the tail, 1 + odds, and the far end what is taken off it, odds.
    slope_a, slope_b = (
        torch.where(low, tails_a.slope_mu, tails_a.slope_nu),
        torch.where(low, tails_b.slope_mu, tails_b.slope_nu),
    )
    bend_a, bend_b = torch.where(low, bends_a.mu, bends_a.nu), torch.where(low, bends_b.mu, bends_b.nu)
    near = low.to(odds.dtype)
    share_a, share_b = (odds + near) * one_a, (odds + (1.0 - near)) * one_b
    by_a, by_b = -share_a * slope_a, share_b * slope_b
    cross = by_a * by_b
    # (1 + odds)(bend + odds slope^2) at the near end, odds ((1 + odds) slope^2 - bend) at the far one.
    signed = 2.0 * near - 1.0
    # Slopes reach e^700, so that their squares must not be formed.
    aa = signed * share_a * bend_a - by_a * ((odds + (1.0 - near)) * slope_a)
    bb = by_b * ((odds + near) * slope_b) - signed * share_b * bend_b
    nll = _inside(-torch.where(low, tails_a.log_mu, tails_b.log_nu), width, both)
    return IntervalRows(nll, by_a, by_b, by_a + by_b, aa, cross, bb, aa + cross, bb + cross)
