"""Many problems over rows of their own: one model a group of rows, the rows of like-sized groups side by side.

With G groups padded to m rows, X (p, G, m) and a weight of zero in the padding, a pass is two batched products:

    eta = theta X      [curvature; gradient] = [w c X; w g] X'

Each group's columns are centred on its own means where there is a constant, so that a column that is far from zero
within a group costs no digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from torchglm.design.columns import RowColumns
from torchglm.families.family import Family
from torchglm.numerics.machine import entries_on
from torchglm.numerics.triangles import Triangles
from torchglm.objective.batch import BatchQuadratic, Hats, first_step, pearson_rows
from torchglm.objective.objective import Objective

ENTRIES = 1 << 21  # of a padded stretch of groups: 16 MB
CACHED = 1 << 19  # of them looked at together
WASTE = 1.3  # times its smallest group, at most, that a stretch is padded to

RowTerms = Callable[[slice], tuple[Tensor, Tensor, dict[str, Tensor]]]  # groups -> gradient, curvature, others (G, m)


@dataclass(frozen=True)
class Grouped:
    """The problems of some groups. Scale: sums over rows, phi = 1, inner order, each group about its own `centers`.

    Shapes: x (p, G, m), y, offset (G, m), weight (G, m) or None for ones; `counts` (G,) rows of each; `groups` (G,)
    which groups they are; `centers` (G, p) what was subtracted from their columns as given; `room` scratch like x.
    """

    objective: Objective
    x: Tensor
    y: Tensor
    weight: Tensor | None
    offset: Tensor | None
    counts: Tensor
    groups: Tensor
    centers: Tensor
    room: Tensor

    @property
    def rows(self) -> Tensor:
        """(G,) how many rows each problem has."""
        return self.counts

    def of(self, which: Tensor) -> Grouped:
        """The problems at `which`."""
        weight, offset = (None if t is None else t[which] for t in (self.weight, self.offset))
        y, counts, groups, centers = (t[which] for t in (self.y, self.counts, self.groups, self.centers))
        return Grouped(self.objective, self.x[:, which], y, weight, offset, counts, groups, centers, self.room)

    def quadratic(self, thetas: Tensor, values: bool = True) -> BatchQuadratic:
        """Each problem at its own theta (G, p): one pass. Without `values` the value is zero, and cheaper."""
        likelihood = self.objective.likelihood

        def terms(some: slice) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            y, z = self.y[some], self.eta(thetas, some)
            flat, shape = (y.reshape(-1), z.reshape(-1, 1)), y.shape
            if not values and not likelihood.has_dispersion:
                g, c = likelihood.step(*flat)
                return g.view(shape), c.view(shape), {}
            rows = likelihood.expand(*flat)
            g, c = rows.gradient.view(shape), rows.curvature.view(shape)
            others = {"value": rows.nll.view(shape)}
            if likelihood.has_dispersion:
                others["pearson"] = g.square() / c
            return g, c, others

        return self._sums(terms)

    def eta(self, thetas: Tensor, some: slice = slice(None)) -> Tensor:
        """(G, m) the linear predictors, offsets included, of `some` groups."""
        eta = torch.bmm(thetas[some].unsqueeze(1), self.x[:, some].transpose(0, 1)).squeeze(1)
        return eta if self.offset is None else eta.add_(self.offset[some])

    def start(self, family: Family) -> Tensor:
        """See `Models`."""
        link = family.link

        def terms(some: slice) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            y = self.y[some]
            w = torch.ones_like(y) if self.weight is None else self.weight[some]
            mu = family.start(y, w)
            eta = link.link(mu)
            slope = link.derivative(eta)
            working = slope.square() / family.variance(mu)
            gap = eta + (y - mu) / slope  # not finite where mu has no eta
            if self.offset is not None:
                gap = gap - self.offset[some]
            return -working * gap, working, {}

        return first_step(self._sums(terms), self.objective.layout.order)

    def meat(self, thetas: Tensor, repeats: bool, hats: Hats | None = None) -> Tensor:
        """See `Models`."""

        def terms(some: slice) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            g, c = self._step(thetas, some)
            squares, w = g.square(), 1.0 if self.weight is None or repeats else self.weight[some]
            if hats is not None:
                x = self.x[:, some].transpose(0, 1)
                h = (torch.bmm(hats.inverses[some], x) * x).sum(1) * c
                squares = hats.divided(squares, h * w)
            return g, squares * w, {}

        return self._sums(terms).curvature

    def pearson(self, thetas: Tensor) -> Tensor:
        """See `Models`."""

        def terms(some: slice) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
            g, c = self._step(thetas, some)
            return g, c, {"pearson": pearson_rows(g, c)}

        return self._sums(terms).pearson

    def _step(self, thetas: Tensor, some: slice) -> tuple[Tensor, Tensor]:
        """Gradients and expected curvatures (G, m) of the rows of `some` groups."""
        y, z = self.y[some], self.eta(thetas, some)
        g, c = self.objective.likelihood.step(y.reshape(-1), z.reshape(-1, 1))
        return g.view(y.shape), c.view(y.shape)

    def to_user(self, thetas: Tensor) -> Tensor:
        """See `Models`."""
        out = thetas
        if self.objective.layout.columns[0].constant:
            out = thetas.clone()
            out[:, 0] -= (self.centers * thetas).sum(1)
        return out[:, self.objective.layout.order]

    def user_variances(self, covariances: Tensor) -> Tensor:
        """See `Models`."""
        variances = covariances.diagonal(dim1=1, dim2=2).clone()
        if self.objective.layout.columns[0].constant:
            along = self._constant
            variances[:, 0] = torch.einsum("gi,gij,gj->g", along, covariances, along)
        return variances[:, self.objective.layout.order]

    def inverse_variances(self, factored: Triangles) -> Tensor:
        """See `Models`."""
        variances = factored.inverse_diagonal()
        if self.objective.layout.columns[0].constant:
            along = self._constant
            variances[:, 0] = (along * factored.solve(along)).sum(1)
        return variances[:, self.objective.layout.order]

    @property
    def _constant(self) -> Tensor:
        """(G, p) the direction inside that the constant on the columns as given is."""
        along = -self.centers
        along[:, 0] += 1.0
        return along

    def _sums(self, terms: RowTerms) -> BatchQuadratic:
        """The sums over rows of gradient, curvature and others, weights applied: a few groups at a time."""
        p, count, m = self.x.shape
        gradient = self.y.new_empty(count, p)
        curvature = self.y.new_empty(count, p, p)
        totals = {name: self.y.new_zeros(count) for name in ("value", "pearson")}
        size = max(CACHED // max(p * m, 1), 1) if self.x.device.type == "cpu" else count
        self.objective.meter.passes += 1
        for first in range(0, count, size):
            some = slice(first, min(first + size, count))
            g, c, others = terms(some)
            if self.weight is not None:
                g, c = g * self.weight[some], c * self.weight[some]
            for name, rows in others.items():
                totals[name][some] = rows.sum(1) if self.weight is None else (rows * self.weight[some]).sum(1)
            x = self.x[:, some]
            heavy = self.room[: (p + 1) * x[0].numel()].view(p + 1, *x[0].shape)
            torch.mul(x, c, out=heavy[:p])
            heavy[p] = g
            product = torch.bmm(heavy.transpose(0, 1), x.permute(1, 2, 0))
            curvature[some], gradient[some] = product[:, :p], product[:, p]
        return BatchQuadratic(totals["value"], gradient, curvature, totals["pearson"])


@dataclass(frozen=True)
class Groups:
    """Which rows of a design are in which of `count` groups: rows `order` (n,), or as they lie, group after group.

    Shapes: sizes, starts (count,): group k holds the rows order[starts[k] : starts[k] + sizes[k]].
    """

    order: Tensor | None
    sizes: Tensor
    starts: Tensor

    @staticmethod
    def of(codes: Tensor, count: int) -> Groups:
        """Those of the codes (n,) of the rows."""
        sizes = torch.bincount(codes, minlength=count)
        starts = sizes.cumsum(0) - sizes
        if len(codes) < 2 or bool((codes[1:] >= codes[:-1]).all()):
            return Groups(None, sizes, starts)
        return Groups(sorted_rows(codes, count), sizes, starts)

    def rows(self, group: int) -> Tensor:
        """The rows of one group."""
        first, size = int(self.starts[group]), int(self.sizes[group])
        if self.order is None:
            return torch.arange(first, first + size, device=self.sizes.device)
        return self.order[first : first + size]


def sorted_rows(codes: Tensor, count: int) -> Tensor:
    """(n,) the rows in the order of their codes, those of one code as they lie."""
    if codes.device.type != "cpu":
        return torch.argsort(codes, stable=True)
    # numpy sorts 16-bit integers by their digits, ten times as fast as anything sorts longer ones.
    values = codes.numpy()
    order = np.argsort((values & 0xFFFF).astype(np.uint16), kind="stable")
    for shift in range(16, max(count - 1, 1).bit_length(), 16):
        digits = ((values >> shift) & 0xFFFF).astype(np.uint16)
        order = order[np.argsort(digits[order], kind="stable")]
    return torch.from_numpy(order)


def stretches(objective: Objective, groups: Groups, which: Tensor) -> Iterator[Grouped]:
    """The groups `which`, none without rows, a stretch of like-sized groups at a time.

    The memory is reused: a stretch is dead when the next one comes.
    """
    device = groups.sizes.device
    rows = entries_on(device, ENTRIES) // max(objective.layout.width, 1)
    by_size = which[torch.argsort(groups.sizes[which], stable=True)]
    ordered = groups.sizes[by_size].cpu().numpy()
    rooms: dict[str, Tensor] = {}
    first = 0
    while first < len(ordered):
        smallest = ordered[first]
        alike = ordered[first : first + rows // smallest + 1]
        alike = alike[alike <= WASTE * smallest]
        padded = alike * np.arange(1, len(alike) + 1)  # rows, if the stretch ended here
        last = first + max(int(np.searchsorted(padded, rows, side="right")), 1)
        yield _padded(objective, groups, by_size[first:last], rooms)
        first = last


def _padded(objective: Objective, groups: Groups, some: Tensor, rooms: dict[str, Tensor]) -> Grouped:
    design, p = objective.design, objective.layout.width
    counts = groups.sizes[some]
    m = int(counts.max())
    shape, n = (len(some), m), len(some) * m
    place = torch.arange(m, device=counts.device)
    full = bool((counts == m).all())
    first = groups.starts[some]
    if full and groups.order is None and bool((first[1:] == first[:-1] + m).all()):
        taken = design.stretch(int(first[0]), int(first[0]) + n)
    else:
        inside = place if full else torch.where(place < counts[:, None], place, 0)  # padding repeats the first row
        rows = (first[:, None] + inside).reshape(-1)
        taken = design.take(rows if groups.order is None else groups.order[rows])
    scratch = _room(rooms, "scratch", design.columns[0].dense.width * n, counts)
    columns = taken.columns[0].rows(0, n, scratch.view(-1, n))
    x = write_columns(columns, _room(rooms, "x", p * n, counts).view(p, n)).view(p, *shape)
    centers = x.new_zeros(len(some), p)
    if design.columns[0].constant:
        shift = x[1:].mean(2)
        x[1:] -= shift.unsqueeze(2)
        centers[:, 1:] = shift.T + objective.layout.centers[1:]
    weight = None if taken.weight is None else taken.weight.view(shape)
    if not full:
        real = (place < counts[:, None]).to(torch.float64)
        weight = real if weight is None else weight * real
    offset = None if taken.offsets[0] is None else taken.offsets[0].view(shape)
    together = min(n, max(CACHED // max(p, 1), m)) if counts.device.type == "cpu" else n
    room = _room(rooms, "room", (p + 1) * together, counts)
    y = taken.y.to(torch.float64).view(shape)
    return Grouped(objective, x, y, weight, offset, counts.to(torch.float64), some, centers, room)


def _room(rooms: dict[str, Tensor], name: str, entries: int, like: Tensor) -> Tensor:
    """Memory that stretches share: fresh pages cost more than what is computed in them."""
    if name not in rooms or len(rooms[name]) < entries:
        rooms[name] = torch.empty(entries, dtype=torch.float64, device=like.device)
    return rooms[name][:entries]


def write_columns(rows: RowColumns, out: Tensor) -> Tensor:
    """`out` (p, rows), the model matrix column by column in the inner order."""
    whole, start = rows.whole, int(rows.whole.constant)
    out[:start] = 1.0
    if rows.dense is not None:
        out[start : start + len(rows.dense)] = rows.dense
        start += len(rows.dense)
    for part, coded in zip(whole.coded, rows.coded, strict=True):
        stop = start + part.coding.width
        torch.index_select(part.coding.dense().T.contiguous(), 1, coded.codes, out=out[start:stop])
        if coded.values is not None:
            out[start:stop] *= coded.values
        start = stop
    return out
