"""Many problems over one design at once: other weights, other responses or other fixed coefficients for each.

With B problems, Theta (B, p) and the rows X of a block written out, a pass is four matrix products:

    Eta = Theta X'      value_b = sum_i W_bi nll_bi      gradient = (W . G) X      curvature = (W . C) P

P (rows, p (p + 1) / 2) holds the products of pairs of columns, so that all B curvatures are one product too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.families.family import Family
from torchglm.families.likelihood import RowTerms
from torchglm.numerics.machine import entries_on
from torchglm.numerics.sums import Sums
from torchglm.numerics.triangles import Triangles, factor_many
from torchglm.objective.objective import Objective

ENTRIES = 1 << 19  # of problems x rows in a block: its dozen temporaries stay near the cache
TEMPORARIES = 8  # of the size of a block, which are in use at once
MOST_PAIRS = 1 << 20  # of rows x pairs of columns in a block
LEVERAGE_ONE = 1.5e-8  # 1 - h below it is rounding in half of its digits
MOST_PAIRED = 100  # columns: beyond, their pairs written out cost more than a product a problem
FEW = 16  # problems, half as many as columns at most: for them too


@dataclass(frozen=True)
class BatchQuadratic:
    """The local quadratics of B problems, of the expected information.

    Shapes: value (B,), gradient (B, p), curvature (B, p, p), pearson (B,): zero where the likelihood has no dispersion.
    """

    value: Tensor
    gradient: Tensor
    curvature: Tensor
    pearson: Tensor


@dataclass(frozen=True)
class Hats:
    """What tells leverages h: inverse curvatures (B, p, p); and the power of 1 - h that divides squared scores."""

    inverses: Tensor
    power: int

    def divided(self, squares: Tensor, h: Tensor) -> Tensor:
        """Squared scores over (1 - h)^power; NaN where h is one."""
        rest = 1.0 - h
        return squares / torch.where(rest < LEVERAGE_ONE, torch.nan, rest).pow(self.power)


class Problems(Protocol):
    """Problems that are solved together."""

    @property
    def objective(self) -> Objective:
        """Whose likelihood and layout they share."""
        ...

    @property
    def rows(self) -> Tensor:
        """(B,) or () how many rows each has."""
        ...

    def of(self, which: Tensor) -> Self:
        """The problems at `which`."""
        ...

    def quadratic(self, thetas: Tensor, values: bool = True) -> BatchQuadratic:
        """Each problem at its own theta (B, p). Without `values` the value may be zero."""
        ...


class Models(Problems, Protocol):
    """Problems whose standard errors are wanted too."""

    def start(self, family: Family) -> Tensor:
        """thetas (B, p) after the first scoring step from the family's starting means; NaN where one has no finite eta.

        Source: the first iteration of stats::glm.fit from `mustart`.
        """
        ...

    def meat(self, thetas: Tensor, repeats: bool, hats: Hats | None = None) -> Tensor:
        """(B, p, p) the sum over rows of s s', s = w g x the score; of w g^2 x x' where a weight `repeats` its row.

        With `hats` squares are divided by powers of 1 - leverage.
        """
        ...

    def pearson(self, thetas: Tensor) -> Tensor:
        """(B,) Pearson's X2."""
        ...

    def to_user(self, thetas: Tensor) -> Tensor:
        """thetas (B, p), inner order -> the formula's order, on the columns as given."""
        ...

    def user_variances(self, covariances: Tensor) -> Tensor:
        """Inner covariances (B, p, p) -> the variances (B, p) of the formula's coefficients."""
        ...

    def inverse_variances(self, factored: Triangles) -> Tensor:
        """The same of inverse curvatures, without the rest of them."""
        ...


@dataclass(frozen=True)
class Batch:
    """Problems that share a design. Scale: sums over rows, phi = 1, inner order, as `Objective`.

    Shapes: `weights` (B, rows) multiply the rows' own, `responses` (B, rows) replace y; None: as they are.
    """

    objective: Objective
    weights: Tensor | None = None
    responses: Tensor | None = None

    @cached_property
    def _pairs(self) -> tuple[Tensor, Tensor]:
        p = self.objective.layout.width
        first, second = torch.triu_indices(p, p, device=self.objective.design.device)
        return first, second

    @property
    def count(self) -> int:
        """How many problems they are."""
        return len(self.responses if self.weights is None else self.weights)  # type: ignore[arg-type]

    @property
    def rows(self) -> Tensor:
        """() how many rows every problem has."""
        return torch.tensor(float(self.objective.design.n), dtype=torch.float64, device=self.objective.design.device)

    def of(self, which: Tensor) -> Batch:
        """The problems at `which`."""
        weights, responses = (None if t is None else t[which] for t in (self.weights, self.responses))
        return Batch(self.objective, weights, responses)

    def quadratic(self, thetas: Tensor, values: bool = True) -> BatchQuadratic:
        """Each problem at its own theta (B, p): one pass for all. Without `values` the value is zero, and cheaper."""
        return self._at(thetas, lambda y, eta, *_: self._expand(y, eta, values))

    def _at(
        self, thetas: Tensor, terms: Callable[[Tensor, Tensor, Tensor, Tensor], dict[str, Tensor]]
    ) -> BatchQuadratic:
        """The sums of row terms at each problem's own theta, of y, z, weights: (problems * rows,) each; and x."""
        count = len(thetas)

        def row_sums(block: Block) -> Sums:
            x = block.columns[0].model_matrix()
            eta = torch.mm(thetas, x.T)
            if block.offsets[0] is not None:
                eta += block.offsets[0]
            y = self._cut(self.responses, block)
            y = block.y.expand(count, block.rows) if y is None else y
            w = self._weights(block)
            w = torch.ones_like(block.y) if w is None else w
            found = terms(y.reshape(-1), eta.reshape(-1, 1), w.expand(count, block.rows).reshape(-1), x)
            return self._sums(block, x, {name: t.view(count, block.rows) for name, t in found.items()})

        return self._quadratic(self.objective.design, row_sums, count)

    def start(self, family: Family) -> Tensor:
        """See `Models`."""
        link = family.link

        def terms(y: Tensor, z: Tensor, w: Tensor, x: Tensor) -> dict[str, Tensor]:
            mu = family.start(y, w)
            eta = link.link(mu)
            slope = link.derivative(eta)
            working = slope.square() / family.variance(mu)
            gap = eta + (y - mu) / slope - z[:, 0]  # at theta zero: the offset; not finite where mu has no eta
            return {"gradient": -working * gap, "curvature": working}

        shape = (self.count, self.objective.layout.width)
        zeros = torch.zeros(shape, dtype=torch.float64, device=self.objective.design.device)
        return first_step(self._at(zeros, terms), self.objective.layout.order)

    def meat(self, thetas: Tensor, repeats: bool, hats: Hats | None = None) -> Tensor:
        """See `Models`."""

        def terms(y: Tensor, z: Tensor, w: Tensor, x: Tensor) -> dict[str, Tensor]:
            gradient, curvature = (rows.view(len(y)) for rows in self.objective.likelihood.step(y, z))
            squares = gradient.square()
            if hats is not None:
                h = self._forms(x, hats.inverses).reshape(-1) * curvature
                squares = hats.divided(squares, h if repeats else h * w)
            return {"gradient": gradient, "curvature": squares if repeats else squares * w}

        return self._at(thetas, terms).curvature

    def pearson(self, thetas: Tensor) -> Tensor:
        """See `Models`."""

        def terms(y: Tensor, z: Tensor, w: Tensor, x: Tensor) -> dict[str, Tensor]:
            gradient, curvature = self.objective.likelihood.step(y, z)
            rows = {"gradient": gradient[:, 0], "curvature": curvature[:, 0, 0]}
            return rows | {"pearson": pearson_rows(**rows)}

        return self._at(thetas, terms).pearson

    def to_user(self, thetas: Tensor) -> Tensor:
        """See `Models`."""
        return self.objective.layout.to_user(thetas.T).T

    def user_variances(self, covariances: Tensor) -> Tensor:
        """See `Models`."""
        variances = covariances.diagonal(dim1=1, dim2=2)[:, self.objective.layout.order]
        for place, along in self.objective.layout.shifted_constants():
            variances[:, place] = torch.einsum("i,bij,j->b", along, covariances, along)
        return variances

    def inverse_variances(self, factored: Triangles) -> Tensor:
        """See `Models`."""
        variances = factored.inverse_diagonal()[:, self.objective.layout.order]
        for place, direction in self.objective.layout.shifted_constants():
            along = direction.expand(len(variances), -1)
            variances[:, place] = (along * factored.solve(along)).sum(1)
        return variances

    def shared(self, theta: Tensor) -> BatchQuadratic:
        """Every problem at one theta (p,): rows are evaluated once. Only where they share their responses."""

        def row_sums(block: Block) -> Sums:
            x = block.columns[0].model_matrix()
            eta = torch.mv(x, theta)
            if block.offsets[0] is not None:
                eta += block.offsets[0]
            terms = self._expand(block.y, eta[:, None], True)
            return self._sums(block, x, {name: t.view(1, block.rows) for name, t in terms.items()})

        found = self._quadratic(self.objective.design, row_sums, self.count)
        return BatchQuadratic(*(t.expand(self.count, *t.shape[1:]) for t in vars(found).values()))

    def _expand(self, y: Tensor, z: Tensor, values: bool) -> dict[str, Tensor]:
        """Gradient and curvature, nll with `values`, squared Pearson residuals where phi is estimated; (rows,) each."""
        likelihood = self.objective.likelihood
        if not values and not likelihood.has_dispersion:
            gradient, curvature = likelihood.step(y, z)
            return {"gradient": gradient[:, 0], "curvature": curvature[:, 0, 0]}
        terms: RowTerms = likelihood.expand(y, z, information="expected")
        rows = {"value": terms.nll, "gradient": terms.gradient[:, 0], "curvature": terms.curvature[:, 0, 0]}
        if likelihood.has_dispersion:
            rows["pearson"] = rows["gradient"].square() / rows["curvature"]
        return rows

    def _cut(self, rows: Tensor | None, block: Block) -> Tensor | None:
        return None if rows is None else rows[:, block.start : block.start + block.rows]

    def _weights(self, block: Block) -> Tensor | None:
        """(B or 1, rows) each problem's weights times the rows' own; None for ones."""
        w = self._cut(self.weights, block)
        if block.weight is None:
            return w
        return block.weight[None, :] if w is None else w * block.weight

    def _sums(self, block: Block, x: Tensor, terms: dict[str, Tensor]) -> Sums:
        """The sums of row terms (B or 1, rows), each problem's weights applied."""
        w = self._weights(block)
        w = torch.ones_like(terms["gradient"][:1]) if w is None else w
        sums = {name: _dot(w, terms[name]) for name in ("value", "pearson") if name in terms}
        sums["gradient"] = torch.mm(w * terms["gradient"], x)
        sums["pairs"] = self._pair_sums(w * terms["curvature"], x)
        return Sums(sums)

    def _pair_sums(self, w: Tensor, x: Tensor) -> Tensor:
        """(B, p (p + 1) / 2) sum_i w_bi x_ij x_ik."""
        if writes_pairs(len(w), x.shape[1]):
            return torch.mm(w, pair_products(x).T)
        first, second = self._pairs
        return torch.stack([torch.mm(x.T * one, x)[first, second] for one in w])

    def _forms(self, x: Tensor, matrices: Tensor) -> Tensor:
        """(B, rows) x_i' M x_i of symmetric matrices (B, p, p)."""
        first, second = self._pairs
        if writes_pairs(len(matrices), x.shape[1]):
            return (matrices[:, first, second] * torch.where(first == second, 1.0, 2.0)) @ pair_products(x)
        return torch.stack([((x @ one) * x).sum(1) for one in matrices])

    def _quadratic(self, design: object, row_sums: object, count: int) -> BatchQuadratic:
        objective = self.objective
        first, second = self._pairs
        p = objective.layout.width
        beside = len(first) if writes_pairs(count, p) else p  # what is written out beside each row
        device = objective.design.device
        rows = max(min(entries(device) // count, entries(device, MOST_PAIRS) // max(beside, 1)), 64)
        objective.meter.passes += 1
        sums = objective.design.sum(row_sums, rows)  # type: ignore[arg-type]
        pairs = sums["pairs"]
        curvature = pairs.new_empty(len(pairs), p, p)
        curvature[:, first, second] = pairs
        curvature[:, second, first] = pairs
        value, pearson = (sums.parts.get(name, pairs.new_zeros(len(pairs))) for name in ("value", "pearson"))
        return BatchQuadratic(value, sums["gradient"], curvature, pearson)


def entries(device: torch.device, most: int = ENTRIES) -> int:
    """How many numbers a block may have: `most` on a processor, whose cache is small, and more on a GPU."""
    return most if device.type == "cpu" else entries_on(device) // TEMPORARIES


def writes_pairs(problems: int, columns: int) -> bool:
    """Whether the products of pairs of columns are written out, once for all problems."""
    return columns <= MOST_PAIRED and 2 * problems > min(columns, 2 * FEW)


def pair_products(x: Tensor) -> Tensor:
    """(p (p + 1) / 2, rows) the products of the columns of x (rows, p) with themselves and those after them."""
    if x.device.type != "cpu":  # where one launch costs more than rows looked up
        first, second = torch.triu_indices(x.shape[1], x.shape[1], device=x.device)
        return (x[:, first] * x[:, second]).T
    x = x.T.contiguous()
    out, at = x.new_empty(len(x) * (len(x) + 1) // 2, x.shape[1]), 0
    for j, column in enumerate(x):
        torch.mul(column, x[j:], out=out[at : at + len(x) - j])
        at += len(x) - j
    return out


def pearson_rows(gradient: Tensor, curvature: Tensor) -> Tensor:
    """(rows,) squared Pearson residuals: squared scores over the expected information; zero where there is none."""
    return torch.where(curvature > 0, gradient.square() / curvature, 0.0)


def first_step(found: BatchQuadratic, order: Tensor) -> Tensor:
    """(B, p) the scoring step from zero; NaN where the sums are not finite."""
    free = torch.ones_like(found.gradient, dtype=torch.bool)
    theta = factor_many(found.curvature, free, order).solve(-found.gradient)
    finite = torch.isfinite(found.gradient).all(1) & torch.isfinite(found.curvature).flatten(1).all(1)
    return torch.where(finite[:, None], theta, torch.nan)


def _dot(w: Tensor, rows: Tensor) -> Tensor:
    """(B,) sum_i w_bi rows_bi, where either may be one row for all."""
    if len(rows) == 1:
        return torch.mv(w, rows[0])
    if len(w) == 1:
        return torch.mv(rows, w[0])
    return torch.linalg.vecdot(w, rows)
