"""Objective: the negative log-likelihood of a design, a sum over rows, and its derivatives in theta.

The chain from a predictor to theta is always rmatvec and gram: no graph ever spans rows and coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.design import Design
from torchglm.families.likelihood import Information, Likelihood, RowTerms
from torchglm.numerics.linalg import ENOUGH_DIGITS, Factored, factor_root
from torchglm.numerics.products import Precision
from torchglm.numerics.sums import Sums
from torchglm.objective.aliases import left_out_for_good
from torchglm.objective.joint import curvature_sums, factor_all, positive_part
from torchglm.objective.layout import Layout

LARGEST_ROOT = 2e11  # rows x p^2 up to which an orthogonal factorisation is worth its seconds
ROOT_ROWS = 4_096
FIRST_ROWS = 64
ROUGH_PIVOT = 0.01  # of a curvature in less than double precision: below, its step may lead anywhere


@dataclass(frozen=True)
class Slope:
    """Value and gradient (p,) at a theta: what one cheap pass gives."""

    value: float
    gradient: Tensor


@dataclass(frozen=True)
class Diagonal(Slope):
    """The diagonal (p,) of the expected information beside the slope, and Pearson's X2."""

    diagonal: Tensor
    pearson: float


@dataclass(frozen=True)
class Quadratic(Slope):
    """The local quadratic at a theta.

    curvature  factored H (p, p), of the expected or the observed information
    step       (p,) -H^-1 gradient: the full Newton or Fisher-scoring step
    pearson    sum of squared scores over their variance: with expected information, Pearson's X2
    length     the summed lengths of offset and terms in standard errors (phi = 1): what rounding scales with
    """

    curvature: Factored
    step: Tensor
    pearson: float
    length: float
    information: Information
    precision: Precision = "float64"  # of the curvature, and so of the step; value and gradient are float64


@dataclass
class Meter:
    """Counts the passes over the data."""

    passes: int = 0


@dataclass(frozen=True)
class Objective:
    """A likelihood over a design. All values are sums over rows, at phi = 1, up to a function of y."""

    design: Design
    likelihood: Likelihood
    meter: Meter = field(default_factory=Meter, compare=False, repr=False)
    precision: Precision = "float64"  # of the curvature in `quadratic`

    @cached_property
    def layout(self) -> Layout:
        """Where each coefficient stands."""
        return Layout(self.design.columns)

    @property
    def holds_some(self) -> bool:
        """Whether a combination of coefficients stays where it is, so that a slope along it is none to follow."""
        return False

    @property
    def is_newton(self) -> bool:
        """Whether the step of `quadratic`, or near an optimum that of `newton`, is a Newton step."""
        likelihood = self.likelihood
        if likelihood.is_canonical or not likelihood.is_convex:
            return True
        return len(self.design.columns) > 1 and self._has_one_curvature

    @cached_property
    def _has_one_curvature(self) -> bool:
        """Whether the expected information of the first rows is the observed one, as of classes in an order."""
        y = self.design.y[:FIRST_ROWS].to(torch.float64)
        if self.design.shares is not None:  # those of the first rank, for all
            y = self.design.everywhere([y.cpu()])[0].to(y.device)
        constants = self.likelihood.start(y, torch.ones_like(y))
        z = constants.expand(len(y), -1)
        expected, observed = (
            self.likelihood.expand(y, z, information=which).curvature for which in ("expected", "observed")
        )
        return torch.equal(expected, observed)

    def on(self, design: Design) -> Self:
        """The same function on other rows, whose passes count by themselves."""
        return replace(self, design=design, meter=Meter())

    def sum(self, row_sums: Callable[[Block], Sums], *, spread: bool = False) -> Sums:
        """One metered pass over the rows; `spread` as in Design.sum."""
        self.meter.passes += 1
        return self.design.sum(row_sums, spread=spread)

    def raw(self, theta: Tensor) -> list[Tensor]:
        """One vector of raw coefficients a predictor: the codings' share of eta, done once a pass."""
        betas = self.layout.split(theta)
        return [c.expand(beta) for c, beta in zip(self.design.columns, betas, strict=True)]

    @staticmethod
    def predictors(block: Block, raw: list[Tensor]) -> Tensor:
        """z (rows, q): the linear predictors of a block, offsets included."""
        if len(raw) == 1:
            eta, offset = block.columns[0].matvec(raw[0]), block.offsets[0]
            return (eta if offset is None else eta.add_(offset)).unsqueeze(1)
        z = _each(block, raw)
        for eta, offset in zip(z, block.offsets, strict=True):
            if offset is not None:
                eta += offset
        return z.T

    def values(self, thetas: Tensor) -> Tensor:
        """(p, m) -> (m,): the value at m thetas, in one pass."""
        raws = [self.raw(theta) for theta in thetas.T]

        def row_sums(block: Block) -> Sums:
            each = [_total(self.likelihood.nll(block.y, self.predictors(block, raw)), block.weight) for raw in raws]
            return Sums({"value": torch.stack(each)})

        return self.sum(row_sums, spread=True)["value"]

    def slope(self, theta: Tensor) -> Slope:
        """Value and gradient: one cheap pass."""
        raw = self.raw(theta)

        def row_sums(block: Block) -> Sums:
            nll, gradient = self.likelihood.slope(block.y, self.predictors(block, raw))
            return Sums({"value": _total(nll, block.weight), **gradient_sums(block, gradient)})

        sums = self.sum(row_sums, spread=True)
        return Slope(float(sums["value"]), self.collapse_gradient(sums))

    def quadratic(self, theta: Tensor, *, information: Information = "expected") -> Quadratic:
        """Value, gradient and factored curvature: one pass, and an orthogonal one where digits are short."""
        raw = self.raw(theta)

        def row_sums(block: Block) -> Sums:
            z = self.predictors(block, raw)
            terms = self.likelihood.expand(block.y, z, information=information)
            if information == "expected" and not self.likelihood.is_convex:
                terms = terms._replace(curvature=positive_part(terms.curvature))
            pearson = self._pearson(block.y, z, terms, information)
            length = torch.linalg.vecdot(z, _times(terms.curvature, z))
            block = block.in_precision(self.precision)
            return Sums(
                {
                    "value": _total(terms.nll, block.weight),
                    "pearson": _total(pearson, block.weight),
                    "length": _total(length, block.weight),
                    **gradient_sums(block, terms.gradient),
                    **curvature_sums(block, terms.curvature),
                }
            )

        sums = self.sum(row_sums, spread=True)
        gradient = self.collapse_gradient(sums)
        curvature = factor_all(self.layout, sums)
        if self.precision != "float64" and (curvature.indefinite or curvature.smallest_pivot < ROUGH_PIVOT):
            return replace(self, precision="float64").quadratic(theta, information=information)
        step = None
        short = curvature.smallest_pivot < ENOUGH_DIGITS and not curvature.indefinite and self._affords_root
        if short and not left_out_for_good(self, raw, curvature, information):
            curvature, step = self._root(raw, information)
        if step is None:
            step = curvature.solve(-gradient)
        value, pearson = float(sums["value"]), float(sums["pearson"])
        length = float(sums["length"].clamp(min=0.0).sqrt() + theta.abs().dot(curvature.lengths))
        return Quadratic(value, gradient, curvature, step, pearson, length, information, self.precision)

    def newton(self, theta: Tensor, aliased: Tensor) -> Quadratic:
        """The quadratic whose step leads down fastest: the observed one of a likelihood that is not convex.

        Where that is indefinite, or leaves out other columns than `aliased` (p,), it is the expected one.
        """
        if self.likelihood.is_convex:
            return self.quadratic(theta)
        point = self.quadratic(theta, information="observed")
        usable = not point.curvature.indefinite and torch.equal(point.curvature.aliased, aliased)
        return point if usable or not math.isfinite(point.value) else self.quadratic(theta)

    def _pearson(self, y: Tensor, z: Tensor, terms: RowTerms, information: Information) -> Tensor:
        """(rows,) squared scores over their variance, the expected information; zero where phi is known."""
        if not self.likelihood.has_dispersion:
            return torch.zeros_like(terms.nll)
        if information == "observed":
            terms = self.likelihood.expand(y, z, information="expected")
        return terms.gradient[:, 0].square() / terms.curvature[:, 0, 0]

    def diagonal(self, theta: Tensor) -> Diagonal:
        """Value, gradient and the diagonal of the expected information: one pass, no (p, p)."""
        raw = self.raw(theta)

        def row_sums(block: Block) -> Sums:
            z = self.predictors(block, raw)
            terms = self.likelihood.expand(block.y, z, information="expected")
            sums = {"value": _total(terms.nll, block.weight), **gradient_sums(block, terms.gradient)}
            for k, columns in enumerate(block.columns):
                h = terms.curvature[:, k, k]
                sums[f"squares {k}"] = columns.squares(h if block.weight is None else h * block.weight)
            pearson = self._pearson(block.y, z, terms, "expected")
            return Sums({**sums, "pearson": _total(pearson, block.weight)})

        sums = self.sum(row_sums, spread=True)
        each = [c.collapse_squares(sums[f"squares {k}"]) for k, c in enumerate(self.design.columns)]
        return Diagonal(float(sums["value"]), self.collapse_gradient(sums), torch.cat(each), float(sums["pearson"]))

    def curvature_product(self, theta: Tensor, v: Tensor) -> Tensor:
        """H v (p,) of the observed information, without (p, p): one pass."""
        raw, raw_v = self.raw(theta), self.raw(v)

        def row_sums(block: Block) -> Sums:
            terms = self.likelihood.expand(block.y, self.predictors(block, raw), information="observed")
            along = _each(block, raw_v).T
            return Sums(gradient_sums(block, _times(terms.curvature, along)))

        return self.collapse_gradient(self.sum(row_sums, spread=True))

    @property
    def _affords_root(self) -> bool:
        few = self.design.n * self.layout.width**2 <= LARGEST_ROOT
        return few and len(self.design.columns) == 1

    def _root(self, raw: list[Tensor], information: Information) -> tuple[Factored, Tensor]:
        """Curvature and step from R of diag(sqrt(w)) [X, -g/w], merged over blocks: R of [R1; R2] (TSQR)."""
        self.meter.passes += 1
        root: Tensor | None = None
        for block in self.design.blocks(ROOT_ROWS):
            terms = self.likelihood.expand(block.y, self.predictors(block, raw), information=information)
            curvature = terms.curvature[:, 0, 0]
            working = torch.where(curvature > 0, -terms.gradient[:, 0] / curvature, 0.0)
            heavy = (curvature if block.weight is None else curvature * block.weight).sqrt()
            rows = torch.cat([block.columns[0].model_matrix(), working[:, None]], dim=1) * heavy[:, None]
            root = torch.linalg.qr(rows if root is None else torch.cat([root, rows]), mode="r")[1]
        assert root is not None
        if self.design.shares is not None:
            every: Tensor = torch.cat(self.design.everywhere([root.cpu()])).to(root.device)
            root = torch.linalg.qr(every, mode="r")[1]
            assert root is not None
        lengths = (root[:, :-1].square().sum(0) + self._center_lengths(root)).sqrt()
        return factor_root(root[:, :-1], root[:, -1], self.layout.order, lengths)

    def _center_lengths(self, root: Tensor) -> Tensor:
        """What centring took off the squared length of each column: center^2 times the sum of the weights."""
        if not self.layout.is_centered:
            return torch.zeros_like(root[0, :-1])
        return self.layout.centers.square() * root[:, 0].square().sum()  # the constant's own length

    def collapse_gradient(self, sums: Sums) -> Tensor:
        """(p,) from the raw sums of `gradient_sums`."""
        return torch.cat([c.collapse(sums[f"gradient {k}"]) for k, c in enumerate(self.design.columns)])


def _together(group: tuple[int, ...]) -> slice | list[int]:
    """The places of a group as an index: a slice where they follow each other, for that copies nothing."""
    first, last = group[0], group[-1]
    return slice(first, last + 1) if last - first + 1 == len(group) else list(group)


def _each(block: Block, raw: list[Tensor]) -> Tensor:
    """(q, rows) the columns of each predictor times its raw coefficients, without offsets."""
    z = torch.empty(len(raw), block.rows, dtype=torch.float64, device=block.y.device)
    for group in block.groups:
        columns = block.columns[group[0]]
        if len(group) == 1:
            z[group[0]] = columns.matvec(raw[group[0]])
        else:
            z[_together(group)] = columns.matmul(torch.stack([raw[k] for k in group], dim=1)).T
    return z


def _times(curvature: Tensor, z: Tensor) -> Tensor:
    """(rows, q) C z of row curvatures (rows, q, q) and vectors (rows, q)."""
    out = curvature[:, :, 0] * z[:, :1]
    for k in range(1, z.shape[1]):
        out.addcmul_(curvature[:, :, k], z[:, k : k + 1])
    return out


def _total(rows: Tensor, weight: Tensor | None) -> Tensor:
    return rows.sum() if weight is None else torch.dot(rows, weight)


def gradient_sums(block: Block, gradient: Tensor) -> dict[str, Tensor]:
    """Raw gradient sums of each predictor, from row gradients (rows, q)."""
    if block.weight is not None:
        gradient = gradient * block.weight[:, None]
    if len(block.columns) == 1:
        return {"gradient 0": block.columns[0].rmatvec(gradient[:, 0])}
    sums, each = {}, gradient.T
    for group in block.groups:
        rows = block.columns[group[0]].rmatmul(each[_together(group)])
        sums |= {f"gradient {k}": row for k, row in zip(group, rows, strict=True)}
    return sums
