"""Fisher scoring on many problems at once: each has its own step control, and leaves the batch when it has ended.

A pass costs much the same for one problem as for a few hundred, so the rule is one pass a step with its curvature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.numerics.triangles import factor_many
from torchglm.objective.batch import BatchQuadratic, Problems
from torchglm.solvers.search import SLACK
from torchglm.solvers.solver import Stop

SHORTEST = 2.0**-80  # share of a step: where it does not descend either, no shorter one will
MOST_KEPT = 0.6  # of the problems: fewer left, and the batch is copied without the ended ones


@dataclass(frozen=True)
class BatchSolution:
    """Where B problems ended. Shapes: theta, step (B, p), inner order; converged (B,); aliased (B, p).

    `step` is the last one, which `theta` has taken: zero where not converged. `point` holds value and gradient at
    `theta`, and the curvature from before that step. What is converged has a finite value, if values were computed, and
    the same columns aliased at every step.
    """

    theta: Tensor
    point: BatchQuadratic
    converged: Tensor
    aliased: Tensor
    step: Tensor


@dataclass
class _Progress:
    """What the loop knows of every problem that the batch in use holds."""

    theta: Tensor
    value: Tensor
    gradient: Tensor
    curvature: Tensor
    pearson: Tensor
    step: Tensor
    length: Tensor
    aliased: Tensor
    share: Tensor
    converged: Tensor
    changed: Tensor  # whether other columns were aliased at a step before: then it was overflow that hid them

    def write(self, other: _Progress, places: Tensor) -> None:
        """Nothing: these are the numbers of the problems at `places` now."""
        for name, mine in vars(self).items():
            mine[places] = getattr(other, name)

    def of(self, which: Tensor) -> _Progress:
        """Those of the problems at `which`."""
        return _Progress(*(rows[which] for rows in vars(self).values()))


def solve(
    batch: Problems,
    start: Tensor,
    stop: Stop,
    free: Tensor | None = None,
    first: BatchQuadratic | None = None,
    values: bool = True,
    certain: float = math.inf,
) -> BatchSolution:
    """The optimum of every problem from `start` (B, p), over its coefficients that are `free` (B, p).

    `first` is the quadratic at `start`, where it is known already. A step is taken where the value falls; without
    `values`, which then are not computed, where the next step gets shorter. The last step, which no pass follows, may
    be `certain` standard errors long.
    """
    count, p = start.shape
    free = torch.ones(count, p, dtype=torch.bool, device=start.device) if free is None else free
    point = batch.quadratic(start) if first is None else first
    step, aliased, length = _next(batch, point, free)
    value, gradient, curvature, pearson = (part.clone() for part in vars(point).values())
    share, ended = torch.ones_like(length), length <= stop.step_in_se
    changed = torch.zeros_like(ended)
    now = _Progress(start.clone(), value, gradient, curvature, pearson, step, length, aliased, share, ended, changed)
    held, everyone = torch.arange(count, device=start.device), now
    for _ in range(stop.max_steps):
        active = ~now.converged & (now.share > SHORTEST) & torch.isfinite(now.length)
        left = int(active.sum())
        if not left:
            break
        if left < MOST_KEPT * len(held):
            if now is not everyone:
                everyone.write(now, held)
            held, batch, now, free = held[active], batch.of(active), now.of(active), free[active]
            active = active[active]
        _advance(batch, now, active, free, stop, values, certain)
    if now is not everyone:
        everyone.write(now, held)
    now = everyone
    last = torch.where(now.converged[:, None], now.step, 0.0)  # costs nothing: what it changes is known to its cube
    now.theta += last
    now.value += 0.5 * (now.gradient * last).sum(1)
    now.gradient += torch.linalg.vecdot(now.curvature, last[:, None, :])
    quadratic = BatchQuadratic(now.value, now.gradient, now.curvature, now.pearson)
    converged = now.converged & ~now.changed & torch.isfinite(now.value)
    return BatchSolution(now.theta, quadratic, converged, now.aliased, last)


def _advance(
    batch: Problems, now: _Progress, active: Tensor, free: Tensor, stop: Stop, values: bool, certain: float
) -> None:
    """One pass: every active problem tries its step, and takes it or halves it."""
    tried = now.theta + (now.share * active)[:, None] * now.step
    found = batch.quadratic(tried, values)
    step, aliased, length = _next(batch, found, free)
    slack = SLACK * now.value.abs().clamp(min=1.0)
    falls = found.value <= now.value + slack if values else length <= now.length
    good = active & falls & torch.isfinite(length)
    now.changed |= good & (aliased != now.aliased).any(1)
    ended = _ends(batch, length, length / now.length, stop, certain)
    new = {"theta": tried, **vars(found), "step": step, "length": length, "aliased": aliased, "converged": ended}
    if bool(good.all()):
        for name, rows in new.items():
            setattr(now, name, rows)
        now.share.fill_(1.0)
        return
    for name, rows in new.items():
        old = getattr(now, name)
        setattr(now, name, torch.where(good.view(-1, *[1] * (old.dim() - 1)), rows, old))
    now.share = torch.where(good, 1.0, torch.where(active, now.share / 2.0, now.share))


def _next(batch: Problems, point: BatchQuadratic, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next step (B, p), which coefficients are aliased (B, p), and the step's length in standard errors (B,).

    It is infinite where the sums are not finite: then no step is known.
    """
    factored = factor_many(point.curvature, free, batch.objective.layout.order)
    step, left_out = factored.solve(-point.gradient), factored.aliased
    phi = dispersions(batch, point.pearson, left_out)
    length = ((-(point.gradient * step).sum(1)).clamp(min=0.0) / phi).sqrt()
    sums = point.gradient.sum(1) + point.curvature.diagonal(dim1=1, dim2=2).sum(1) + point.pearson
    return step, left_out & free, torch.where(torch.isfinite(sums), length, torch.inf)


def _ends(batch: Problems, length: Tensor, ratio: Tensor, stop: Stop, certain: float) -> Tensor:
    """Whether a step is the last one: short, or one that leaves little.

    Newton squares the share of the distance that is left at every step, scoring repeats it.
    """
    left = length * (ratio.square() if batch.objective.likelihood.is_canonical else ratio)
    return (length <= stop.step_in_se) | ((left <= stop.step_in_se) & (ratio < 0.3) & (length <= certain))


def dispersions(batch: Problems, pearson: Tensor, fixed: Tensor) -> Tensor:
    """(B,) Pearson's X2 / df where the likelihood has a dispersion, else 1."""
    if not batch.objective.likelihood.has_dispersion:
        return torch.ones_like(pearson)
    df = batch.rows - (~fixed).sum(1)
    return torch.where((df > 0) & (pearson > 0), pearson / df, 1.0)
