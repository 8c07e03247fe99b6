"""Ordered levels: the cumulative model P(y <= k) = F(cut_k - eta), and its scale effects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.interval_rows import Ends, IntervalRows, interval_nll, interval_rows
from torchglm.families.likelihood import Information, Likelihood, RowTerms
from torchglm.families.link import UnitLink
from torchglm.families.multinomial import class_shares, is_class, sample_class
from torchglm.families.predictor_rows import gradient_of
from torchglm.families.resolved import Resolved, resolve_unit_link

WIDEST = 200.0  # of a log scale: a step function is no steeper in double precision, and the squares of ends stay finite


@dataclass(frozen=True)
class Ordinal(Likelihood):
    """P(y <= k) = F(cut_(k+1) - eta), with y coded 0 .. K - 1: proportional odds where F is logistic.

    The predictors are eta and the K - 1 cuts; with `scale` also a log scale s, for F((cut - eta) / e^s). A cut with
    columns of its own is a nominal effect. Signs and links are those of MASS::polr and ordinal::clm.
    """

    is_discrete: ClassVar[bool] = True

    levels: int
    link: Resolved[UnitLink] = Resolved("logit", resolve_unit_link)
    scale: bool = False

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise OptionError(f"Ordinal(levels=...) needs two levels or more; got {self.levels}.")

    @cached_property
    def predictors(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The mean, the cuts, and with a scale its log."""
        cuts = (f"cut_{k}" for k in range(1, self.levels))
        return ("mean", *cuts, *(("log_scale",) if self.scale else ()))

    @property
    def support(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The codes of the levels."""
        return f"a level from 0 to {self.levels - 1}"

    @property
    def is_convex(self) -> bool:
        return self.link.log_concave and not self.scale

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        return interval_nll(self.link, self._ends(y.to(torch.int64), z))

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        level = y.to(torch.int64)
        ends = self._ends(level, z)
        rows = interval_rows(self.link, ends)
        return rows.nll, self._gradient(level, z, ends, rows)

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        level = y.to(torch.int64)
        ends = self._ends(level, z)
        rows = interval_rows(self.link, ends)
        return RowTerms(rows.nll, self._gradient(level, z, ends, rows), self._curvature(level, z, ends, rows))

    def mean(self, z: Tensor) -> Tensor:
        """(rows, levels), NaN where the cuts of a row cross."""
        each = []
        for k in range(self.levels):
            has_a, has_b = (torch.full_like(z[:, 0], has, dtype=torch.bool) for has in (k < self.levels - 1, k > 0))
            upper, lower = z[:, min(k, self.levels - 2) + 1], z[:, max(k, 1)]
            each.append(torch.exp(-interval_nll(self.link, self._between(upper, lower, z, has_a, has_b))))
        return torch.where(self.crosses(z)[:, None], torch.nan, torch.stack(each).T)

    def crosses(self, z: Tensor) -> Tensor:
        """(rows,) True where nominal effects put a cut below the one before it: no probabilities are told there."""
        return (z[:, 1 : self.levels].diff(dim=1) < 0.0).any(1)

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        probabilities = self.mean(z)
        cuts = (z[:, 1 : self.levels] - z[:, :1]) * self._precision(z)[:, None]
        return {
            "probabilities": probabilities,
            "class": probabilities.argmax(1),
            "cumulative": self.link.inverse(cuts),
            "eta": z[:, 0],
        }

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        level = y.to(torch.int64)
        cut = z.gather(1, level.clamp(0, self.levels - 2)[:, None] + 1)[:, 0]
        known = self.link.inverse((cut - z[:, 0]) * self._precision(z))
        return torch.where(level < 0, 0.0, torch.where(level >= self.levels - 1, 1.0, known))

    def check_response(self, y: Tensor) -> Tensor:
        return is_class(y, self.levels)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        cuts = self.link.link(class_shares(y, w, self.levels).cumsum(0)[:-1])
        zero = torch.zeros_like(cuts[:1])
        return torch.cat([zero, cuts, zero] if self.scale else [zero, cuts])

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One level a row."""
        return sample_class(self.mean(z), generator)

    def _precision(self, z: Tensor) -> Tensor:
        return torch.exp(-z[:, self.levels].clamp(-WIDEST, WIDEST)) if self.scale else torch.ones_like(z[:, 0])

    def _ends(self, level: Tensor, z: Tensor) -> Ends:
        has_a, has_b = level < self.levels - 1, level > 0
        upper = z.gather(1, level.clamp(max=self.levels - 2)[:, None] + 1)[:, 0]
        lower = z.gather(1, level.clamp(min=1)[:, None])[:, 0]
        return self._between(upper, lower, z, has_a, has_b)

    def _between(self, upper: Tensor, lower: Tensor, z: Tensor, has_a: Tensor, has_b: Tensor) -> Ends:
        """The ends of the intervals between two cuts."""
        eta = z[:, 0]
        a, b = upper - eta, lower - eta
        if self.scale:
            precision = self._precision(z)
            a, b = a * precision, b * precision
        return Ends(a, b, has_a, has_b)

    def _gradient(self, level: Tensor, z: Tensor, ends: Ends, rows: IntervalRows) -> Tensor:
        t = self._precision(z)
        by_a, by_b = t * rows.a, t * rows.b
        cuts = (torch.where(level == k - 1, by_a, torch.where(level == k, by_b, 0.0)) for k in range(1, self.levels))
        columns = [-t * rows.sum, *cuts]
        if self.scale:
            columns.append(-rows.a * ends.a - rows.b * ends.b)
        return gradient_of(columns)

    def _curvature(self, level: Tensor, z: Tensor, ends: Ends, rows: IntervalRows) -> Tensor:
        """(rows, q, q): eta, the two cuts of the row, and the scale."""
        q, t = z.shape[1], self._precision(z)
        square = t * t
        whole = z.new_zeros((q, q, len(z)))
        whole[0, 0] = square * (rows.with_a + rows.with_b)
        shift_a, shift_b = -square * rows.with_a, -square * rows.with_b
        for k in range(1, self.levels):
            is_a, is_b = level == k - 1, level == k
            whole[0, k] = whole[k, 0] = torch.where(is_a, shift_a, torch.where(is_b, shift_b, 0.0))
            whole[k, k] = square * torch.where(is_a, rows.aa, torch.where(is_b, rows.bb, 0.0))
            if k > 1:
                # b is cut k - 1 and a is cut k: the level between them.
                whole[k - 1, k] = whole[k, k - 1] = torch.where(is_a, square * rows.ab, 0.0)
        if self.scale:
            a, b = ends.a, ends.b
            whole[0, -1] = whole[-1, 0] = t * (rows.with_a * a + rows.with_b * b + rows.sum)
            by_a = -t * (rows.aa * a + rows.ab * b + rows.a)
            by_b = -t * (rows.ab * a + rows.bb * b + rows.b)
            for k in range(1, self.levels):
                whole[k, -1] = whole[-1, k] = torch.where(level == k - 1, by_a, torch.where(level == k, by_b, 0.0))
            whole[-1, -1] = a * (rows.aa * a + 2.0 * rows.ab * b + rows.a) + b * (rows.bb * b + rows.b)
        return whole.permute(2, 0, 1)
