"""What is said of ordinal models whose nominal effects make cuts cross."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.diagnostics.diverging import objections, unseen_directions
from torchglm.diagnostics.separation import unit_lengths
from torchglm.families.ordinal import Ordinal
from torchglm.inference.vector import VectorEstimate
from torchglm.numerics.sums import Sums

APART = 1.0  # how far cuts that crossed are put apart, where no row tells
SAME = 1e-9  # of the nll

CROSSED = (
    "The cuts cross in {} row(s) of the fit: effects that differ from cut to cut make P(y <= k) fall as k grows, so "
    "that these rows have no probabilities, and the fit is no model of them. Leave terms out of nominal=."
)


def ordinal_limits(estimate: VectorEstimate, names: tuple[str, ...]) -> dict[str, list[str]]:
    """Where cuts cross in rows of the fit, that in words; of no coefficient by itself."""
    rows = rows_that_cross(estimate)
    return {CROSSED.format(rows): []} if rows else {}


def rows_that_cross(estimate: VectorEstimate) -> int:
    """The rows of the fit in which a cut lies below the one before it: none without nominal effects."""
    objective, likelihood = estimate.objective, estimate.model.likelihood
    assert isinstance(likelihood, Ordinal)
    if estimate.model.predictors[1].part is None:
        return 0
    raw = objective.raw(estimate.solution.theta)

    def row_sums(block: Block) -> Sums:
        return Sums({"rows": likelihood.crosses(objective.predictors(block, raw)).sum(dtype=torch.float64)})

    return int(objective.design.sum(row_sums)["rows"])


def uncrossed(estimate: VectorEstimate) -> Tensor | None:
    """(p,) a step, inner order, after which no cuts cross and the likelihood is what it was; None where there is none.

    Where the lowest classes never occur among some rows, the cuts below all but go down without end, and of those
    further below no row knows anything: they are to go on before them. A linear program finds the shortest such step
    among the directions of which the information says nothing.
    """
    from scipy.optimize import linprog

    # No row knows such cuts: where all are known there is nothing to look for.
    if not bool((estimate.undetermined & ~estimate.aliased).any()) or not rows_that_cross(estimate):
        return None
    unseen = unseen_directions(estimate, unit_lengths(estimate))
    if not (m := unseen.shape[1]):
        return None
    gaps, change = _gaps(estimate, unseen)
    against = objections(estimate, estimate.solution.theta, unseen)
    rows = np.vstack([np.hstack([-change, change]), np.hstack([against, -against])])
    room = np.concatenate([gaps - np.where(gaps < 0.0, APART, np.minimum(gaps, APART)), np.zeros(len(against))])
    found = linprog(np.ones(2 * m), A_ub=rows, b_ub=room, bounds=(0, None))
    if not found.success:
        return None
    step = unseen @ torch.from_numpy(found.x[:m] - found.x[m:]).to(unseen.device)
    theta = estimate.solution.theta
    before, after = estimate.objective.values(torch.stack([theta, theta + step], 1)).tolist()
    return step if after <= before + SAME * max(abs(before), 1.0) else None


def _gaps(estimate: VectorEstimate, unseen: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """How far each cut lies above the one before it, and how that changes along `unseen` (p, m): in distinct rows."""
    objective, likelihood = estimate.objective, estimate.model.likelihood
    assert isinstance(likelihood, Ordinal)
    cuts = range(1, likelihood.levels)
    raw, along = objective.raw(estimate.solution.theta), estimate.layout.split(unseen)
    found: list[Tensor] = []

    def row_sums(block: Block) -> Sums:
        z = objective.predictors(block, raw)
        moved = [block.columns[k].model_matrix() @ along[k] for k in cuts]
        here = [
            torch.cat([(z[:, k + 1] - z[:, k])[:, None], after - before], 1)
            for k, before, after in zip(cuts, moved, moved[1:], strict=False)
        ]
        found.append(torch.unique((torch.cat(here) * 1e9).round(), dim=0).cpu() / 1e9)
        return Sums({"n": z.sum()})

    objective.design.sum(row_sums)
    each = np.unique(torch.cat(objective.design.everywhere(found)).numpy(), axis=0)
    return each[:, 0], each[:, 1:]
