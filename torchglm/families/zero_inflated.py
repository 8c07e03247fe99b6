"""Counts with more zeros than their distribution has: a row is a zero for certain, or a count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.families.count import CountModel, is_count, resolve_count
from torchglm.families.fused import INF
from torchglm.families.likelihood import Information, Likelihood, RowTerms
from torchglm.families.link import Tails, UnitLink
from torchglm.families.predictor_rows import curvature_of, gradient_of
from torchglm.families.resolved import Resolved, resolve_unit_link
from torchglm.families.truncated import untruncated_moments

LEAST_EXCESS = 0.05  # of the zeros are taken to be structural at the start, where the counts explain them all


@dataclass(frozen=True)
class ZeroInflated(Likelihood):
    """P(0) = pi + (1 - pi) f(0) and P(y) = (1 - pi) f(y), where pi has a predictor of its own: pscl's zeroinfl.

    The predictors are the mean of f, the zero predictor, and what else f has.
    """

    support: ClassVar[str] = "a whole number from 0 on"
    is_discrete: ClassVar[bool] = True

    count: Resolved[CountModel] = Resolved("poisson", resolve_count)
    zero_link: Resolved[UnitLink] = Resolved("logit", resolve_unit_link)

    @property
    def predictors(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The count's, with the zero predictor second."""
        return with_zero(self.count)

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        counted = self.count.nll(y, count_part(z))
        log_pi, log_rest = self.zero_link.log_inverse(z[:, 1]), self.zero_link.log_complement(z[:, 1])
        # A mean outside of its domain is none, even where the row can be a structural zero.
        mixed = (y == 0.0) & (counted < INF)
        return torch.where(mixed, -torch.logaddexp(log_pi, log_rest - counted), counted - log_rest)

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        counted, by_count = self.count.slope(y, count_part(z))
        tails = self.zero_link.tails(z[:, 1])
        nll, v, rest = _mixed(y, counted, tails)
        each = [rest * column for column in by_count.unbind(1)]
        by_zero = torch.mul(rest, tails.slope_nu).addcmul_(v, tails.slope_mu, value=-1.0)
        return nll, gradient_of([each[0], by_zero, *each[1:]])

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        count = self.count.expand(y, count_part(z), information="observed")
        tails = self.zero_link.tails(z[:, 1])
        bends = self.zero_link.bends(z[:, 1], tails)
        nll, v, rest = _mixed(y, count.nll, tails)
        step = tails.slope_mu + tails.slope_nu
        q = z.shape[1]
        own = (0, *range(2, q))
        gradient: list[Tensor] = [torch.empty(0)] * q
        gradient[1] = rest * tails.slope_nu - v * tails.slope_mu
        pairs = {(1, 1): v * bends.mu + rest * bends.nu - v * rest * step * step}
        for i, k in enumerate(own):
            # rest * count first: where exp(700) is the mean of a zero, rest is 0 and the square of the mean inf.
            gradient[k] = rest * count.gradient[:, i]
            pairs[min(k, 1), max(k, 1)] = -gradient[k] * v * step
            for j, l in enumerate(own[: i + 1]):
                spread = gradient[k] * (v * count.gradient[:, j])
                pairs[l, k] = rest * count.curvature[:, j, i] - spread
        return RowTerms(nll, gradient_of(gradient), curvature_of(pairs, q))

    def mean(self, z: Tensor) -> Tensor:
        return self.zero_link.complement(z[:, 1]) * self.count.mean(count_part(z))

    def variance(self, z: Tensor) -> Tensor:
        counts, pi = count_part(z), self.zero_link.inverse(z[:, 1])
        mu = self.count.mean(counts)
        return self.zero_link.complement(z[:, 1]) * (self.count.variance(counts) + pi * mu * mu)

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        counted = self.zero_link.complement(z[:, 1]) * self.count.cdf(y, count_part(z))
        return torch.where(y < 0.0, 0.0, self.zero_link.inverse(z[:, 1]) + counted)

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        counts = count_part(z)
        structural, rest = self.zero_link.inverse(z[:, 1]), self.zero_link.complement(z[:, 1])
        no_count = torch.exp(-torch.exp(self.count.log_zero(counts)))
        return {
            **self.count.predictions(counts),
            "mean": self.mean(z),
            "count": self.count.mean(counts),
            "structural_zero": structural,
            "zero": structural + rest * no_count,
        }

    def check_response(self, y: Tensor) -> Tensor:
        return is_count(y)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        mean, variance = untruncated_moments(y, w)
        counts = self.count.start_at(mean, variance)
        share = share_of(y == 0.0, w)
        expected = torch.exp(-torch.exp(self.count.log_zero(counts[None, :])))[0]
        excess = torch.maximum((share - expected) / (1.0 - expected), LEAST_EXCESS * share)
        return with_zero_at(counts, self.zero_link.link(excess))

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One response a row."""
        uniform = torch.rand(len(z), generator=generator, dtype=z.dtype, device=z.device)
        drawn = self.count.sample(count_part(z), generator)
        return torch.where(uniform < self.zero_link.inverse(z[:, 1]), 0.0, drawn)


def _mixed(y: Tensor, counted: Tensor, tails: Tails) -> tuple[Tensor, Tensor, Tensor]:
    """nll, and v and 1 - v: how probable it is that a zero is structural, and that it is a count.

    `counted` is the nll as a count.
    """
    is_zero = y == 0.0
    inside = bool(torch.isfinite(counted.sum()))
    if not inside:  # a mean outside of its domain is none, even where the row can be a structural zero
        is_zero &= counted < INF
    structural = tails.log_mu + torch.log(is_zero.to(y.dtype))  # -inf for a count
    log_count = tails.log_nu - counted
    apart = structural - log_count
    if not inside:
        apart = torch.where(is_zero, apart, -INF)
    return -torch.logaddexp(structural, log_count), torch.sigmoid(apart), torch.sigmoid(-apart)


def with_zero(count: CountModel) -> tuple[str, ...]:
    """The predictors of a count, with a zero predictor second."""
    return (count.predictors[0], "zero", *count.predictors[1:])


def with_zero_at(counts: Tensor, zero: Tensor) -> Tensor:
    """(q,) predictors of a count (q - 1,), with that of the zeros second."""
    return torch.cat([counts[:1], zero.reshape(1), counts[1:]])


def count_part(z: Tensor) -> Tensor:
    """The predictors of the count: all but the second."""
    return z[:, :1] if z.shape[1] == 2 else torch.cat([z[:, :1], z[:, 2:]], dim=1)


def share_of(which: Tensor, w: Tensor) -> Tensor:
    """The weighted share of these rows, moved off 0 and 1."""
    total = w.sum()
    return ((w * which).sum() / total).clamp(0.5 / (total + 1.0), 1.0 - 0.5 / (total + 1.0))
