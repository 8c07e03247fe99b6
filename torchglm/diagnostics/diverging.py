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
from torchglm.objective.saddle import observed_information

NULL = 1e-9  # relative eigenvalue below which the information says nothing of a direction
FOLLOWED = 1e-3  # share of the longest component below which a coefficient stays where it is
STILL = 1e-8  # of a row's nll in a direction: a slope below it is rounding
CUTS = 8  # programs solved
ASKED = 10_000  # rows, at most, that a program hears: those left out may object to what it finds


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


def unseen_coefficients(estimate: Estimate) -> Tensor:
    """(p,) True where a coefficient moves in a direction of which the information says nothing."""
    layout, lengths = estimate.layout, unit_lengths(estimate)
    moved = torch.stack([layout.to_user(step).cpu() * lengths for step in unseen_directions(estimate, lengths).T], 1)
    return (moved.abs() > FOLLOWED * moved.abs().amax(0)).any(1) & ~estimate.aliased


def _direction(estimate: Estimate, lengths: Tensor, lost: bool) -> Tensor | None:
    """(p,) inner order: a direction along which no row's nll rises, or None; where the search went, if that is one."""
    theta = estimate.solution.theta
    if not lost and never_rises(estimate, estimate.solution.point.step):
        return estimate.solution.point.step
    unseen = unseen_directions(estimate, lengths)
    if not unseen.shape[1]:
        return None
    basis = (unseen.cpu() * lengths[estimate.layout.positions.cpu()][:, None]).numpy()
    here = objections(estimate, theta, unseen)
    seen = theta - unseen @ torch.linalg.lstsq(unseen, theta[:, None]).solution[:, 0]
    back = objections(estimate, seen, unseen)  # here rows may have come to rest; there none has
    # Rows of a convex likelihood object to the same everywhere; others may change their mind on the way.
    found = _undisputed(estimate, unseen, basis, np.concatenate([here, back]))
    if found is None and not estimate.objective.likelihood.is_convex:
        found = _undisputed(estimate, unseen, basis, here)
    return found


def _undisputed(estimate: Estimate, unseen: Tensor, basis: np.ndarray, heard: np.ndarray) -> Tensor | None:
    """(p,) a direction in the span of `unseen` (p, m) to which no row objects, or None."""
    theta = estimate.solution.theta
    for _ in range(CUTS):
        along = program(-heard, basis)
        if along is None:
            return None
        step = unseen @ torch.from_numpy(along).to(unseen.device)
        if never_rises(estimate, step):
            return step
        far = objections(estimate, theta + (REACH / pace(estimate, step)) * step, unseen)
        heard = np.concatenate([heard, far[far @ along > STILL]])
    return None


def unseen_directions(estimate: Estimate, lengths: Tensor) -> Tensor:
    """(p, m) inner order: the directions of which the information at theta says nothing, or next to nothing."""
    theta = estimate.solution.theta
    positions = estimate.layout.positions.cpu()
    scale = (1.0 / lengths[positions]).to(theta.device) * (~estimate.aliased[positions]).to(theta.device)
    information = observed_information(estimate.objective, theta)
    values, vectors = torch.linalg.eigh(information * scale[:, None] * scale[None, :])
    unknown = values < max(NULL * float(values.max()), SUSPICIOUS**-2)
    return scale[:, None] * vectors[:, unknown]


def objections(estimate: Estimate, theta: Tensor, unseen: Tensor) -> np.ndarray:
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
        found.append(torch.unique((told * 1e9).round(), dim=0)[:ASKED].cpu() / 1e9)
        return Sums({"n": gradient.sum()})

    objective.design.sum(row_sums)
    return np.unique(torch.cat(objective.design.everywhere(found)).numpy(), axis=0)[
        :: max(1, sum(map(len, found)) // ASKED)
    ]
