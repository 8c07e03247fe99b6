"""Log gamma functions without the part that cancels.

Likelihoods of counts and shapes are differences of log Gamma whose large parts (Stirling's) cancel on paper. These
are the small parts alone: at theta = 1e10 a difference of lgamma keeps 5 digits, times theta none.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchglm.numerics.special import poisson_peak

LARGE = 15.0  # from here Stirling's series to x^-14 is exact to rounding

# digamma(x) = log x - 1/(2x) + sum of A[n] x^-2n; trigamma(x) = 1/x + 1/(2x^2) + sum of B[n] x^-(2n + 1); n = 1, 2, ...
A = (-1 / 12, 1 / 120, -1 / 252, 1 / 240, -1 / 132, 691 / 32760, -1 / 12)
B = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


class Rest(NamedTuple):
    """A function of log r, its slope and its bend.

    Shapes: those of r.
    """

    value: Tensor
    slope: Tensor
    bend: Tensor


def trigamma(x: Tensor) -> Tensor:
    """The derivative of digamma, for x > 0."""
    # torch's own is right to 5e-10 only.
    return (squared_trigamma(x) / x) / x


def squared_trigamma(x: Tensor) -> Tensor:
    """x^2 trigamma(x) for x >= 0: x + 1/2 + 1/(6x) - ... for large x, and 1 at 0."""
    return x + trigamma_excess(x)


def trigamma_excess(x: Tensor) -> Tensor:
    """x^2 trigamma(x) - x for x >= 0: it falls from 1 at 0 to 1/2."""
    return torch.where(x > LARGE, _trigamma_series(x.clamp(min=LARGE)), _trigamma_shifted(x.clamp(max=LARGE)))


def digamma_excess(x: Tensor) -> Tensor:
    """x (digamma(x) - log x) for x >= 0: it rises from -1 at 0 to -1/2."""
    far = x.clamp(min=LARGE)
    inverse = 1.0 / far
    square = inverse * inverse
    series = _horner(A, square) * far - 0.5
    near = x.clamp(max=LARGE)
    # digamma(x) = digamma(1 + x) - 1/x, so that x = 0 is no pole.
    shifted = near * torch.digamma(1.0 + near) - 1.0 - torch.xlogy(near, near)
    return torch.where(x > LARGE, series, shifted)


def rising_rest(y: Tensor, r: Tensor) -> Rest:
    """(y + r) log(y + r) - r log r - y - log(Gamma(y + r) / Gamma(r)) for y >= 0, r > 0, with its derivatives in log r.

    It is 0 at y = 0, and of the order of y / r for large r.
    """
    large = r > LARGE
    if bool(large.all()):
        slope, bend = _rising_series(y, r)
    elif not bool(large.any()):
        slope, bend = _rising_direct(y, r)
    else:
        near, far = _rising_direct(y, r.clamp(max=LARGE)), _rising_series(y, r.clamp(min=LARGE))
        slope, bend = (torch.where(large, b, a) for a, b in zip(near, far, strict=True))
    return Rest(rising_value(y, r), slope, bend)


def rising_value(y: Tensor, r: Tensor) -> Tensor:
    """The value of `rising_rest` alone, which autograd can follow."""
    return poisson_peak(y + r) - poisson_peak(r) + torch.log1p(y / r)


def _rising_direct(y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    total = y + r
    share = r / total
    # Both polygammas by one recurrence: their poles at 0 are 1/r - 1/total, known exactly.
    digammas = r * (torch.digamma(1.0 + total) - torch.digamma(1.0 + r) - torch.log1p(y / r)) + (1.0 - share)
    upper, lower = _trigamma_shifted(total), _trigamma_shifted(r)
    trigammas = share * share * upper - lower
    return -digammas, -digammas - trigammas


def _rising_series(y: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    # Differences of series in a = 1/r and b = 1/(y + r), each divided by a - b, which is known without cancellation.
    a, b = 1.0 / r, 1.0 / (y + r)
    share = y * b  # r (a - b)
    square = a * a
    both = a + b
    _, change = _divided(A, square, b * b)
    digammas = share * (0.5 - both * change)
    value, change = _divided(B, square, b * b)
    trigammas = -r * share * (0.5 * both + value + b * both * change)
    return -digammas, -digammas - trigammas


def _trigamma_series(x: Tensor) -> Tensor:
    inverse = 1.0 / x
    return 0.5 + _horner(B, inverse * inverse) * x


def _trigamma_shifted(x: Tensor) -> Tensor:
    """x^2 trigamma(x) - x through trigamma(x + 8), whose series is exact."""
    near = torch.zeros_like(x)
    for k in range(1, 8):
        ratio = x / (x + k)
        near.addcmul_(ratio, ratio)
    far = x + 8.0
    ratio = x / far
    return (near + 1.0 - x) + ratio * ratio * (far + _trigamma_series(far))


def _horner(coefficients: tuple[float, ...], square: Tensor) -> Tensor:
    """The sum of c[n] square^n, n = 1, 2, ..."""
    total = torch.full_like(square, coefficients[-1])
    for c in coefficients[-2::-1]:
        total = total.mul_(square).add_(c)
    return total.mul_(square)


def _divided(coefficients: tuple[float, ...], upper: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of c[n] upper^n, and its difference to that at lower divided by upper - lower."""
    total, at_lower = torch.full_like(upper, coefficients[-1]), torch.full_like(lower, coefficients[-1])
    change = torch.zeros_like(upper)
    for c in (*coefficients[-2::-1], 0.0):
        change = change.mul_(upper).add_(at_lower)
        total, at_lower = total.mul_(upper).add_(c), at_lower.mul_(lower).add_(c)
    return total, change
