"""Row terms of a negative binomial in m = log mu and s = log r, the log of its size.

With x = m - s, p = mu / (mu + r), q = r / (mu + r) and u = (y - mu) / (mu + r):

    nll    = rest(y, r) - peak(y) + y (softplus(-x) - log(1 + r / y)) + r (softplus(x) - log(1 + y / r))
    d/dm   = r p - y q = -r u                    d2/dm2  = (r + y) p q        d2/dm ds = p d/dm
    d/ds   = r (u - log(1 + u)) + rest'          d2/ds2  = r (u - log(1 + u)) - (r u)^2 / (y + r) + rest''

where `rest` is what Stirling's main terms leave of log Gamma(y + r) - log Gamma(r). Every part stays small as r grows
and the whole goes to the Poisson: d/ds is ((y - mu)^2 - y) / (2 r) there, a difference of digammas times r noise.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from torchglm.numerics.gamma import LARGE, rising_rest, rising_value
from torchglm.numerics.special import log1p_minus, poisson_peak, softplus


class SizeRows(NamedTuple):
    """nll and its derivatives in log mu and log r; `push` is the expectation of mm given mu and r.

    Shapes: (rows,).
    """

    nll: Tensor
    by_m: Tensor
    by_s: Tensor
    mm: Tensor
    ms: Tensor
    ss: Tensor
    push: Tensor


class SizeTerms(NamedTuple):
    """The part of the nll that only y and r decide, the slope and bend of `rest` in log r, and log(1 + y / r)."""

    value: Tensor
    slope: Tensor
    bend: Tensor
    log_ratio: Tensor

    def at(self, y: Tensor) -> SizeTerms:
        """Those of counts y, from those of 0, 1, ..."""
        counts = y.to(torch.int64)
        return SizeTerms(*(column.index_select(0, counts) for column in self))


class SizeTable(NamedTuple):
    """What only y and a single r decide, for y = 0, 1, ...: so many logarithms and gamma functions less a row.

    by_s and ss are the parts of d/ds and d2/ds2 - d/ds; inverse is 1 / (y + r).
    """

    r: float
    terms: SizeTerms
    by_s: Tensor
    ss: Tensor
    inverse: Tensor


def size_value(y: Tensor, m: Tensor, s: Tensor) -> Tensor:
    """nll alone, which autograd can follow."""
    r, x = torch.exp(s), m - s
    table = None if r.requires_grad else _table_of(y, s)
    if table is None:
        safe = torch.where(y > 0.0, y, 1.0)
        shares = y * torch.log1p(r / safe) + r * torch.log1p(y / r)
        alone = rising_value(y, r) - poisson_peak(y) - shares
    else:
        alone = table.terms.value.index_select(0, y.to(torch.int64))
    return alone + y * softplus(-x) + r * softplus(x)


def size_slope(y: Tensor, m: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """nll and its derivatives in m and s: a few calls a row where all rows have one r that is not large."""
    table = _table_of(y, s)
    if table is None or table.r > LARGE:
        rows = size_rows(y, m, s)
        return rows.nll, rows.by_m, rows.by_s
    x = m - s
    up, down, p, q = _both_tails(x)
    up *= table.r
    by_m = p.mul_(table.r).addcmul_(y, q, value=-1.0)
    counts = y.to(torch.int64)
    nll = table.terms.value.index_select(0, counts).addcmul_(y, down).add_(up)
    by_s = table.by_s.index_select(0, counts).add_(up).sub_(by_m)
    return nll, by_m, by_s


def size_rows(y: Tensor, m: Tensor, s: Tensor) -> SizeRows:
    """nll and its derivatives to second order."""
    table, r, x = _table_of(y, s), torch.exp(s), m - s
    up, down, p, q = _both_tails(x)
    push = r * p
    by_m = torch.addcmul(push, y, q, value=-1.0)
    mm = torch.addcmul(push, y, p).mul_(q)
    if table is not None and table.r <= LARGE:
        counts = y.to(torch.int64)
        nll = table.terms.value.index_select(0, counts).addcmul_(y, down).addcmul_(r, up)
        by_s = table.by_s.index_select(0, counts).addcmul_(r, up).sub_(by_m)
        bent = table.inverse.index_select(0, counts).mul_(by_m).mul_(by_m)
        ss = table.ss.index_select(0, counts).add_(by_s).sub_(bent)
        return SizeRows(nll, by_m, by_s, mm, p * by_m, ss, push)
    alone = size_terms(y, r) if table is None else table.terms.at(y)
    nll = torch.addcmul(torch.addcmul(alone.value, y, down), r, up)
    u = by_m / -r
    curved = u + up - alone.log_ratio
    if bool((r > LARGE).any()):
        # Close to the Poisson that difference is far below its parts; far from it, at u = -1, 1 + u has no digits.
        curved = torch.where(u.abs() < 0.2, -log1p_minus(u), curved)
    curved = r * curved
    ss = curved - by_m * by_m / (y + r) + alone.bend
    return SizeRows(nll, by_m, curved + alone.slope, mm, p * by_m, ss, push)


def _both_tails(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """softplus(x), softplus(-x), sigmoid(x), sigmoid(-x)."""
    tail = torch.log1p(x.abs().neg_().exp_())
    away = -x
    return x.clamp(min=0.0).add_(tail), away.clamp(min=0.0).add_(tail), torch.sigmoid(x), away.sigmoid_()


def _table_of(y: Tensor, s: Tensor) -> SizeTable | None:
    """The table of the counts y, where all rows have one r and the counts are far fewer than the rows."""
    few = len(y) // 4
    if few == 0:
        return None
    low, high = torch.aminmax(s)
    if not (float(low) == float(high) and float(y.max()) < few):
        return None
    # All blocks of a pass have one r, and their largest counts one power of two.
    return _table(math.exp(float(low)), int(y.max()).bit_length(), y.dtype, y.device)


@lru_cache(maxsize=8)
def _table(r: float, bits: int, dtype: torch.dtype, device: torch.device) -> SizeTable:
    counts = torch.arange(2**bits, dtype=dtype, device=device)
    terms = size_terms(counts, torch.full_like(counts, r))
    return SizeTable(r, terms, terms.slope - r * terms.log_ratio, terms.bend - terms.slope, 1.0 / (counts + r))


def size_terms(y: Tensor, r: Tensor) -> SizeTerms:
    """Those of counts y and sizes r, of one shape."""
    rest = rising_rest(y, r)
    safe = torch.where(y > 0.0, y, 1.0)
    log_ratio = torch.log1p(y / r)
    shares = y * torch.log1p(r / safe) + r * log_ratio
    return SizeTerms(rest.value - poisson_peak(y) - shares, rest.slope, rest.bend, log_ratio)
