"""Newton-CG: Newton steps by conjugate gradients on products H v, for designs whose (p, p) is too much."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchglm.objective.objective import Diagonal, Objective
from torchglm.solvers.search import descends, shorter
from torchglm.solvers.solver import Solver, State, dispersion, length_in_se
from torchglm.solvers.start import Start


@dataclass(frozen=True)
class NewtonCG(Solver, name="newton_cg"):
    """Truncated Newton (Nocedal & Wright 2006, algorithm 7.1), preconditioned by the diagonal of the information.

    `max_products` bounds the passes of one step.
    """

    max_products: int = 250

    def init(self, objective: Objective, start: Start) -> State:
        """The start and its first direction."""
        return self._at(objective, *start.first(objective, objective.diagonal))

    def _at(self, objective: Objective, theta: Tensor, found: Diagonal, size: float = 1.0) -> State:
        phi = dispersion(objective, found.pearson, objective.layout.width)
        step = self._solve(objective, theta, -found.gradient, found.diagonal)
        length = length_in_se(found.gradient, step, phi)
        return State(theta, found, None, step, length, step_size=size)

    def _solve(self, objective: Objective, theta: Tensor, rhs: Tensor, diagonal: Tensor) -> Tensor:
        """H^-1 rhs by conjugate gradients, as exact as the distance asks: |r| <= min(0.1, sqrt|rhs|) |rhs|."""
        scale = torch.where(diagonal > 0, diagonal, 1.0)
        x, r = torch.zeros_like(rhs), rhs.clone()
        z = r / scale
        d, rz = z.clone(), float(r.dot(z))
        begin = rz**0.5
        tolerance = min(0.1, begin**0.5) * begin
        for count in range(self.max_products):
            if max(rz, 0.0) ** 0.5 <= tolerance or rz == 0.0:
                return x
            hd = objective.curvature_product(theta, d)
            bend = float(d.dot(hd))
            if bend <= 0.0:
                return x if count else d
            share = rz / bend
            x += share * d
            r -= share * hd
            z = r / scale
            rz, before = float(r.dot(z)), rz
            d = z + (rz / before) * d
        return x

    def step(self, objective: Objective, state: State) -> State:
        """The truncated Newton step, or the best shorter one."""
        theta, size = state.theta + state.step, 1.0
        found = objective.diagonal(theta)
        if not descends(found.value, state.slope.value):
            share = shorter(objective, state.theta, state.step, state.slope)
            if share is None:
                return replace(state, stalled=True)
            size, theta = share, state.theta + share * state.step
            found = objective.diagonal(theta)
        return self._at(objective, theta, found, size)
