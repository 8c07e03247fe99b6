"""Integrals from mu to y, one a row, by the tanh rule.

With t = y + (mu - y) / (1 + e^u) a pole on the real line outside of (mu, y) lies at Im u = pi however close to y or mu
it is, and a branch point at y itself goes off to infinity. So a plain sum over steps h of u errs by e^(-2 pi^2 / h),
3e-22 here, for every variance function that is smooth inside of its domain: mu^p at y = 0 included.
Source: Schwartz (1969), Journal of Computational Physics 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

STEP = 0.4
# e^-60 of the way is lost at either end: t^(-1/3) dies out slowly at y, and a small mu needs its neighbourhood.
FIRST, LAST = -150, 150


@lru_cache(maxsize=1)
def _nodes() -> tuple[tuple[float, float, float], ...]:
    # The part of the way still to go and the part done, each with all its digits, and the weight.
    nodes = []
    for k in range(FIRST, LAST + 1):
        rest = 1.0 / (1.0 + math.exp(k * STEP))
        done = 1.0 / (1.0 + math.exp(-k * STEP))
        nodes.append((rest, done, STEP * rest * done))
    return tuple(nodes)


def integral(integrand: Callable[[Tensor, Tensor], Tensor], mu: Tensor, y: Tensor) -> Tensor:
    """The integral of integrand(t, y - t) over t from mu to y, row by row; signed infinity where it diverges at y.

    y - t is handed over because its digits are gone once t is close to y. Exactly 0 at y = mu.
    """
    way = y - mu
    total = torch.zeros_like(way)
    last = torch.zeros_like(way)
    for rest, done, weight in _nodes():
        t = y - way * rest if rest < done else mu + way * done
        term = weight * integrand(t, way * rest)
        # t can round to y where the integrand has its pole; the resolved rest is all that float64 can tell.
        resolved = torch.isfinite(term)
        last = torch.where(resolved, term, last)
        total = total + torch.where(resolved, term, 0.0)
    # Terms of an integral that exists have died out at the end; those of 1 / (y - t) are all of one size.
    value = way * total
    return torch.where(last.abs() > 1e-6 * total.abs(), value * math.inf, value)
