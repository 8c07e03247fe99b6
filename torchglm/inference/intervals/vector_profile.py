"""Profile-likelihood intervals of models of several linear predictors: a coefficient held, the others maximised.

The held coefficient times its column is an offset of its predictor; the ends are sought as those of `inverted`, one
fit at a time from the last one on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from torchglm.errors import DomainError
from torchglm.inference.intervals.brackets import Brackets
from torchglm.inference.submodel import restricted
from torchglm.inference.vector import VectorEstimate, VectorStart
from torchglm.objective.objective import Objective
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Stop, run

ROUNDS = 80
CLOSE = Stop(1e-9, 50)
ROUNDED = 1e-5  # standard errors: a search that stalls this near is at the maximum for the likelihood's twelve digits
REACHED = 1e-6  # of the quantile
FAR = 30.0  # units of the linear predictor: a standard error beyond is that of a coefficient without a finite maximum


def vector_profile_interval(
    estimate: VectorEstimate, quantile: float, places: Tensor, infinite: Tensor
) -> tuple[Tensor, Tensor]:
    """Lower and upper ends (m,) of the coefficients at `places` (m,), formula's order; NaN where aliased.

    Infinite where the likelihood never falls far enough, and on the side that `infinite` (p,) tells by its sign; NaN
    where the others have no maximum that a search finds.
    Raises: DataError where the data were written over.
    """
    estimate.refuse_changed_data()
    ends = torch.full((2, len(places)), math.nan, dtype=torch.float64)
    for k, place in enumerate(places.tolist()):
        if not bool(estimate.aliased[place]):
            held = _Held(estimate, place, quantile)
            for row, side in enumerate((-1.0, 1.0)):
                away = infinite[place] == side
                ends[row, k] = side * math.inf if away else held.end(side)
    return ends[0], ends[1]


class _Maximum(NamedTuple):
    """theta (p,) of the user with one coefficient held, the nll there, and its slope along that coefficient."""

    theta: Tensor
    nll: float
    gradient: float


@dataclass(frozen=True)
class _Held:
    """The profile of one coefficient, `place` in the formula's order."""

    estimate: VectorEstimate
    place: int
    quantile: float

    def end(self, side: float) -> float:
        """The value at which the signed root of the likelihood ratio is `side` times the quantile."""
        center = float(self.user[self.place])
        far = FAR / self._size
        wald = self.quantile * float(self.estimate.unscaled_variances[self.place]) ** 0.5
        first = min(wald, far) if wald > 0.0 else far
        brackets = Brackets.of(torch.tensor([first], dtype=torch.float64), self.quantile)
        theta, last, lost = self.user, math.nan, False
        while len(brackets.active) and brackets.rounds < ROUNDS:
            value = center + side * float(brackets.distance[0])
            found = self._at(value, theta + (value - theta[self.place]) * self._ridge)
            root = slope = torch.tensor([math.nan], dtype=torch.float64)
            lost |= found is not None and math.isnan(found.nll)
            if found is not None and not math.isnan(found.nll):
                theta = found.theta
                size = math.sqrt(max(2.0 * (found.nll - self.least), 0.0))
                last = math.copysign(size, side * found.gradient)
                root = torch.tensor([last], dtype=torch.float64)
                slope = torch.tensor([abs(found.gradient) / size if size else math.nan], dtype=torch.float64)
            brackets.narrow(root, slope)
        if lost and not math.isclose(last, self.quantile, rel_tol=REACHED):
            return math.nan
        return center + side * float(brackets.found[0])

    def _at(self, value: float, start: Tensor) -> _Maximum | None:
        """The maximum with the coefficient held there; None outside of the domain, NaN where a search ends before."""
        objective, design = self.estimate.objective, self.estimate.objective.design
        offset = self._column * value
        own = design.offsets[self._predictor]
        offsets = list(design.offsets)
        offsets[self._predictor] = offset if own is None else own + offset
        held = objective.on(replace(design, columns=restricted(design.columns, self._free), offsets=tuple(offsets)))
        free = self._free.to(start.device)
        near = (start - start[self.place] * self._home)[free]
        try:
            begin = VectorStart(self.estimate.family, held.layout.to_inner(near), likelihood=objective.likelihood)
            solution = run(IRLS(), held, begin, CLOSE)
        except DomainError:
            return None
        if not solution.status.converged and not solution.trace[-1]["step_in_se"] < ROUNDED:
            return _Maximum(start, math.nan, math.nan)
        theta = value * self._home
        theta[free] += held.layout.to_user(solution.theta)
        theta[self.place] = value
        point = objective.slope(objective.layout.to_inner(theta))
        return _Maximum(theta, point.value, float(point.gradient.dot(self._along)))

    @cached_property
    def user(self) -> Tensor:
        """(p,) the estimate, zero where aliased."""
        inner = torch.where(self.estimate.curvature.aliased, 0.0, self.estimate.solution.theta)
        return self.estimate.layout.to_user(inner)

    @cached_property
    def least(self) -> float:
        """The nll of the estimate."""
        return self.estimate.objective.slope(self.estimate.layout.to_inner(self.user)).value

    @cached_property
    def _unit(self) -> Tensor:
        """(p,) the inner direction in which the coefficient of the column about its center moves alone."""
        unit = torch.zeros_like(self.user)
        unit[self.estimate.layout.order[self.place]] = 1.0
        return unit

    @cached_property
    def _ridge(self) -> Tensor:
        """(p,) what the user's coefficients move by, along the highest likelihood, when this one moves by 1."""
        return self.estimate.layout.to_user(self._along)

    @cached_property
    def _along(self) -> Tensor:
        """(p,) the same of the inner coefficients."""
        layout, curvature = self.estimate.layout, self.estimate.curvature
        through = dict(layout.shifted_constants()).get(self.place, self._unit)
        moved = torch.where(curvature.aliased, 0.0, curvature.solve(through.to(self._unit)))
        return moved / layout.to_user(moved)[self.place]

    @cached_property
    def _home(self) -> Tensor:
        """(p,) what the user's other coefficients, the constants that take up the center, move by on the way."""
        moved = self.estimate.layout.to_user(self._unit)
        moved[self.place] = 0.0
        return moved

    @cached_property
    def _predictor(self) -> int:
        ends = torch.tensor(self.estimate.layout.widths).cumsum(0)
        return int(torch.searchsorted(ends, self.place, right=True))

    @cached_property
    def _column(self) -> Tensor:
        """(rows held,) the column of the coefficient, about its center."""
        objective: Objective = self.estimate.objective
        k, raw = self._predictor, objective.raw(self._unit)
        return objective.design.map(lambda block: block.columns[k].matvec(raw[k]).clone())

    @cached_property
    def _size(self) -> float:
        """Its root mean square, over all rows."""
        design = self.estimate.objective.design
        return math.sqrt(design.total(float(self._column.square().sum())) / design.n)

    @cached_property
    def _free(self) -> Tensor:
        """(p,) True for the other coefficients; an aliased one would take the place of the one that is held."""
        free = ~self.estimate.aliased
        free[self.place] = False
        return free
