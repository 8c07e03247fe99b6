"""Replicates of models of several linear predictors, fitted one after the other from the estimate on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.design import Design
from torchglm.errors import DomainError
from torchglm.inference.resampling.refits import FAR, looks_infinite, never_rises
from torchglm.inference.vector import VectorEstimate, VectorStart
from torchglm.objective.objective import Objective
from torchglm.solvers.irls import IRLS
from torchglm.solvers.solver import Solution, Stop, run


@dataclass(frozen=True)
class Refit:
    """One replicate: theta (p,), inner order; what of it is aliased; whether it has converged to a finite maximum."""

    theta: Tensor
    aliased: Tensor
    converged: bool


def refits(estimate: VectorEstimate, counts: Tensor, stop: Stop) -> Iterator[Refit]:
    """The fits of rows that count as often as `counts` (replicates, rows) says."""
    design = estimate.objective.design
    for each in counts:
        kept = torch.nonzero(each > 0.0).flatten()
        drawn = design.take(kept)
        weight = each[kept] if drawn.weight is None else drawn.weight * each[kept]
        yield _refit(estimate, replace(drawn, weight=weight), stop)


def responded(estimate: VectorEstimate, count: int, rng: np.random.Generator, stop: Stop) -> Iterator[Refit]:
    """The fits of `count` sets of responses drawn from the fitted distribution.

    Raises: OptionError for a likelihood that cannot be drawn from.
    """
    objective, device = estimate.objective, estimate.objective.design.device
    raw = objective.raw(estimate.solution.theta)
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**62)))

    def of_block(block: Block) -> Tensor:
        return objective.likelihood.sample(objective.predictors(block, raw), generator)

    for _ in range(count):
        yield _refit(estimate, replace(objective.design, y=objective.design.map(of_block)), stop)


def _refit(estimate: VectorEstimate, design: Design, stop: Stop) -> Refit:
    theta = torch.where(estimate.curvature.aliased, 0.0, estimate.solution.theta)
    lost = Refit(torch.full_like(theta, torch.nan), torch.zeros_like(estimate.curvature.aliased), False)
    if _lacks_a_class(estimate, design):
        return lost
    objective = estimate.objective.on(design)  # centred as the estimate's, so that theta means the same
    try:
        start = VectorStart(estimate.family, theta, likelihood=objective.likelihood)
        solution = run(IRLS(), objective, start, stop)
    except DomainError:
        return lost
    finite = solution.status.converged and not _at_infinity(estimate, objective, solution)
    return Refit(solution.theta, solution.point.curvature.aliased, finite)


def _at_infinity(estimate: VectorEstimate, objective: Objective, solution: Solution) -> bool:
    """Whether a search has ended on a way to infinity: a pass where it looks like it."""
    step = solution.point.step
    length = (-solution.point.gradient.dot(step)).clamp(min=0.0).sqrt()
    if not bool(looks_infinite(estimate, estimate.layout.to_user(step)[None], length[None])):
        return False
    theta = solution.theta
    here, far = objective.values(torch.stack([theta, theta + (FAR / length) * step], 1))
    return bool(never_rises(here, far))


def _lacks_a_class(estimate: VectorEstimate, design: Design) -> bool:
    """Whether a class has no row: its cuts or coefficients are then infinite."""
    levels = estimate.prepared.response.levels
    if not estimate.prepared.request.classes or levels is None:
        return False
    return bool((torch.bincount(design.y.to(torch.int64), minlength=len(levels)) == 0).any())
