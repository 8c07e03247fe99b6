"""Many problems over rows of their own: one model a group of rows, the rows of like-sized groups side by side.

With G groups padded to m rows, X (G, m, p) and a weight of zero in the padding, a pass is three batched products:

    eta = X theta      gradient = (w g)' X      curvature = X' (w c) X
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.design.design import Design
from torchglm.objective.batch import BatchQuadratic
from torchglm.objective.objective import Objective

ENTRIES = 1 << 22  # of a padded stretch of groups: 32 MB
WASTE = 1.3  # times its smallest group, at most, that a stretch is padded to


@dataclass(frozen=True)
class Grouped:
    """The problems of some groups. Scale: sums over rows, phi = 1, inner order, as `Objective`.

    Shapes: x (G, m, p), y, weight, offset (G, m); `counts` (G,) rows of each; `groups` (G,) which groups they are.
    """

    objective: Objective
    x: Tensor
    y: Tensor
    weight: Tensor
    offset: Tensor | None
    counts: Tensor
    groups: Tensor

    @property
    def rows(self) -> Tensor:
        """(G,) how many rows each problem has."""
        return self.counts

    def of(self, which: Tensor) -> Grouped:
        """The problems at `which`."""
        offset = None if self.offset is None else self.offset[which]
        x, y, weight, counts, groups = (t[which] for t in (self.x, self.y, self.weight, self.counts, self.groups))
        return Grouped(self.objective, x, y, weight, offset, counts, groups)

    def quadratic(self, thetas: Tensor, values: bool = True) -> BatchQuadratic:
        """Each problem at its own theta (G, p)."""
        shape = self.y.shape
        terms = self.objective.likelihood.expand(self.y.reshape(-1), self.eta(thetas).reshape(-1, 1))
        # A padded row may be anything, infinite too: its share is zero.
        real = self.weight > 0
        nll, g, c = (
            torch.where(real, t.view(shape), 0.0) for t in (terms.nll, terms.gradient[:, 0], terms.curvature[:, 0, 0])
        )
        pearson = torch.zeros_like(self.counts)
        if self.objective.likelihood.has_dispersion:
            pearson = (self.weight * torch.where(real, g.square() / c, 0.0)).sum(1)
        heavy = self.x * (self.weight * c).unsqueeze(2)
        return BatchQuadratic(
            torch.linalg.vecdot(self.weight, nll),
            torch.bmm((self.weight * g).unsqueeze(1), self.x).squeeze(1),
            torch.bmm(self.x.mT, heavy),
            pearson,
        )

    def eta(self, thetas: Tensor) -> Tensor:
        """(G, m) the linear predictors, offsets included."""
        eta = torch.bmm(self.x, thetas.unsqueeze(2)).squeeze(2)
        return eta if self.offset is None else eta + self.offset


def stretches(objective: Objective, codes: Tensor, count: int) -> Iterator[Grouped]:
    """The rows by group, a stretch of groups of like size at a time: `codes` (rows,) say which of `count` groups.

    Groups without rows are in none.
    """
    design = objective.design
    sizes = torch.bincount(codes, minlength=count)
    order = torch.argsort(codes, stable=True)
    starts = sizes.cumsum(0) - sizes
    by_size = torch.argsort(sizes, stable=True)
    by_size = by_size[sizes[by_size] > 0]
    width, first = max(objective.layout.width, 1), 0
    ordered = sizes[by_size].tolist()
    while first < len(by_size):
        last = first + 1
        while last < len(by_size):
            m = ordered[last]
            if m > WASTE * ordered[first] or (last - first + 1) * m * width > ENTRIES:
                break
            last += 1
        yield _padded(objective, design, by_size[first:last], sizes, starts, order)
        first = last


def _padded(
    objective: Objective, design: Design, groups: Tensor, sizes: Tensor, starts: Tensor, order: Tensor
) -> Grouped:
    counts = sizes[groups]
    m = int(counts.max())
    place = torch.arange(m, device=counts.device)
    inside = place < counts[:, None]
    rows = order[torch.where(inside, starts[groups, None] + place, starts[groups, None])].reshape(-1)
    taken = design.take(rows)
    columns = taken.columns[0]
    shape = (len(groups), m)
    scratch = torch.empty(columns.dense.width, taken.n, dtype=torch.float64, device=counts.device)
    x = columns.rows(0, taken.n, scratch).model_matrix().reshape(*shape, -1)
    weight = inside.to(torch.float64)
    if taken.weight is not None:
        weight = weight * taken.weight.view(shape)
    offset = None if taken.offsets[0] is None else taken.offsets[0].view(shape)
    return Grouped(
        objective, x, taken.y.to(torch.float64).view(shape), weight, offset, counts.to(torch.float64), groups
    )
