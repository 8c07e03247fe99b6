"""The negative binomial whose size theta has a linear predictor of its own, on the log scale.

With mu = e^m, r = e^s, x = m - s, p = mu / (mu + r), q = r / (mu + r) and u = (y - mu) / (mu + r):

    nll    = rest(y, r) - peak(y) + y (softplus(-x) - log(1 + r / y)) + r (softplus(x) - log(1 + y / r))
    d/dm   = r p - y q = -r u                    d2/dm2  = (r + y) p q        d2/dm ds = p d/dm
    d/ds   = r (u - log(1 + u)) + rest'          d2/ds2  = r (u - log(1 + u)) - (r u)^2 / (y + r) + rest''

where `rest` is what Stirling's main terms leave of log Gamma(y + r) - log Gamma(r). Every part stays small as r grows
and the whole goes to the Poisson: d/ds is ((y - mu)^2 - y) / (2 r) there, a difference of digammas times r noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.count import CountModel, log_mean
from torchglm.families.likelihood import Information, RowTerms
from torchglm.families.predictor_rows import curvature_of, gradient_of
from torchglm.numerics.gamma import LARGE, rising_rest, rising_value
from torchglm.numerics.special import log1p_minus, poisson_peak, softplus, standard_gamma

# theta beyond 1e-295 and 1e152 is no other distribution in double precision, and exp(710) overflows.
LOWEST, HIGHEST = -680.0, 350.0
LARGEST_START = 1e4  # theta where the counts vary no more than Poisson counts


class SizeTerms(NamedTuple):
    """The part of the nll that only y and r decide, the slope and bend of `rest` in log r, and log(1 + y / r)."""

    value: Tensor
    slope: Tensor
    bend: Tensor
    log_ratio: Tensor


@dataclass(frozen=True)
class NegativeBinomialSize(CountModel, name="negative_binomial"):
    """The negative binomial probability of a count, by eta and log theta.

    Variance mu + mu^2 / theta (kind "NB2", R's glm.nb), or mu (1 + 1 / theta) (kind "NB1").

    The expected information of an NB2 is the expected one of eta and of eta with log theta, which is zero, and the
    observed one of log theta, whose expectation has no closed form: inverted, it gives the standard errors of glm.nb.
    """

    predictors: ClassVar[tuple[str, ...]] = ("mean", "log_theta")

    kind: Literal["NB2", "NB1"] = "NB2"

    def __post_init__(self) -> None:
        if self.kind not in ("NB2", "NB1"):
            raise OptionError(f"kind= is 'NB2', variance mu + mu^2/theta, or 'NB1', mu + mu/theta; got {self.kind!r}.")

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        m = log_mean(self.link, z.select(1, 0), derivatives=False)
        s = self._log_size(m.value, z.select(1, 1))
        r, x = torch.exp(s), m.value - s
        alone = _alone(y, r) if r.requires_grad else _tabled(y, r).value
        return m.inside(alone + y * softplus(-x) + r * softplus(x))

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        terms = self.expand(y, z, information="observed")
        return terms.nll, terms.gradient

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        m = log_mean(self.link, z.select(1, 0), derivatives=True)
        s = self._log_size(m.value, z.select(1, 1))
        r, x = torch.exp(s), m.value - s
        alone = _tabled(y, r)
        up, down, p, q = _both_tails(x)
        nll = torch.addcmul(torch.addcmul(alone.value, y, down), r, up)
        push = r * p
        by_m = torch.addcmul(push, y, q, value=-1.0)
        u = by_m / -r
        curved = u + up - alone.log_ratio
        if bool((r > LARGE).any()):
            # Close to the Poisson that difference is far below its parts; far from it, at u = -1, 1 + u has no digits.
            curved = torch.where(u.abs() < 0.2, -log1p_minus(u), curved)
        curved = r * curved
        by_s = curved + alone.slope
        mm, ms, ss = (r + y) * p * q, p * by_m, curved - by_m * by_m / (y + r) + alone.bend
        if self.kind == "NB1":
            # log r = m + t: the chain is a sum.
            by_m, mm, ms = by_m + by_s, mm + 2.0 * ms + ss, ms + ss
        elif information == "expected":
            mm, ms = push, torch.zeros_like(ms)
        rows = RowTerms(nll, gradient_of([by_m, by_s]), curvature_of({(0, 0): mm, (0, 1): ms, (1, 1): ss}, 2))
        return m.terms(rows, information if self.kind == "NB2" else "observed")

    def _log_size(self, m: Tensor, t: Tensor) -> Tensor:
        return (t if self.kind == "NB2" else t + m).clamp(LOWEST, HIGHEST)

    def zero(self, z: Tensor) -> RowTerms:
        m = log_mean(self.link, z.select(1, 0), derivatives=True)
        s = self._log_size(m.value, z.select(1, 1))
        x = m.value - s
        slope = torch.sigmoid(x) / softplus(x)  # of log softplus(x); it goes to 1 far below zero
        slope = torch.where(x < -30.0, 1.0, slope)
        bend = slope * (torch.sigmoid(-x) - slope)
        by_m, by_s, mm, ms, ss = slope, 1.0 - slope, bend, -bend, bend
        if self.kind == "NB1":
            by_m, mm, ms = by_m + by_s, mm + 2.0 * ms + ss, ms + ss
        value = s + _log_softplus(x)
        rows = RowTerms(value, gradient_of([by_m, by_s]), curvature_of({(0, 0): mm, (0, 1): ms, (1, 1): ss}, 2))
        return m.terms(rows, "observed")

    def log_zero(self, z: Tensor) -> Tensor:
        m = log_mean(self.link, z.select(1, 0), derivatives=False)
        s = self._log_size(m.value, z.select(1, 1))
        return m.inside(s + _log_softplus(m.value - s))

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        return {"mean": self.mean(z), "theta": torch.exp(z.select(1, 1))}

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        mu, theta = self.mean(z), torch.exp(z.select(1, 1))
        r = theta if self.kind == "NB2" else theta * mu
        return torch.poisson(mu * standard_gamma(r, generator) / r, generator=generator)

    def start_at(self, mean: Tensor, variance: Tensor) -> Tensor:
        power = mean * mean if self.kind == "NB2" else mean
        theta = power / (variance - mean).clamp(min=0.0)
        return torch.stack([self.link.link(mean), torch.log(theta.clamp(1e-3, LARGEST_START))])


def _log_softplus(x: Tensor) -> Tensor:
    # softplus underflows below -745; below -30 it is e^x (1 - e^x / 2).
    far = x < -30.0
    return torch.where(far, x - 0.5 * torch.exp(x.clamp(max=0.0)), torch.log(softplus(torch.where(far, 0.0, x))))


def _both_tails(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """softplus(x), softplus(-x), sigmoid(x), sigmoid(-x): two transcendental functions for all."""
    small = torch.exp(-x.abs())
    tail, most = torch.log1p(small), 1.0 / (1.0 + small)
    least = small * most
    positive = x > 0.0
    p, q = torch.where(positive, most, least), torch.where(positive, least, most)
    return x.clamp(min=0.0) + tail, (-x).clamp(min=0.0) + tail, p, q


def _alone(y: Tensor, r: Tensor) -> Tensor:
    """The value of the SizeTerms, which autograd can follow."""
    safe = torch.where(y > 0.0, y, 1.0)
    shares = y * torch.log1p(r / safe) + r * torch.log1p(y / r)
    return rising_value(y, r) - poisson_peak(y) - shares


def _tabled(y: Tensor, r: Tensor) -> SizeTerms:
    """The SizeTerms; where r is one number and counts are small, each is looked up in a table of counts."""
    few = len(y) // 4
    if few > 0 and bool((r == r[0]).all()) and float(y.max()) < few:
        # A tenth of the time. All blocks of a pass have one theta, and their largest counts one power of two.
        table = _table(float(r[0]), int(y.max()).bit_length(), r.dtype, r.device)
        rows = y.to(torch.int64)
        return SizeTerms(*(column.index_select(0, rows) for column in table))
    return _size_terms(y, r)


@lru_cache(maxsize=8)
def _table(r: float, bits: int, dtype: torch.dtype, device: torch.device) -> SizeTerms:
    """The SizeTerms of the counts below 2^bits."""
    counts = torch.arange(2**bits, dtype=dtype, device=device)
    return _size_terms(counts, torch.full_like(counts, r))


def _size_terms(y: Tensor, r: Tensor) -> SizeTerms:
    rest = rising_rest(y, r)
    safe = torch.where(y > 0.0, y, 1.0)
    log_ratio = torch.log1p(y / r)
    shares = y * torch.log1p(r / safe) + r * log_ratio
    return SizeTerms(rest.value - poisson_peak(y) - shares, rest.slope, rest.bend, log_ratio)
