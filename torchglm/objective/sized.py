"""Many negative binomial responses over one design, each with a log theta of its own: the last coefficient of each.

What only a count and theta decide is summed over the counts that there are: a table of a few dozen entries a response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.families.negative_binomial_rows import size_value
from torchglm.families.sized_rows import alone, expected_rows, sized_rows
from torchglm.numerics.segments import cell_sums
from torchglm.numerics.sums import Sums
from torchglm.objective.batch import BatchQuadratic, entries, pearson_rows
from torchglm.objective.objective import Objective

CACHED = 1 << 16  # of problems x rows whose terms are formed together

RowWeights = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # of y, eta, log theta and weights


@dataclass(frozen=True)
class Counted:
    """The distinct counts of many responses, and the sum of the weights of the rows that have them.

    Shapes: (T,) each, those of response `owners` after those of the one before.
    """

    counts: Tensor
    mass: Tensor
    owners: Tensor
    responses: int

    @staticmethod
    def read(responses: Tensor, weight: Tensor | None) -> Counted:
        """Those of responses (B, rows)."""
        y, order = responses.sort(1)
        fresh = torch.ones_like(y, dtype=torch.bool)
        fresh[:, 1:] = y[:, 1:] != y[:, :-1]
        runs = fresh.view(-1).cumsum(0) - 1
        w = torch.ones_like(y) if weight is None else weight.to(order.device)[order]
        owners = torch.nonzero(fresh)[:, 0]
        return Counted(y[fresh], cell_sums(runs, len(owners))(w.view(-1)), owners, len(y))

    def of(self, which: Tensor) -> Counted:
        """Those of the responses at `which`."""
        if which.dtype != torch.bool:
            which = torch.zeros(self.responses, dtype=torch.bool, device=which.device).index_fill_(0, which, True)
        kept, places = which[self.owners], which.cumsum(0) - 1
        return Counted(self.counts[kept], self.mass[kept], places[self.owners[kept]], int(which.sum()))

    @cached_property
    def sums(self) -> Callable[[Tensor], Tensor]:
        """What gives (responses,) the sums of v (T,) over the counts of each."""
        return cell_sums(self.owners, self.responses)


@dataclass(frozen=True)
class Sized:
    """The problems of some responses. Scale: sums over rows, inner order, log theta last.

    `objective` has two linear predictors, the second a constant. Shapes: responses (B, rows).
    """

    objective: Objective
    responses: Tensor
    counted: Counted

    @staticmethod
    def read(objective: Objective, responses: Tensor) -> Sized:
        """The problems, counts counted."""
        return Sized(objective, responses, Counted.read(responses, objective.design.weight))

    @property
    def rows(self) -> Tensor:
        """() how many rows every problem has."""
        return self.responses.new_tensor(float(self.objective.design.n))

    def of(self, which: Tensor) -> Sized:
        """The problems at `which`."""
        return Sized(self.objective, self.responses[which], self.counted.of(which))

    def quadratic(self, thetas: Tensor, values: bool = True) -> BatchQuadratic:
        """Each problem at its own theta (B, p + 1): one pass. The curvature is the observed one where it is convex."""
        p = thetas.shape[1] - 1
        first, second = self._pairs
        log_size = thetas[:, p:]

        def row_sums(block: Block) -> Sums:
            x, w = block.columns[0].model_matrix(), block.weight
            pairs = x[:, first] * x[:, second]
            each = []
            for some in _slices(len(thetas), block.rows):
                terms = sized_rows(*self._rows(block, x, thetas[some, :p], some), log_size[some])
                if w is not None:
                    terms = type(terms)(*(rows * w for rows in terms))
                each.append(
                    {
                        "value": terms.value.sum(1),
                        "gradient": terms.by_m @ x,
                        "pairs": terms.mm @ pairs,
                        "cross": terms.ms @ x,
                        "size": terms.by_s.sum(1),
                        "bend": terms.ss.sum(1),
                    }
                )
            return Sums({name: torch.cat([sums[name] for sums in each]) for name in each[0]})

        sums = self._sum(row_sums, len(thetas))
        counted = self.counted
        rows = alone(counted.counts, log_size[counted.owners, 0])
        value, slope, bend = (counted.sums(counted.mass * t) for t in rows)
        bend = bend + sums["bend"]
        convex = bend > 0
        curvature = thetas.new_empty(len(thetas), p + 1, p + 1)
        curvature[:, first, second] = curvature[:, second, first] = sums["pairs"]
        curvature[:, :p, p] = curvature[:, p, :p] = torch.where(convex[:, None], sums["cross"], 0.0)
        curvature[:, p, p] = torch.where(convex, bend, -bend)
        gradient = torch.cat([sums["gradient"], (sums["size"] + slope)[:, None]], dim=1)
        return BatchQuadratic(sums["value"] + value, gradient, curvature, torch.zeros_like(bend))

    def at_means(self, log_means: Tensor, log_size: Tensor) -> Tensor:
        """(B,) the values where every distinct count has a mean of its own: log_means (T,), log_size (B,)."""
        counted = self.counted
        safe = torch.where(torch.isfinite(log_means), log_means, 0.0)  # a count of 0 of mean 0 is certain
        each = size_value(counted.counts, safe, log_size[counted.owners])
        return counted.sums(counted.mass * torch.where(torch.isfinite(log_means), each, 0.0))

    def information(self, thetas: Tensor) -> Tensor:
        """(B, p, p) the expected information of the coefficients."""
        return self._grams(thetas, lambda y, eta, size, w: expected_rows(eta, size) * w)

    def meat(self, thetas: Tensor, repeats: bool) -> Tensor:
        """(B, p, p) the sum over rows of s s', s the score of the coefficients; as `Models.meat`."""
        return self._grams(
            thetas, lambda y, eta, size, w: sized_rows(y, eta, size).by_m.square() * (w if repeats else w * w)
        )

    def pearson(self, thetas: Tensor) -> Tensor:
        """(B,) Pearson's X2."""

        def rows(y: Tensor, eta: Tensor, size: Tensor, w: Tensor) -> Tensor:
            return pearson_rows(sized_rows(y, eta, size).by_m, expected_rows(eta, size)) * w

        return self._sums(thetas, rows, lambda x: torch.ones_like(x[:, :1]))[:, 0]

    def _grams(self, thetas: Tensor, weights: RowWeights) -> Tensor:
        p = thetas.shape[1] - 1
        first, second = self._pairs
        pairs = self._sums(thetas, weights, lambda x: x[:, first] * x[:, second])
        out = thetas.new_empty(len(thetas), p, p)
        out[:, first, second] = out[:, second, first] = pairs
        return out

    def _sums(self, thetas: Tensor, weights: RowWeights, beside: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, k) the sums over rows of `weights` times what is `beside` (rows, k) the rows of the model matrix."""
        p = thetas.shape[1] - 1

        def row_sums(block: Block) -> Sums:
            x = block.columns[0].model_matrix()
            columns = beside(x)
            w = torch.ones_like(block.y) if block.weight is None else block.weight
            each = [
                weights(*self._rows(block, x, thetas[some, :p], some), thetas[some, p:], w) @ columns
                for some in _slices(len(thetas), block.rows)
            ]
            return Sums({"sums": torch.cat(each)})

        return self._sum(row_sums, len(thetas))["sums"]

    def _rows(self, block: Block, x: Tensor, betas: Tensor, some: slice) -> tuple[Tensor, Tensor]:
        """y and eta (B, rows) of some problems."""
        eta = torch.mm(betas, x.T)
        if block.offsets[0] is not None:
            eta += block.offsets[0]
        return self.responses[some, block.start : block.start + block.rows], eta

    def _sum(self, row_sums: Callable[[Block], Sums], count: int) -> Sums:
        self.objective.meter.passes += 1
        return self.objective.design.sum(row_sums, max(entries(self.objective.design.device) // count, 64))

    @cached_property
    def _pairs(self) -> tuple[Tensor, Tensor]:
        p = self.objective.layout.widths[0]
        first, second = torch.triu_indices(p, p, device=self.responses.device)
        return first, second


def _slices(count: int, rows: int) -> Iterator[slice]:
    """The problems, a few at a time."""
    size = max(CACHED // rows, 1)
    return (slice(first, first + size) for first in range(0, count, size))
