"""Models of several linear predictors: their estimate, their names, and the record that leads to new data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.columns import Columns
from torchglm.design.design import Design
from torchglm.design.extras import Extra
from torchglm.design.parts import Dense
from torchglm.design.prepare_many import Together
from torchglm.design.schema import Schema
from torchglm.design.weights import Frequency
from torchglm.errors import DomainError, OptionError
from torchglm.families.family import Family
from torchglm.families.likelihood import Information, Likelihood
from torchglm.inference.estimate import Estimate
from torchglm.inference.record import Record
from torchglm.inference.totals import Totals
from torchglm.numerics.linalg import Factored
from torchglm.numerics.sums import Sums
from torchglm.objective.joint import curvature_sums, positive_part
from torchglm.objective.objective import Objective
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import run
from torchglm.solvers.start import Evaluated, Start

BESIDE = 0.1  # of the predictors, around a start


@dataclass(frozen=True)
class Predictor:
    """One linear predictor of a model.

    part      which formula its columns come from; None for a constant alone
    prefix    put before the names of its columns
    constant  the name of its constant where it is alone, as "1|2" of a cut
    intercept whether its formula's constant is kept: the cuts of an ordinal model stand for it
    takers    those that stand for it then, by their places
    """

    part: int | None
    prefix: str = ""
    constant: str = "Intercept"
    intercept: bool = True
    takers: tuple[int, ...] = ()

    def names(self, schemas: tuple[Schema, ...]) -> tuple[str, ...]:
        """Of its coefficients, in the formula's order."""
        if self.part is None:
            return (self.constant,)
        schema = schemas[self.part]
        dropped = not self.intercept and schema.has_intercept
        kept = [name for name in schema.names if not (dropped and name == "Intercept")]
        return tuple(self.prefix + name for name in kept)

    def columns(self, of_part: tuple[Columns, ...], alone: Columns) -> Columns:
        """Its columns among those of the formulas, or `alone`. Predictors that share columns are summed together."""
        if self.part is None:
            return alone
        columns = of_part[self.part]
        if self.intercept or not columns.constant:
            return columns
        kept = torch.ones(columns.width, dtype=torch.bool, device=columns.positions.device)
        kept[0] = False
        return replace(columns, takers=self.takers).restricted(kept)


def constant_alone(device: torch.device) -> Columns:
    """The columns of a predictor that is a constant."""
    return Columns(True, _nothing(device), (), torch.zeros(1, dtype=torch.int64, device=device))


def no_columns(device: torch.device) -> Columns:
    """The columns of a predictor that is its offset, or zero."""
    return Columns(False, _nothing(device), (), torch.zeros(0, dtype=torch.int64, device=device))


def _nothing(device: torch.device) -> Dense:
    return Dense((), torch.empty(0, dtype=torch.float64, device=device))


def joined(predictors: tuple[Predictor, ...], designs: tuple[Design, ...]) -> Design:
    """One design with the columns and offset of every predictor, from the designs of the formulas."""
    first = designs[0]
    of_part = tuple(design.columns[0] for design in designs)
    alone = constant_alone(first.device)
    columns = tuple(predictor.columns(of_part, alone) for predictor in predictors)
    offsets = tuple(None if one.part is None else designs[one.part].offsets[0] for one in predictors)
    return replace(first, columns=columns, offsets=offsets)


@dataclass(frozen=True)
class VectorModel:
    """What a model of several predictors is, apart from its data; `title` heads its summary.

    columns        kind of prediction -> the names of its columns, where they are not the classes
    ordered        whether its classes have an order
    information    what its standard errors come from: "expected" where the likelihood is convex and knows it
    largest_count  of a model of counts, the largest count of the fit: up to it `predict` gives probabilities
    """

    title: str
    name: str
    link: str
    likelihood: Likelihood
    predictors: tuple[Predictor, ...]
    largest_count: int | None = None
    columns: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    ordered: bool = False
    information: Information = "observed"

    @property
    def null_rank(self) -> int:
        """The coefficients of the model without terms: a constant for every predictor that may have one."""
        return sum(predictor.intercept for predictor in self.predictors)

    def names(self, schemas: tuple[Schema, ...]) -> tuple[str, ...]:
        """Of all coefficients: the predictors in turn."""
        return tuple(name for predictor in self.predictors for name in predictor.names(schemas))


@dataclass(frozen=True)
class VectorRecord(Record):
    """The record of such a model: one schema a formula, and the offsets that stand in each."""

    model: VectorModel = field(kw_only=True)
    schemas: tuple[Schema, ...] = field(kw_only=True)
    part_offsets: tuple[tuple[Extra, ...], ...] = field(kw_only=True)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The coefficients' names, predictor by predictor."""
        return self.model.names(self.schemas)

    def offsets_of(self, part: int) -> tuple[tuple[Extra, ...], Extra | None]:
        """The offsets and the exposure of one formula. The first has those of the call."""
        return self.part_offsets[part], None if part else self.exposure

    @property
    def has_offset(self) -> bool:
        """Whether something is added to a predictor."""
        return self.exposure is not None or any(self.part_offsets)

    @property
    def null_rank(self) -> int:
        return self.model.null_rank

    def refuse_several(self, what: str) -> None:
        raise OptionError(
            f"{what} is for fits of glm(), with one linear predictor; this fit has several: "
            f"{self.model.title.lower()}. Use fit.wald_test(), compare(smaller, larger) and fit.predict()."
        )

    @property
    def counted_parameters(self) -> int:
        """Every coefficient: a dispersion, where there is one, is a predictor."""
        return self.facts.rank


class LogLikelihood(Totals):
    """Totals of a row likelihood that is complete: the deviance is -2 logLik, as of MASS::polr and nnet::multinom."""

    def log_likelihood(self, family: Family) -> float:
        return -0.5 * self.deviance


@dataclass(frozen=True)
class VectorEstimate(Estimate):
    """A maximum of such a likelihood. `prepared` is that of the first formula, `together` those of all."""

    together: Together = field(kw_only=True)
    model: VectorModel = field(kw_only=True)

    @property
    def information(self) -> Information:
        return self.model.information

    @cached_property
    def curvature(self) -> Factored:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The information at theta, factored; inner order."""
        if self.model.likelihood.is_convex or self.solution.point.information == "observed":
            return self.solution.point.curvature
        return self.objective.quadratic(self.solution.theta, information="observed").curvature

    @property
    def _may_separate(self) -> bool:
        return True

    @cached_property
    def column_sums(self) -> Sums:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Here those of `known`, every row as much as another."""
        known = self.known
        return self.objective.design.sum(lambda block: Sums(curvature_sums(replace(block, weight=None), known(block))))

    @cached_property
    def known(self) -> Callable[[Block], Tensor]:
        """What a row knows of its predictors where no column has an effect, (rows, q, q), positive, of trace 1 or 0.

        A row knows no direction in which its likelihood neither rises nor bends. At a saddle that may be so of one that
        all other places tell, so that a likelihood that has saddles is looked at beside its start.
        """
        theta = self.start.first(self.objective, self.objective.slope)[0]
        raw, likelihood = self.objective.raw(theta), self.model.likelihood

        def of_rows(block: Block) -> Tensor:
            z = self.objective.predictors(block, raw)
            if not likelihood.is_convex:
                generator = torch.Generator().manual_seed(block.start)
                z = z + BESIDE * torch.randn(z.shape, dtype=z.dtype, generator=generator).to(z.device)
            terms = likelihood.expand(block.y, z, information="observed")
            known = positive_part(terms.curvature) + positive_part(-terms.curvature)
            known = (known + terms.gradient.unsqueeze(1) * terms.gradient.unsqueeze(2)).nan_to_num(0.0, 0.0, 0.0)
            size = known.diagonal(dim1=1, dim2=2).sum(1)
            return known / torch.where(size > 0.0, size, 1.0)[:, None, None]

        return of_rows

    def totals_at(self, objective: Objective, theta: Tensor) -> Totals:
        """-2 logLik as deviance; Pearson's X2 is not defined."""
        return log_likelihood(objective, theta, self.prepared.weights)

    @property
    def start(self) -> VectorStart:
        return VectorStart(self.family, likelihood=self.model.likelihood)

    @cached_property
    def null(self) -> Totals:
        """The same with every predictor a constant, where it may have one, and its offset."""
        device = self.objective.design.device
        alone, none = constant_alone(device), no_columns(device)
        columns = tuple(alone if predictor.intercept else none for predictor in self.model.predictors)
        design = replace(self.objective.design, columns=columns)
        objective = self.objective.on(design)
        return log_likelihood(objective, run(IRLS(), objective, self.start, self.stop).theta, self.prepared.weights)


def log_likelihood(objective: Objective, theta: Tensor, weights: object) -> Totals:
    """-2 logLik at theta, and the counts: one pass."""
    raw = objective.raw(theta)
    frequency = isinstance(weights, Frequency)

    def row_sums(block: Block) -> Sums:
        nll = objective.likelihood.nll(block.y, objective.predictors(block, raw))
        w = torch.ones_like(nll) if block.weight is None else block.weight
        n = w.sum() if frequency else torch.tensor(float(block.rows), dtype=torch.float64, device=nll.device)
        return Sums({"deviance": 2.0 * nll.dot(w), "weights": w.sum(), "n": n})

    sums = objective.sum(row_sums)
    return LogLikelihood(float(sums["deviance"]), math.nan, 0.0, float(sums["weights"]), float(sums["n"]))


@dataclass(frozen=True)
class VectorStart(Start):
    """The likelihood's own constants with all slopes zero, or the user's coefficients."""

    likelihood: Likelihood = field(kw_only=True)

    def first(self, objective: Objective, evaluate: Callable[[Tensor], Evaluated]) -> tuple[Tensor, Evaluated]:
        """theta (p,) with a finite objective, and what `evaluate` says there.

        Raises: DomainError where there is none.
        """
        theta = self.flat(objective) if self.given is None else self.given
        found = evaluate(theta)
        if not math.isfinite(found.value):
            whose = "start=" if self.given is not None else "the start of the likelihood"
            raise DomainError(f"The likelihood is not finite at {whose}. Give start= coefficients at which it is.")
        return theta, found

    def flat(self, objective: Objective) -> Tensor:
        """theta (p,) of the likelihood's constants, less what the offsets are on average."""
        design = objective.design
        constants = self.likelihood.start(*design.responses())
        theta = torch.zeros(objective.layout.width, dtype=torch.float64, device=design.device)
        betas = objective.layout.split(theta)
        for own, columns, value in zip(betas, design.columns, constants, strict=True):
            if columns.constant:
                own[0] = value
        for k, mean in _mean_offsets(design).items():
            if design.columns[k].constant:
                betas[k][0] -= mean
            for j in design.columns[k].takers:
                betas[j][0] += mean
        return theta


def _mean_offsets(design: Design) -> dict[int, float]:
    """The weighted mean of each offset that there is, by its predictor: one pass."""
    places = [k for k, offset in enumerate(design.offsets) if offset is not None]
    if not places:
        return {}

    def row_sums(block: Block) -> Sums:
        w = block.y.new_ones(block.rows) if block.weight is None else block.weight
        each = {str(k): torch.dot(w, block.offsets[k]) for k in places}  # type: ignore[arg-type]
        return Sums({**each, "weight": w.sum()})

    sums = design.sum(row_sums)
    return {k: float(sums[str(k)] / sums["weight"]) for k in places}
