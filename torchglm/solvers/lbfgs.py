"""L-BFGS: gradients only, preconditioned by the diagonal of the information so that column scales change nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from torchglm.objective.objective import Objective, Slope
from torchglm.solvers.search import descends, shorter
from torchglm.solvers.secant import Secants
from torchglm.solvers.solver import Solver, State, dispersion, length_in_se
from torchglm.solvers.start import Start


@dataclass(frozen=True)
class _Memory:
    secants: Secants
    diagonal: Tensor  # (p,) of the information at the start
    phi: float

    def propose(self, slope: Slope) -> tuple[Tensor, float]:
        """The step and its length in standard errors, by the curvature learned so far."""
        step = self.secants.solve(lambda g: g / self.diagonal, -slope.gradient)
        return step, length_in_se(slope.gradient, step, self.phi)


@dataclass(frozen=True)
class LBFGS(Solver, name="lbfgs"):
    """Limited-memory BFGS with `memory` pairs (Nocedal & Wright 2006, algorithm 7.5)."""

    memory: int = 20

    def init(self, objective: Objective, start: Start) -> State:
        """The start, with the diagonal of the information there."""
        theta, found = start.first(objective, objective.diagonal)
        positive = found.diagonal[found.diagonal > 0]
        diagonal = found.diagonal.where(found.diagonal > 0, positive.min() if len(positive) else 1.0)
        phi = dispersion(objective, found.pearson, objective.layout.width)
        memory = _Memory(Secants(memory=self.memory), diagonal, phi)
        step, length = memory.propose(found)
        return State(theta, found, None, step, length, memory=memory)

    def step(self, objective: Objective, state: State) -> State:
        """The quasi-Newton step, or the best shorter one."""
        memory: _Memory = state.memory
        size, theta = 1.0, state.theta + state.step
        slope = objective.slope(theta)
        if not descends(slope.value, state.slope.value):
            share = shorter(objective, state.theta, state.step, state.slope)
            if share is None:
                return replace(state, stalled=True)
            size, theta = share, state.theta + share * state.step
            slope = objective.slope(theta)
        secants = memory.secants.with_pair(theta - state.theta, slope.gradient - state.slope.gradient)
        memory = replace(memory, secants=secants)
        step, length = memory.propose(slope)
        return State(theta, slope, None, step, length, step_size=size, memory=memory)
