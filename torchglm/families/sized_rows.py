"""Row terms of many negative binomials side by side, variance mu + mu^2 / r, log link, each with an r of its own.

As `negative_binomial_rows`, without what y and r alone decide, which is summed over counts. Of

    d/ds = r (u - log(1 + u)) + rest' = r log(1 + mu / r) - d/dm - r log(1 + y / r) + rest'

the second form leaves a row one logarithm; where r is large it cancels, and the first is taken.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchglm.families.negative_binomial_rows import size_terms
from torchglm.numerics.special import log1p_minus

FAR = 1e3  # r above it: its logarithms cancel


class SizedRows(NamedTuple):
    """Derivatives of the nll in m and s = log r, without what y and r alone decide. Shapes: (B, rows)."""

    value: Tensor
    by_m: Tensor
    by_s: Tensor
    mm: Tensor
    ms: Tensor
    ss: Tensor


class Alone(NamedTuple):
    """What y and r alone decide of value, by_s and ss. Shapes: those of y."""

    value: Tensor
    by_s: Tensor
    ss: Tensor


def sized_rows(y: Tensor, eta: Tensor, log_size: Tensor) -> SizedRows:
    """The row terms of counts y (B, rows) at eta (B, rows) and log r (B, 1)."""
    r = torch.exp(log_size)
    odds = torch.exp(eta - log_size)
    up, q = torch.log1p(odds), 1.0 / (1.0 + odds)
    p = odds * q
    by_m = (r * odds - y) * q
    share = (y / r + 1.0) * q  # 1 + u, which keeps its digits at u = -1
    by_s = r * up - by_m
    far = r > FAR
    if bool(far.any()):
        u = by_m / -r
        by_s = torch.where(far, r * torch.where(u.abs() < 0.2, -log1p_minus(u), u - torch.log(share)), by_s)
    value = y * (up - eta + log_size) + r * up
    return SizedRows(value, by_m, by_s, share * r * p, p * by_m, by_s - by_m.square() / (y + r))


def alone(y: Tensor, log_size: Tensor) -> Alone:
    """What is left out there, of counts y at log r (T,)."""
    r = torch.exp(log_size)
    terms = size_terms(y, r)
    ratio = torch.where(r > FAR, 0.0, r * terms.log_ratio)
    return Alone(terms.value, terms.slope - ratio, terms.bend - ratio)


def expected_rows(eta: Tensor, log_size: Tensor) -> Tensor:
    """The expected information of eta: r p."""
    return torch.exp(log_size) * torch.sigmoid(eta - log_size)
