"""The one solver loop, and what every solver is: a first state, and a step from state to state."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, ClassVar

from torch import Tensor

from torchglm.families.likelihood import Information
from torchglm.numerics.described import described
from torchglm.numerics.linalg import Factored
from torchglm.numerics.registry import Registry
from torchglm.objective.objective import Objective, Quadratic, Slope
from torchglm.objective.saddle import way_down
from torchglm.solvers.start import Start

ROUNDING = 2e-14  # of the fit's length in standard errors: no step below it can be told from noise
MANY_ROWS = 30_000  # from here a sample of the rows gives the start and the first curvature
CERTAIN_SHIFT = 5e-8  # relative: what a last step may move standard errors by, before it is taken
SCORING_STEP = 1e-7  # standard errors: the same where information is expected, and a tenth of it may be left
OVERLOOKED = 0.01  # standard errors, along a column that was left out
NO_SLOPE = 0.1  # standard errors: the step at what may be a saddle
CERTAIN_STEP = 1e-5  # standard errors: the longest such step


class Status(Enum):
    """How a run ended. The value is the sentence that is shown."""

    CONVERGED = "Converged: what the last Newton step left is shorter than the tolerance."
    ROUNDING = "No further decrease is possible in float64: the next Newton step is rounding."
    MAX_STEPS = "The solver stopped at its largest number of steps before the next Newton step was small."
    UNPOLISHED = "Stopped, as asked, where the epochs of SGD ended: near the maximum at best, not at it."
    FLAT = "The objective still falls along columns of which the information at this point has lost sight."
    UNDETERMINED = "Here the data say nothing of some coefficients: a ridge or a saddle, not a maximum of its own."
    STALLED = "No step along the search direction decreases the objective: the optimum may lie on the boundary."

    @property
    def converged(self) -> bool:
        """Whether the estimates are the maximum."""
        return self in (Status.CONVERGED, Status.ROUNDING)


@dataclass(frozen=True)
class Stop:
    """When to stop: sqrt(g' H^-1 g / phi), the next Newton step in standard errors, or a number of steps."""

    step_in_se: float = 1e-8
    max_steps: int = 100


@dataclass(frozen=True)
class State:
    """A point of a run. `curvature` may be that of another point, or of a sample of the rows; `exact` says so."""

    theta: Tensor
    slope: Slope
    curvature: Factored | None
    step: Tensor  # the step proposed next
    step_in_se: float  # its length, as far as the solver knows
    exact: Quadratic | None = None  # the quadratic at theta itself, where it was computed
    rough: Quadratic | None = None  # the same with a curvature in less than double precision
    information: Information = "expected"
    step_size: float = 1.0  # the share of the full step that was taken to get here
    stalled: bool = False
    memory: Any = None
    notes: Mapping[str, float] = field(default_factory=dict)  # what the trace shows beside its own columns


SOLVERS: Registry[Solver] = Registry("solver")


class Solver(ABC):
    """A way from theta to the optimum. Steps are pure: they return a new state.

    To be registered: `class Mine(Solver, name="mine")`, a frozen dataclass whose fields are its options.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        if name is not None:
            cls.name = name
            SOLVERS.add(name, cls)

    @property
    def planned_steps(self) -> int:
        """Steps that are the solver's plan, as the epochs of SGD: they do not count against `max_steps`."""
        return 0

    @property
    def polishes(self) -> bool:
        """Whether a run goes on to the maximum from where the solver ends."""
        return True

    def successor(self, objective: Objective, count: int) -> Solver | None:
        """The solver that goes on from here after `count` steps, where this one crawls."""
        return None

    @abstractmethod
    def init(self, objective: Objective, start: Start) -> State:
        """The first state, at the start or better."""

    @abstractmethod
    def step(self, objective: Objective, state: State) -> State:
        """The next state."""


@dataclass(frozen=True)
class Solution:
    """Where a run ended: `point` is the exact quadratic there, of the expected information.

    Of a likelihood that is not convex it is that of the observed information, where that is definite.
    """

    theta: Tensor
    point: Quadratic
    status: Status
    steps: int
    passes: int
    step_in_se: float
    solver: str
    trace: list[dict[str, float]] = field(default_factory=list)


def dispersion(objective: Objective, pearson: float, rank: int) -> float:
    """phi for the length of a step: Pearson's X2 / df where the likelihood has a dispersion, else 1."""
    df = objective.design.n - rank
    return pearson / df if objective.likelihood.has_dispersion and df > 0 else 1.0


def length_in_se(gradient: Tensor, step: Tensor, phi: float) -> float:
    """sqrt(g' H^-1 g / phi) of step = -H^-1 g: its length in standard errors."""
    squared = max(-float(gradient.dot(step)), 0.0)
    if not 0.0 < phi < math.inf:
        return 0.0 if squared == 0.0 else math.inf
    return (squared / phi) ** 0.5


def step_in_se(objective: Objective, point: Quadratic) -> float:
    """The length of the full step of an exact quadratic, in standard errors."""
    phi = dispersion(objective, point.pearson, point.curvature.rank)
    return length_in_se(point.gradient, point.step, phi)


def run(solver: Solver, objective: Objective, start: Start, stop: Stop, watch: Any = None) -> Solution:
    """The solution from `start`: the only solver loop there is.

    A solver's own idea of its distance only ends the search; what certifies the end is the exact quadratic at the
    point, whose Newton step, if still long, starts the search again as a polishing step. `watch(trace, theta)` is
    called after every step.
    """
    _agree(objective, solver, start, stop)
    began, name = time.perf_counter(), solver.name
    state = solver.init(objective, start)
    trace: list[dict[str, float]] = []
    polish = SOLVERS.get("irls")()
    stop = replace(stop, max_steps=stop.max_steps + solver.planned_steps)
    for count in range(stop.max_steps + 1):
        seconds = time.perf_counter() - began
        trace.append(
            {
                "step": count,
                "loss": state.slope.value,
                "step_in_se": state.step_in_se,
                "step_size": state.step_size,
                "passes": objective.meter.passes,
                "seconds": seconds,
                **state.notes,
            }
        )
        if watch is not None:
            watch(trace, state.theta)
        if _ends(objective, state, stop) or count == stop.max_steps:
            state, done = _certify(objective, state, stop, count)
            if done is None and not solver.polishes:
                done = Status.UNPOLISHED
            if done is not None:
                assert state.exact is not None
                theta = state.theta + state.step if done.converged else state.theta  # the last step costs nothing
                return Solution(theta, state.exact, done, count, objective.meter.passes, state.step_in_se, name, trace)
            solver = _polishing(solver, polish)
        if (successor := solver.successor(objective, count)) is not None:
            solver, state = successor, successor.init(objective, replace(start, given=state.theta))
        state = solver.step(objective, state)
    raise AssertionError("unreachable: the last round always certifies")


def _agree(objective: Objective, solver: Solver, start: Start, stop: Stop) -> None:
    """Nothing, where all ranks search for the same, in the same way.

    Raises: RankError.
    """
    if objective.design.ranks.world > 1:
        asked = {"model": objective.likelihood, "solver": solver, "start": start.given, "stop": stop}
        objective.design.ranks.agree({name: described(value) for name, value in asked.items()})


def _polishing(solver: Solver, polish: Solver) -> Solver:
    return solver if isinstance(solver, type(polish)) else polish


def _certify(objective: Objective, state: State, stop: Stop, count: int) -> tuple[State, Status | None]:
    """The state with the exact expected quadratic at its theta, and how the run ends there, or None to go on."""
    point = state.exact
    if point is None or (point.information != "expected" and objective.likelihood.is_convex):
        point = newton(objective, state.theta, state)
    length = step_in_se(objective, point)
    certified = replace(
        state,
        exact=point,
        rough=None,
        slope=point,
        curvature=point.curvature,
        step=point.step,
        step_in_se=length,
        information=point.information,
        memory=None,
    )
    if not objective.holds_some and _overlooks(point):
        return certified, Status.FLAT
    lower = _from_saddle(objective, certified) if count < stop.max_steps else None
    if lower is not None:
        return lower, None
    if _is_settled(state) and length <= max(stop.step_in_se, certain_step(objective, point)):
        return certified, Status.CONVERGED
    if _is_rounding(objective, certified):
        return certified, Status.ROUNDING
    if count >= stop.max_steps:
        return certified, Status.MAX_STEPS
    if state.stalled:
        return certified, Status.STALLED
    return certified, None


def _ends(objective: Objective, state: State, stop: Stop) -> bool:
    """Whether the solver has done what it can, as far as it knows."""
    enough = stop.step_in_se if state.exact is None else max(stop.step_in_se, certain_step(objective, state.exact))
    return state.stalled or (_is_settled(state) and state.step_in_se <= enough) or _is_rounding(objective, state)


def _overlooks(point: Quadratic) -> bool:
    """Whether a column that was left out has a slope of its own, which no column kept can account for.

    Of a column that others span, g_j^2 <= h_jj g' H^-1 g, and that is small at the end of a search.
    """
    left_out = point.curvature.aliased
    if not bool(left_out.any()) or length_in_se(point.gradient, point.step, 1.0) > 1.0:
        return False
    return bool((point.gradient.abs() > OVERLOOKED * point.curvature.lengths)[left_out].any())


def _from_saddle(objective: Objective, state: State) -> State | None:
    """The state at a lower point beside a saddle of a likelihood that is not convex; None where there is none."""
    point = state.exact
    if (
        objective.likelihood.is_convex
        or point is None
        or point.information == "observed"
        or state.step_in_se > NO_SLOPE
    ):
        return None
    theta = way_down(objective, state.theta, point.curvature.lengths)
    return None if theta is None else start_state(objective, theta, newton(objective, theta, state))


def _is_settled(state: State) -> bool:
    """Whether the last step was a full one. Shortened to the end, steps only creep up to a boundary of the domain."""
    return state.step_size == 1.0


def newton(objective: Objective, theta: Tensor, before: State) -> Quadratic:
    """The quadratic at theta whose step leads down fastest; `before` is the state of another point."""
    if before.curvature is None:
        return objective.quadratic(theta)
    return objective.newton(theta, before.curvature.aliased)


def certain_step(objective: Objective, point: Quadratic | None = None) -> float:
    """The exact Newton step from which the search may end, because the step itself is still taken; 0 for none.

    A Newton step of length d moves weights, and so standard errors, by about M d relative, and leaves M d^2, M the
    standard error of a linear predictor, near sqrt(p / n): on many rows a step of 1e-5 may be the last one. A scoring
    step of a link that is not canonical leaves what expected and observed information differ by, a share near M.
    `point` is that step's, where it is known.
    """
    n = objective.design.n
    if n < MANY_ROWS:
        return 0.0
    scored = point is not None and point.information == "expected" and not objective.likelihood.is_convex
    if scored or not objective.is_newton:
        return SCORING_STEP
    return min(CERTAIN_STEP, CERTAIN_SHIFT * (n / objective.layout.width) ** 0.5)


def _is_rounding(objective: Objective, state: State) -> bool:
    """Whether the exact step is noise: shorter, at phi = 1, than float64 resolves of the fit's own length."""
    point = state.exact
    if point is None or not _is_settled(state):
        return False
    return state.step_in_se * dispersion(objective, point.pearson, point.curvature.rank) ** 0.5 <= ROUNDING * max(
        point.length, 1.0
    )


def start_state(objective: Objective, theta: Tensor, point: Quadratic) -> State:
    """The state of a quadratic, which is exact where its curvature has double precision."""
    is_exact = point.precision == "float64"
    return State(
        theta,
        point,
        point.curvature,
        point.step,
        step_in_se(objective, point),
        exact=point if is_exact else None,
        rough=None if is_exact else point,
        information=point.information,
    )
