"""Intervals by inverting a test of each coefficient: of the likelihood ratio (profile), or of the score.

For a coefficient held at v, the others maximised, both tests are signed roots that rise through zero at the estimate:

    profile    r(v) = sign(v - b) sqrt(2 (nll(v) - nll) / phi)      dr / dv = g_v / (phi r)
    score      r(v) = g_v sqrt([H(v)^-1]_vv / phi)

with g_v the gradient at the held coefficient. An end is where r = -+ the normal quantile. All ends of all
coefficients are sought at once: each round holds every coefficient at its current v, in one batch of fits.

Source: Venzon & Moolgavkar (1988). The roots are those of MASS::confint without its spline, phi held at its estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchglm.inference.estimate import Estimate
from torchglm.inference.intervals.brackets import Brackets
from torchglm.numerics.sums import Sums
from torchglm.numerics.triangles import factor_many
from torchglm.objective.batch import Batch
from torchglm.objective.objective import Objective
from torchglm.solvers.batch import BatchSolution, solve
from torchglm.solvers.solver import Stop

ROUNDS = 80
FAR = 30.0  # units of the linear predictor: an estimate further out is separated, and its standard error says nothing
LARGEST_BATCH = 1 << 24  # entries of the curvatures held at once
MOST_ENDS = 256


def inverted_interval(
    estimate: Estimate, phi: float, quantile: float, places: Tensor, infinite: Tensor, *, score: bool = False
) -> tuple[Tensor, Tensor]:
    """Lower and upper ends (m,) of the coefficients at `places` (m,), formula's order.

    NaN where aliased, and all of them without a dispersion; infinite where the test never rejects. `quantile` is the
    normal one; `infinite` (p,) holds the sign of a coefficient that separation makes infinite, else 0. Scale: link.
    Raises: DataError where the data were written over.
    """
    estimate.refuse_changed_data()
    ends = torch.full((2, estimate.layout.width), math.nan, dtype=torch.float64)
    if math.isnan(phi):
        return ends[0, places], ends[1, places]
    places_defined = places[~estimate.aliased[places]]
    count = max(1, min(MOST_ENDS, LARGEST_BATCH // estimate.layout.width**2) // 2)
    cap = FAR if estimate.family.kernel.ends else math.inf
    for objective, theta, inside in _views(estimate, places_defined):
        for chunk in inside.split(count):
            search = _Search(objective, theta, ~estimate.curvature.aliased, phi, quantile, score, cap, chunk.repeat(2))
            ends[:, objective.layout.positions[chunk].cpu()] = search.run().view(2, -1).cpu()
    ends[0, infinite < 0] = -math.inf
    ends[1, infinite > 0] = math.inf
    lower, upper = ends[:, places]
    return lower, upper


def _views(estimate: Estimate, places: Tensor) -> list[tuple[Objective, Tensor, Tensor]]:
    """Objective, theta and inner places to hold: a held constant needs the columns as given, not centred."""
    objective, layout = estimate.objective, estimate.layout
    theta = torch.where(estimate.curvature.aliased, 0.0, estimate.solution.theta)
    inner = layout.order[places.to(layout.order.device)]
    shifted = torch.tensor([place for place, _ in layout.shifted_constants()], dtype=torch.int64, device=inner.device)
    constant = torch.isin(inner, layout.order[shifted])
    views = [(objective, theta, inner[~constant])]
    if bool(constant.any()):
        plain = tuple(
            replace(c, dense=replace(c.dense, centers=torch.zeros_like(c.dense.centers)))
            for c in objective.design.columns
        )
        given = objective.on(replace(objective.design, columns=plain))
        views.append((given, given.layout.to_inner(layout.to_user(theta)), inner[constant]))
    return [view for view in views if len(view[2])]


@dataclass(frozen=True)
class _Search:
    """The lower ends of some coefficients, then their upper ends: `held` (m,) names each twice, inner order.

    `cap` bounds the first distance from the estimate, in units of the linear predictor. `defined` (p,) is False where
    a coefficient is aliased: it stays zero, or it would take the place of the one that is held.
    """

    objective: Objective
    theta: Tensor
    defined: Tensor
    phi: float
    quantile: float
    score: bool
    cap: float
    held: Tensor

    def run(self) -> Tensor:
        """(m,) the ends."""
        held = self.held
        side = torch.ones(len(held), dtype=torch.float64, device=held.device)
        side[: len(held) // 2] = -1.0
        center = self.theta[held]
        point = self.objective.quadratic(self.theta)
        distance, tangent = self._first(point.curvature.solve)
        best = self.theta.expand(len(held), -1).clone()  # the last fit of each end
        brackets = Brackets.of(distance, self.quantile)
        while len(brackets.active) and brackets.rounds < ROUNDS:
            k = brackets.active
            v = center[k] + side[k] * brackets.distance[k]
            start = best[k] + tangent[k] * (v - best[k, held[k]])[:, None]
            start[torch.arange(len(k), device=k.device), held[k]] = v
            fits = self._fits(start, held[k])
            root, slope, moves = self._root(fits, held[k], point.value)
            root = torch.where(fits.converged, side[k] * root, torch.nan)
            good = torch.isfinite(root)
            best[k[good]], tangent[k[good]] = fits.theta[good], moves[good]
            brackets.narrow(root, slope)
        return center + side * brackets.found

    def _first(self, solve_with) -> tuple[Tensor, Tensor]:
        """The first distances (m,), and how the others move as the held one does (m, p)."""
        held, rows = self.held, torch.arange(len(self.held), device=self.held.device)
        unit = torch.zeros(len(self.theta), len(held), dtype=torch.float64, device=held.device)
        unit[held, rows] = 1.0
        along = solve_with(unit).T
        variance = along[rows, held]
        wald = self.quantile * (self.phi * variance).sqrt()
        # A separated coefficient has a standard error of 1e5, and its other end within a few units.
        return torch.minimum(wald, self.cap / self._lengths()[held]), along / variance[:, None]

    def _lengths(self) -> Tensor:
        """(p,) the root mean square of each column, inner order."""
        columns = self.objective.design.columns[0]
        sums = self.objective.sum(lambda block: Sums({"squares": block.columns[0].squares(torch.ones_like(block.y))}))
        return (columns.collapse_squares(sums["squares"]) / self.objective.design.n).sqrt()

    def _fits(self, start: Tensor, held: Tensor) -> BatchSolution:
        return solve(Batch(self.objective), start, Stop(1e-9, 50), self._free(start, held))

    def _root(self, fits: BatchSolution, held: Tensor, nll: float) -> tuple[Tensor, Tensor, Tensor]:
        """The signed root (m,) of the test, its slope along the held coefficient, and the tangent (m, p)."""
        rows = torch.arange(len(held), device=held.device)
        gradient = fits.point.gradient[rows, held]
        cross = fits.point.curvature[rows, held]
        free = self._free(fits.theta, held)
        others = factor_many(fits.point.curvature, free, self.objective.layout.order)
        moves = -others.solve(cross)
        left = cross[rows, held] + (cross * moves).sum(1)  # 1 / [H^-1]_vv: what the others leave of the held one
        moves[rows, held] = 1.0
        moves[(others.aliased & free).any(1)] = 0.0
        if self.score:
            return gradient / (left * self.phi).sqrt(), (left / self.phi).sqrt(), moves
        root = (2.0 * (fits.point.value - nll) / self.phi).clamp(min=0.0).sqrt() * gradient.sign()
        return root, gradient.abs() / (self.phi * root.abs()), moves

    def _free(self, thetas: Tensor, held: Tensor) -> Tensor:
        free = self.defined.repeat(len(thetas), 1)
        free[torch.arange(len(held), device=held.device), held] = False
        return free
