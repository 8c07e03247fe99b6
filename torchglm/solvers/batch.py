"""Fisher scoring on many problems at once: each has its own step control, and leaves the batch when it has ended.

A pass costs much the same for one problem as for a few hundred, so the rule is one pass a step with its curvature.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.numerics.linalg import factor_gram
from torchglm.objective.batch import BatchQuadratic, Problems
from torchglm.solvers.search import SLACK
from torchglm.solvers.solver import Stop

SHORTEST = 2.0**-80  # share of a step: where it does not descend either, no shorter one will
SMALLEST_PIVOT = 1e-11
MOST_KEPT = 0.6  # of the problems: fewer left, and the batch is copied without the ended ones


@dataclass(frozen=True)
class BatchSolution:
    """Where B problems ended. Shapes: theta (B, p), inner order; converged (B,); aliased (B, p).

    `point` holds value and gradient at `theta`, and the curvature from before the last step.
    """

    theta: Tensor
    point: BatchQuadratic
    converged: Tensor
    aliased: Tensor


@dataclass
class _Progress:
    """What the loop knows of every problem; rows are written as problems move on."""

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


def solve(
    batch: Problems,
    start: Tensor,
    stop: Stop,
    free: Tensor | None = None,
    first: BatchQuadratic | None = None,
    values: bool = True,
) -> BatchSolution:
    """The optimum of every problem from `start` (B, p), over its coefficients that are `free` (B, p).

    `first` is the quadratic at `start`, where it is known already. A step is taken where the value falls; without
    `values`, which then are not computed, where the next step gets shorter.
    """
    count, p = start.shape
    free = torch.ones(count, p, dtype=torch.bool, device=start.device) if free is None else free
    point = batch.quadratic(start) if first is None else first
    step, aliased, length = _next(batch, point, free)
    now = _Progress(
        start.clone(),
        point.value.clone(),
        point.gradient.clone(),
        point.curvature.clone(),
        point.pearson.clone(),
        step,
        length,
        aliased,
        start.new_ones(count),
        length <= stop.step_in_se,
    )
    held, held_batch = torch.arange(count, device=start.device), batch  # the problems that the batch in use holds
    active = held[~now.converged]
    for _ in range(stop.max_steps):
        if not len(active):
            break
        if len(active) < MOST_KEPT * len(held):
            held, held_batch = active, batch.of(active)
        where = torch.isin(held, active)
        tried = now.theta[held] + (now.share[held] * where)[:, None] * now.step[held]
        found = held_batch.quadratic(tried, values)
        step, aliased, length = _next(batch, found, free[held])
        slack = SLACK * now.value[held].abs().clamp(min=1.0)
        falls = found.value <= now.value[held] + slack if values else length <= now.length[held]
        good = where & falls  # False for NaN
        taken = held[good]
        ratio = length[good] / now.length[taken]
        now.converged[taken] = _ends(batch, length[good], ratio, stop)
        now.theta[taken] = tried[good]
        for name in ("value", "gradient", "curvature", "pearson"):
            getattr(now, name)[taken] = getattr(found, name)[good]
        now.step[taken], now.length[taken], now.aliased[taken] = step[good], length[good], aliased[good]
        now.share[taken] = 1.0
        now.share[held[where & ~good]] /= 2.0
        active = active[~now.converged[active] & (now.share[active] > SHORTEST)]
    last = torch.where(now.converged[:, None], now.step, 0.0)  # costs nothing: what it changes is known to its cube
    now.theta += last
    now.value += 0.5 * (now.gradient * last).sum(1)
    now.gradient += torch.linalg.vecdot(now.curvature, last[:, None, :])
    quadratic = BatchQuadratic(now.value, now.gradient, now.curvature, now.pearson)
    return BatchSolution(now.theta, quadratic, now.converged, now.aliased)


def _next(batch: Problems, point: BatchQuadratic, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The next step (B, p), which coefficients are aliased (B, p), and the step's length in standard errors (B,)."""
    step, aliased = solved(point.curvature, -point.gradient, free, batch.objective.layout.order)
    phi = dispersions(batch, point.pearson, aliased | ~free)
    return step, aliased, ((-(point.gradient * step).sum(1)).clamp(min=0.0) / phi).sqrt()


def _ends(batch: Problems, length: Tensor, ratio: Tensor, stop: Stop) -> Tensor:
    """Whether a step is the last one: short, or one that leaves little.

    Newton squares the share of the distance that is left at every step, scoring repeats it.
    """
    left = length * (ratio.square() if batch.objective.likelihood.is_canonical else ratio)
    return (length <= stop.step_in_se) | ((left <= stop.step_in_se) & (ratio < 0.3))


def dispersions(batch: Problems, pearson: Tensor, fixed: Tensor) -> Tensor:
    """(B,) Pearson's X2 / df where the likelihood has a dispersion, else 1."""
    if not batch.objective.likelihood.has_dispersion:
        return torch.ones_like(pearson)
    df = batch.rows - (~fixed).sum(1)
    return torch.where((df > 0) & (pearson > 0), pearson / df, 1.0)


def solved(curvature: Tensor, right: Tensor, free: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """H^-1 r (B, p) over the free coefficients, zero elsewhere, and which of those are aliased (B, p)."""
    lower, scale, bad = factored(curvature, free)
    step = torch.cholesky_solve((right * scale).unsqueeze(2), lower).squeeze(2) * scale
    aliased = torch.zeros_like(free)
    for b in torch.nonzero(bad).flatten().tolist():
        kept = torch.nonzero(free[b]).flatten()
        places = torch.argsort(torch.argsort(order)[kept])  # the formula's order of the free ones
        one = factor_gram(curvature[b][kept][:, kept], torch.argsort(places))
        step[b] = 0.0
        step[b, kept] = one.solve(right[b, kept])
        aliased[b, kept] = one.aliased
    return step, aliased


def factored(curvature: Tensor, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The triangles L (B, p, p) of S H S with a unit diagonal, S (B, p), and which problems have none (B,).

    Fixed coefficients have S = 0 and a one in L.
    """
    diagonal = curvature.diagonal(dim1=1, dim2=2)
    usable = free & (diagonal > 0)
    scale = torch.where(usable, diagonal, 1.0).rsqrt() * usable
    correlation = curvature * scale[:, :, None] * scale[:, None, :]
    correlation.diagonal(dim1=1, dim2=2).add_((~usable).to(correlation.dtype))
    lower, failed = torch.linalg.cholesky_ex(correlation)
    pivots = lower.diagonal(dim1=1, dim2=2).square().amin(1)
    bad = (failed != 0) | ~(pivots > SMALLEST_PIVOT) | (free & ~usable).any(1)
    if bool(bad.any()):
        lower = lower.clone()
        lower[bad] = torch.eye(lower.shape[1], dtype=lower.dtype, device=lower.device)
    return lower, scale, bad
