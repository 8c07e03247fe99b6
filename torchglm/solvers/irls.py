"""IRLS: Fisher scoring, sped up to Newton where it crawls, and to reused curvature where rows are many."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import get_args

from torch import Tensor

from torchglm.errors import DomainError, OptionError
from torchglm.numerics.products import Precision
from torchglm.objective.objective import Objective, Quadratic, Slope
from torchglm.solvers.lbfgs import LBFGS
from torchglm.solvers.search import descends, shorter
from torchglm.solvers.secant import Secants
from torchglm.solvers.solver import (
    MANY_ROWS,
    Solver,
    State,
    Stop,
    certain_step,
    dispersion,
    length_in_se,
    newton,
    run,
    start_state,
)
from torchglm.solvers.start import Start

SAMPLE_ROWS = 65_536
DEVICE_ROWS, DEVICE_SAMPLE = 1 << 20, 1 << 18  # of MANY_ROWS and SAMPLE_ROWS on a GPU: fewer cost as much
SANE = 4.0  # times the distance that a sample's optimum is expected to have from that of all rows
SAMPLED_PART = 3  # a sample is no more than the rows divided by this
SAMPLE_STEP = 0.1  # standard errors of the sample: far below its own distance from the optimum of all rows
ROWS_PER_COEFFICIENT = 100  # a sample's curvature is good to sqrt(p / rows): below, it is not worth reusing
NEAR = 1e-6  # standard errors: from here an exact curvature is not worth its pass
LAST_ROUGH = 1e-3  # standard errors: from here the next step may be the last one, and its curvature is exact
WORTH_A_CURVATURE = 8  # gradient passes: the cost of a curvature and of the few passes it leaves
PATIENCE = 40  # steps on a likelihood that is not convex: along a ridge scoring crawls, and L-BFGS does not
CRAWL = 0.3  # a scoring step that leaves more than this share of the distance is slower than Newton


@dataclass(frozen=True)
class Memory:
    """What cheap steps carry along: the secants since the curvature was taken, and phi, which stays."""

    secants: Secants
    phi: float
    rate: float = 1.0  # the share of the distance that the last step left

    def length(self, slope: Slope, step: Tensor) -> float:
        """The length of a step in standard errors, by the curvature at hand."""
        return length_in_se(slope.gradient, step, self.phi)


def passes_left(length: float, rate: float) -> float:
    """The gradient passes from here to a step of NEAR, when each leaves `rate` of the distance."""
    return math.log(NEAR / length) / math.log(rate) if 0.0 < rate < 1.0 else math.inf


def exact_state(objective: Objective, theta: Tensor, before: State) -> State:
    """The state at theta with its exact quadratic."""
    return start_state(objective, theta, newton(objective, theta, before))


@dataclass(frozen=True)
class IRLS(Solver, name="irls"):
    """Fisher scoring with step control.

    A curvature costs three to four gradients. So on many rows the search starts from the optimum of a sample, whose
    curvature, bent by secants, serves cheap gradient passes until the step is small; one exact curvature then
    certifies the end and gives the standard errors. When a step does not descend as it should, the exact curvature
    is taken at once.

    curvature  "float32" or "tf32" (of CUDA tensor cores): Gram matrices of dense columns on the way, where their
               pivots say that this will do. Values and gradients are float64, and so is the curvature that certifies
               the end and gives the standard errors: the estimates are the same.
    """

    reuse: bool = True
    curvature: Precision = "float64"
    enough: float = 0.0  # standard errors: an exact step that may be the last, where more is allowed than by rights

    def __post_init__(self) -> None:
        if self.curvature not in get_args(Precision):
            raise OptionError(f'curvature= is "float64", "float32" or "tf32"; got {self.curvature!r}.')

    def successor(self, objective: Objective, count: int) -> Solver | None:
        """L-BFGS, where many steps have not been enough for a likelihood that is not convex."""
        return LBFGS() if count == PATIENCE and not objective.likelihood.is_convex else None

    def _rough(self, objective: Objective, length: float = math.inf) -> Objective:
        """The objective with curvatures as rough as they may be where the next step is of that length."""
        if self.curvature == "float64" or length <= LAST_ROUGH:
            return objective
        return replace(objective, precision=self.curvature)

    def init(self, objective: Objective, start: Start) -> State:
        """The exact quadratic at the start, or the optimum of a sample with the sample's curvature."""
        n, p = objective.design.n, objective.layout.width
        is_cpu = objective.design.device.type == "cpu"
        many, sampled = (MANY_ROWS, SAMPLE_ROWS) if is_cpu else (DEVICE_ROWS, DEVICE_SAMPLE)
        rows = min(sampled, n // SAMPLED_PART)
        worthwhile = self.reuse and n >= many and rows >= ROWS_PER_COEFFICIENT * p
        quadratic = self._rough(objective).quadratic
        if not worthwhile:
            return start_state(objective, *start.first(objective, quadratic))
        if start.given is not None:
            state = start_state(objective, *start.first(objective, quadratic))
            if state.step_in_se <= (p * n / rows) ** 0.5:  # no farther off than the optimum of a sample would be
                return state
            return self._from_sample(objective, start, rows) or state
        return self._from_sample(objective, start, rows) or start_state(objective, *start.first(objective, quadratic))

    def _from_sample(self, objective: Objective, start: Start, rows: int) -> State | None:
        """The optimum of a sample with the sample's curvature; None where the sample has none, or not that of all."""
        sample = objective.on(objective.design.sample(rows))
        try:
            found = run(IRLS(enough=SAMPLE_STEP), sample, start, Stop(step_in_se=SAMPLE_STEP, max_steps=25))
        except DomainError:  # a sample may have no start where all rows have one
            return None
        slope = objective.slope(found.theta)
        if not found.status.converged or not math.isfinite(slope.value) or bool(found.point.curvature.aliased.any()):
            return None
        whole = objective.design.n / sample.design.n
        curvature = found.point.curvature.scaled(whole)
        memory = Memory(Secants(), dispersion(sample, found.point.pearson, found.point.curvature.rank))
        step = curvature.solve(-slope.gradient)
        length = memory.length(slope, step)
        # A sample of n / k rows misses the optimum of all by sqrt(p k) standard errors. Far more means that rare cells
        # have gone to infinity in it: there the means of other rows may be e^300, and no step leads back.
        if not length <= SANE * (objective.layout.width * whole) ** 0.5:
            return None
        return State(found.theta, slope, curvature, step, length, memory=memory)

    def step(self, objective: Objective, state: State) -> State:
        """The full step, or the best shorter one."""
        if state.memory is None and self._may_reuse(objective, state):
            point = state.exact or state.rough
            assert point is not None
            phi = dispersion(objective, point.pearson, point.curvature.rank)
            rate = min(1.0, state.step_in_se * (objective.layout.width / objective.design.n) ** 0.5)  # of Newton's own
            state = replace(state, memory=Memory(Secants(), phi, rate))
        return self._cheap(objective, state) if state.memory is not None else self._exact(objective, state)

    def _may_reuse(self, objective: Objective, state: State) -> bool:
        return self.reuse and objective.design.n >= MANY_ROWS and state.step_in_se < objective.design.n**0.5

    def _cheap(self, objective: Objective, state: State) -> State:
        """A gradient pass at the full step; the exact curvature where that does not descend or converges slowly."""
        memory: Memory = state.memory
        theta = state.theta + state.step
        if state.step_in_se * memory.rate <= max(certain_step(objective), self.enough):
            return exact_state(objective, theta, state)
        slope, rough = objective.slope(theta), self._rough(objective)
        assert state.curvature is not None
        if not descends(slope.value, state.slope.value):
            fresh = exact_state(rough, state.theta, state)
            return self._exact(objective, fresh, full=state.exact is None and state.rough is None)
        secants = memory.secants.with_pair(state.step, slope.gradient - state.slope.gradient)
        step = secants.solve(state.curvature.solve, -slope.gradient)
        length = memory.length(slope, step)
        rate = length / state.step_in_se
        if length > NEAR and passes_left(length, rate) > WORTH_A_CURVATURE:
            return exact_state(rough, theta, state)
        memory = replace(memory, secants=secants, rate=rate)
        return State(theta, slope, state.curvature, step, length, memory=memory)

    def _exact(self, objective: Objective, state: State, full: bool = True) -> State:
        """One pass with curvature at the full step, or two more where that rises or leaves the domain."""
        size, point, theta, rough = 1.0, None, state.theta, self._rough(objective, state.step_in_se)
        if full:
            theta = state.theta + state.step
            point = self._point(rough, theta, state)
        if point is None or not descends(point.value, state.slope.value):
            share = shorter(objective, state.theta, state.step, state.slope)
            if share is None:
                return self._without_descent(objective, state)
            size, theta = share, state.theta + share * state.step
            point = self._point(rough, theta, state)
        if point.curvature.indefinite:
            point = objective.quadratic(theta)
        new = replace(start_state(objective, theta, point), step_size=size)
        return self._newton_where_scoring_crawls(objective, state, new)

    @staticmethod
    def _without_descent(objective: Objective, state: State) -> State:
        """Scoring again where Newton found no descent; else the end of the road."""
        if state.information == "observed":
            return start_state(objective, state.theta, objective.quadratic(state.theta))
        return replace(state, stalled=True)

    @staticmethod
    def _point(objective: Objective, theta: Tensor, state: State) -> Quadratic:
        """The quadratic at theta, of the information that the state goes by."""
        if objective.likelihood.is_convex:
            return objective.quadratic(theta, information=state.information)
        return newton(objective, theta, state)

    @staticmethod
    def _newton_where_scoring_crawls(objective: Objective, old: State, new: State) -> State:
        if not objective.likelihood.is_convex:
            return new
        if new.information == "observed" or new.step_in_se > 1.0 or new.step_size < 1.0 or new.step_in_se < 1e-8:
            return new
        if new.step_in_se < CRAWL * old.step_in_se or old.step_size < 1.0:
            return new
        observed: Quadratic = objective.quadratic(new.theta, information="observed")
        if observed.curvature.indefinite:
            return new
        return start_state(objective, new.theta, observed)
