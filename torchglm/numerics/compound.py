"""The density of a Poisson number of gamma variables: the Tweedie distributions of a power p between 1 and 2.

With a = (2 - p) / (p - 1), a response y > 0 is the sum of j gamma variables of shape a. Its density is

    exp(-d / (2 phi)) / y * sum over j >= 1 of exp(-(1 + a) kl(j, k) + peak(j) + peak(a j) + log(a j))

with d the unit deviance, kl(j, k) = j log(j / k) - j + k, k = y^(2 - p) / (phi (2 - p)) the j of the largest term, and
peak as in `special`. The terms are those of Dunn & Smyth (2005), arranged so that nothing cancels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchglm.numerics.special import kl_div, log1p_minus, poisson_peak

NEGLIGIBLE = 45.0  # the log of a share of the sum that is beyond its last digit
SMOOTH = 8.0  # the spread in j from which fewer nodes than all j give the same sum
NODES_PER_SPREAD = 1.7  # then: what a trapezoid leaves out is exp(-2 pi^2 1.7^2), by Poisson's summation formula
FEWEST_TERMS = 20.0  # where k < 1 terms fall as 1 / j! at least
ROUNDABLE = 1e4  # the size up to which terms may cancel: it leaves an error of 1e-12
LARGEST_TABLE = 2_000_000  # nodes held at once


class CompoundSum(NamedTuple):
    """The log of the sum over j, divided by y, and the mean and variance of j under its terms."""

    value: Tensor
    mean: Tensor
    variance: Tensor


def compound_sum(y: Tensor, phi: Tensor, power: float) -> CompoundSum:
    """The part of the density that the mean has no share in, for y > 0 (rows,) and phi (rows,).

    Scale: nats. With s = log phi, its slope in s is -(1 + a) (mean - k), and its bend (1 + a)^2 variance - (1 + a) k.
    """
    a = (2.0 - power) / (power - 1.0)
    k = most_likely_count(y, phi, power)
    low, stride, count = _nodes(k, a)
    tabled = (low == 1.0) & (stride == 1.0) & (count * torch.log(count) < ROUNDABLE / (1.0 + a))
    out = torch.empty(3, len(y), dtype=y.dtype, device=y.device)
    for chosen, summed in ((tabled, _tabled), (~tabled, _summed)):
        rows = torch.nonzero(chosen).flatten()
        rows = rows[torch.argsort(count[rows])]  # rows of like width together
        first = 0
        while first < len(rows):
            stretch = rows[first : first + max(1, LARGEST_TABLE // int(count[rows[-1]]))]
            out[:, stretch] = summed(k[stretch], low[stretch], stride[stretch], int(count[stretch[-1]]), a)
            first += len(stretch)
    return CompoundSum(out[0] - torch.log(y), out[1], out[2])


def compound_value(y: Tensor, phi: Tensor, power: float) -> Tensor:
    """The value alone (rows,), of which autograd knows the slope in phi."""
    return _Value.apply(y, phi, power)  # pyright: ignore[reportReturnType]


class _Value(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, y: Tensor, phi: Tensor, power: float) -> Tensor:  # type: ignore[override]
        found = compound_sum(y, phi, power)
        ctx.save_for_backward((most_likely_count(y, phi, power) - found.mean) / (phi * (power - 1.0)))
        return found.value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:  # type: ignore[override]
        (slope,) = ctx.saved_tensors
        return None, upstream * slope, None


def most_likely_count(y: Tensor, phi: Tensor, power: float) -> Tensor:
    """k: the j of the largest term, a real number."""
    return y ** (2.0 - power) / (phi * (2.0 - power))


def _nodes(k: Tensor, a: float) -> tuple[Tensor, Tensor, Tensor]:
    """Where each row's terms begin, how far apart they are taken, and how many reach the negligible ones."""
    # kl(k + t, k) >= t^2 / (2 (k + t / 3)) and kl(k - t, k) >= t^2 / (2 k): solved for the t that is negligible.
    bound = NEGLIGIBLE / (1.0 + a)
    above = bound / 3.0 + torch.sqrt(bound * bound / 9.0 + 2.0 * bound * k)
    low = k - torch.sqrt(2.0 * bound * k)
    high = torch.maximum(k + above, torch.full_like(k, FEWEST_TERMS if a < 50.0 else 2.0))
    spread = torch.sqrt(k / (1.0 + a))
    smooth = (spread > SMOOTH) & (low > 1.0)
    stride = torch.where(smooth, spread / NODES_PER_SPREAD, 1.0)
    low = torch.where(smooth, low, torch.floor(low).clamp(min=1.0))
    return low, stride, torch.ceil((high - low) / stride) + 2.0


def _tabled(k: Tensor, low: Tensor, stride: Tensor, nodes: int, a: float) -> Tensor:
    """(3, rows) the sums over j = 1, 2, ... of few terms: what j alone decides is written down once."""
    j = torch.arange(1.0, nodes + 1.0, dtype=k.dtype, device=k.device)
    alone = poisson_peak(j) + poisson_peak(a * j) + torch.log(a * j) - (1.0 + a) * (torch.xlogy(j, j) - j)
    terms = torch.outer((1.0 + a) * torch.log(k), j).add_(alone)
    most = terms.amax(1)
    share = terms.sub_(most[:, None]).exp_()
    total, first, second = (share @ torch.stack([torch.ones_like(j), j, j * j], dim=1)).unbind(1)
    mean = first / total
    return torch.stack([most + torch.log(total) - (1.0 + a) * k, mean, second / total - mean * mean])


def _summed(k: Tensor, low: Tensor, stride: Tensor, nodes: int, a: float) -> Tensor:
    """(3, rows) the sums over any nodes."""
    gap = (low - k)[:, None] + stride[:, None] * torch.arange(nodes, dtype=k.dtype, device=k.device)
    k = k[:, None].expand_as(gap)
    j = k + gap
    # Near k, j itself has not digits enough where k is 1e10 or more, but its distance has.
    near = gap / k
    inside = torch.where(near.abs() < 0.2, near, 0.0)
    distance = torch.where(near.abs() < 0.2, k * (inside**2 + (1.0 + inside) * log1p_minus(inside)), kl_div(j, k))
    terms = -(1.0 + a) * distance + poisson_peak(j) + poisson_peak(a * j) + torch.log(a * j)
    value = torch.logsumexp(terms, dim=1)
    share = torch.exp(terms - value[:, None])
    mean = (share * gap).sum(1)
    variance = (share * (gap - mean[:, None]) ** 2).sum(1)
    return torch.stack([value + torch.log(stride), k[:, 0] + mean, variance])
