"""Coefficients of several linear predictors that no finite value maximises.

A direction d of theta carries the likelihood to its supremum where the nll of no row rises along it, however far. Such
directions lie among those of which the information at the end of the search says nothing. A row tells by its gradient
at which of them its nll rises: g_i' (X_i d) <= 0 at theta, and wherever else the direction leads, so that a linear
program finds a candidate, and rows that object to it far out are further constraints (Kelley 1960: cutting planes).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.diagnostics.separation import (
    LARGEST,
    REACH,
    SUSPICIOUS,
    is_suspicious,
    never_rises,
    pace,
    program,
    unit_lengths,
)
from torchglm.inference.estimate import Estimate
from torchglm.numerics.sums import Sums
from torchglm.objective.joint import assemble_all, curvature_sums

NULL = 1e-9  # relative eigenvalue below which the information says nothing of a direction
FOLLOWED = 1e-3  # share of the longest component below which a coefficient stays where it is
STILL = 1e-8  # of a row's nll in a direction: a slope below it is rounding
CUTS = 8  # programs solved


def diverging_coefficients(estimate: Estimate, names: tuple[str, ...]) -> dict[str, str]:
    """The coefficients of several linear predictors that go to infinity -> "+" or "-"; empty where none does.

    Costs nothing unless the information has lost sight of a coefficient, or a standard error is suspiciously large.
    """
    layout = estimate.layout
    lost = bool((estimate.undetermined & ~estimate.aliased).any())
    if layout.width > LARGEST or not (lost or is_suspicious(estimate)):
        return {}
    lengths = unit_lengths(estimate)
    step = _direction(estimate, lengths, lost)
    if step is None:
        return {}
    moved = (layout.to_user(step).cpu() * lengths).masked_fill(estimate.aliased, 0.0)
    share = moved / moved.abs().max()
    return {name: "+" if s > 0 else "-" for name, s in zip(names, share.tolist(), strict=True) if abs(s) > FOLLOWED}


def _direction(estimate: Estimate, lengths: Tensor, lost: bool) -> Tensor | None:
    """(p,) inner order: a direction along which no row's nll rises, or None; where the search went, if that is one."""
    theta = estimate.solution.theta
    if not lost and never_rises(estimate, estimate.solution.point.step):
        return estimate.solution.point.step
    unseen = _unseen(estimate, lengths)
    if not unseen.shape[1]:
        return None
    basis = (unseen.cpu() * lengths[estimate.layout.positions][:, None]).numpy()
    objections = _objections(estimate, theta, unseen)
    if estimate.objective.likelihood.is_convex:  # wherever they stand, rows object to the same; here none has settled
        start = estimate.start.first(estimate.objective, estimate.objective.slope)[0]
        objections = np.concatenate([objections, _objections(estimate, start, unseen)])
    for _ in range(CUTS):
        along = program(-objections, basis)
        if along is None:
            return None
        step = unseen @ torch.from_numpy(along).to(unseen.device)
        if never_rises(estimate, step):
            return step
        far = theta + (REACH / pace(estimate, step)) * step
        objections = np.unique(np.concatenate([objections, _objections(estimate, far, unseen)]), axis=0)
    return None


def _unseen(estimate: Estimate, lengths: Tensor) -> Tensor:
    """(p, m) inner order: the directions of which the information at theta says nothing, or next to nothing."""
    objective, theta = estimate.objective, estimate.solution.theta
    raw = objective.raw(theta)

    def row_sums(block: Block) -> Sums:
        terms = objective.likelihood.expand(block.y, objective.predictors(block, raw), information="observed")
        return Sums(curvature_sums(block, terms.curvature))

    positions = estimate.layout.positions
    scale = (1.0 / lengths[positions]).to(theta.device) * (~estimate.aliased[positions]).to(theta.device)
    information = assemble_all(objective.design.columns, objective.design.sum(row_sums))
    values, vectors = torch.linalg.eigh(information * scale[:, None] * scale[None, :])
    unknown = values < max(NULL * float(values.max()), SUSPICIOUS**-2)
    return scale[:, None] * vectors[:, unknown]


def _objections(estimate: Estimate, theta: Tensor, unseen: Tensor) -> np.ndarray:
    """(some rows, m) the slope of each row's nll at theta along `unseen` (p, m), as a share of its gradient."""
    objective = estimate.objective
    raw, along = objective.raw(theta), estimate.layout.split(unseen)
    found: list[Tensor] = []

    def row_sums(block: Block) -> Sums:
        _, gradient = objective.likelihood.slope(block.y, objective.predictors(block, raw))
        size = gradient.norm(dim=1)
        share = torch.where((size > 0.0)[:, None], gradient / size[:, None], 0.0)
        rows = sum(
            (columns.model_matrix() @ part) * own[:, None]
            for columns, part, own in zip(block.columns, along, share.unbind(1), strict=True)
        )
        assert isinstance(rows, Tensor)
        told = rows[(rows.abs() > STILL).any(1)]
        found.append(torch.unique((told * 1e9).round(), dim=0).cpu() / 1e9)
        return Sums({"n": gradient.sum()})

    objective.design.sum(row_sums)
    rows = objective.design.everywhere(found)
    return np.unique(torch.cat(rows).numpy(), axis=0) if rows else np.zeros((0, unseen.shape[1]))
