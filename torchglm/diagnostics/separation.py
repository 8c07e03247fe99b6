"""Separation: coefficients that no finite value maximises, found by a linear program.

The likelihood of a row has no finite maximum in eta where its response lies at an end: y = 0 or 1 of a binomial,
y = 0 of a count. A direction d along which every such row goes on towards its end (or stays) and every other row
stays, is one along which the likelihood never falls:

    s_i x_i'd >= 0 for rows at an end (s_i its side),   x_i'd = 0 for all others,   some x_i'd != 0

(Albert & Anderson 1984; Konis 2007). The rows that a fit has carried to their end are few where there is no separation,
so the program runs in the null space of the others.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.inference.estimate import Estimate
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import assemble

SUSPICIOUS = 30.0  # standard errors per unit of a column, in link units, that ordinary data do not have
DECIDED = 1e-6  # a row of information below this is at its end
NULL = 1e-9  # relative eigenvalue below which rows leave a direction free
VISIBLE = 1e-6  # share of the longest component of a direction
LARGEST = 3_000  # coefficients
REACH = 100.0  # sizes of the linear predictors that a direction is followed: a finite maximum lies long before
FREE = (None, None)
SPARSER, SHORT = 4, 1e-3  # programs for the fewest components; the share below which one is none
SPARSEST = 300  # coefficients of which they are looked for
LOOKED_AT = 4_096  # rows, for the scale of the columns


def infinite_coefficients(estimate: Estimate, names: tuple[str, ...]) -> dict[str, str]:
    """The coefficients that separation makes infinite -> "+" or "-"; empty where there is none.

    Costs nothing unless a standard error is suspiciously large.
    """
    if not estimate.family.kernel.ends:
        return {}
    lost = bool((estimate.undetermined & ~estimate.aliased).any())
    if estimate.layout.width > LARGEST or not (lost or is_suspicious(estimate)):
        return {}
    goes_on = estimate.solution.status.converged and not lost and never_rises(estimate, estimate.solution.point.step)
    # What is convex and falls on and on has no maximum; of anything else the program has to say so.
    certain = goes_on and estimate.objective.likelihood.is_convex_everywhere
    direction = None if certain else recession(estimate)
    if direction is None and not certain:
        return {}
    direction = _last_direction(estimate) if goes_on else direction
    assert direction is not None
    return {name: "+" if d > 0 else "-" for name, d in zip(names, direction.tolist(), strict=True) if d != 0.0}


def never_rises(estimate: Estimate, step: Tensor) -> bool:
    """Whether the objective does not rise along a step, followed far: one pass."""
    moved = pace(estimate, step)
    if not 0.0 < moved < math.inf:
        return False
    # Where a search has stopped early, its maximum may lie far ahead.
    far = (1.0,) if estimate.solution.status.converged else (1.0, 1e2, 1e4)
    theta = estimate.solution.theta
    along = torch.stack([theta + (reach * REACH / moved) * step for reach in (0.0, *far)], 1)
    at, *ahead = estimate.objective.values(along).tolist()
    ahead = [ahead[0], *(value for value in ahead[1:] if not math.isnan(value))]  # beyond, numbers may overflow
    return all(value <= at + 1e-9 * max(abs(at), 1.0) for value in ahead)


def pace(estimate: Estimate, step: Tensor) -> float:
    """How far a step moves the linear predictors, root mean squares over rows, in units of their own size above 1."""
    objective = estimate.objective
    raw, at = objective.raw(step), objective.raw(estimate.solution.theta)

    def row_sums(block: Block) -> Sums:
        each = [columns.matvec(coef) for columns, coef in zip(block.columns, raw, strict=True)]
        moved = torch.stack([own.square().sum() for own in each]).sum()
        squares = objective.predictors(block, at).square().sum()
        return Sums({"moved": moved, "squares": squares, "n": moved.new_tensor(float(block.rows))})

    sums = objective.design.sum(row_sums)
    moved, size = (math.sqrt(float(sums[name]) / float(sums["n"])) for name in ("moved", "squares"))
    return moved / max(size, 1.0)


def _last_direction(estimate: Estimate) -> Tensor:
    """(p,) the direction in which the search went to infinity: there a Newton step has length one and never shrinks.

    The program knows that there is a direction; of several it takes any. Where the search has gone on to its last
    digits, its step is rounding, and the program's direction has to do.
    """
    point = estimate.solution.point
    moved = estimate.layout.to_user(point.step).cpu() * unit_lengths(estimate)
    return torch.where(moved.abs() > VISIBLE * moved.abs().max(), moved, 0.0)


def is_suspicious(estimate: Estimate) -> bool:
    """Whether a coefficient's standard error, times its column's root mean square, is beyond what data leave open."""
    if not estimate.solution.status.converged:
        return True
    lengths = unit_lengths(estimate)
    size = estimate.unscaled_variances.nan_to_num(nan=0.0).clamp(min=0.0).sqrt() * lengths
    return bool((size > SUSPICIOUS).any())


def unit_lengths(estimate: Estimate) -> Tensor:
    """(p,) root mean square of each column where it is not zero, from a few thousand rows; 1 where all are zero."""
    design = estimate.objective.design

    def row_sums(block: Block) -> Sums:
        ones = block.y.new_ones(block.rows)
        parts = {}
        for k, rows in enumerate(block.columns):
            nonzero = block.y.new_zeros(0) if rows.dense is None else (rows.dense != 0).sum(1)
            parts |= {f"squares {k}": rows.squares(ones), f"nonzero {k}": nonzero.to(torch.float64)}
        return Sums(parts)

    rows = design if design.n <= LOOKED_AT else design.sample(LOOKED_AT)
    sums = rows.sum(row_sums)
    each = []
    for k, columns in enumerate(design.columns):
        squares = columns.collapse_squares(sums[f"squares {k}"])
        start, stop = columns.widths[0], columns.widths[0] + columns.widths[1]
        lengths = torch.ones_like(squares)
        dense = squares[start:stop] / sums[f"nonzero {k}"].clamp(min=1.0)[: stop - start]
        lengths[start:stop] = torch.where(dense > 0, dense.sqrt(), 1.0)
        each.append(lengths)
    return torch.cat(each)[estimate.layout.order].cpu()


def recession(estimate: Estimate) -> Tensor | None:
    """(p,) a direction of the formula's coefficients along which the likelihood never falls, or None."""
    objective, raw = estimate.objective, estimate.objective.raw(estimate.solution.theta)
    rows: list[tuple[Tensor, Tensor]] = []

    def row_sums(block: Block) -> Sums:
        z = objective.predictors(block, raw)
        terms = objective.likelihood.expand(block.y, z, information="expected")
        side = _side(estimate, block.y)
        ended = (terms.curvature[:, 0, 0] < DECIDED) & (side != 0)
        free = torch.where(ended, 0.0, 1.0).to(torch.float64)
        if bool(ended.any()):
            rows.append((block.columns[0].model_matrix()[ended].cpu(), side[ended].cpu()))
        return Sums(block.columns[0].gram(free, block.scratch[0]))

    gram = assemble(estimate.layout.columns[0], objective.design.sum(row_sums))
    # Aliased columns lead nowhere that the others do not; in a group of many, they are most.
    kept = torch.nonzero(~estimate.aliased[estimate.layout.positions.cpu()]).flatten().to(gram.device)
    gram = gram[kept][:, kept]
    rows = [(x.to(gram.device)[:, kept], side.to(gram.device)) for x, side in objective.design.everywhere(rows)]
    if not rows:
        return None
    scale = gram.diagonal() + torch.cat([x for x, _ in rows]).square().sum(0)
    scale = torch.where(scale > 0, scale, 1.0).rsqrt()
    values, vectors = torch.linalg.eigh(gram * scale[:, None] * scale[None, :])
    null = vectors[:, values < NULL * max(float(values.max()), 1e-300)] * scale[:, None]
    if not null.shape[1]:
        return None
    ended = torch.cat([side[:, None] * (x @ null) for x, side in rows])
    along = program(torch.unique(ended, dim=0).cpu().numpy(), (null / scale[:, None]).cpu().numpy())
    if along is None:
        return None
    moved = gram.new_zeros(estimate.layout.width, 2)
    moved[kept] = torch.stack([null @ torch.from_numpy(along).to(null.device), 1.0 / scale], 1)
    direction, lengths = estimate.layout.to_user(moved[:, 0]).cpu(), moved[estimate.layout.order, 1].cpu()
    unit = direction * lengths
    return torch.where((unit.abs() > VISIBLE * unit.abs().max()) & ~estimate.aliased, direction, 0.0)


def _side(estimate: Estimate, y: Tensor) -> Tensor:
    """+1 where eta of a row can go to its upper end without loss, -1 to its lower, 0 where neither."""
    sign = -1.0 if estimate.family.link.decreasing else 1.0
    side = torch.zeros_like(y)
    for end in estimate.family.kernel.ends:
        side = torch.where(y == end, sign if end > 0.0 else -sign, side)
    return side


def program(ended: np.ndarray, basis: np.ndarray) -> np.ndarray | None:
    """(m,) the d that carries on every row which can go on, A d >= 1 there and A d >= 0 elsewhere; None where none can.

    A first program, max sum(s) under A d >= s and 0 <= s <= 1, finds the rows that can; the others leave out of
    `basis` (p, m) d what need not move: least sums of its components, weighted by how short they were (Candes, Wakin &
    Boyd 2008).
    """
    from scipy.optimize import linprog

    span = np.abs(ended).max(axis=1)
    ended = ended[span > 1e-9 * max(span.max(initial=0.0), 1e-300)]
    if not len(ended):
        return None
    (n, m), p = ended.shape, len(basis)
    ended = ended / np.abs(ended).max(axis=1, keepdims=True)
    gains, moves = np.concatenate([np.zeros(m), np.ones(n)]), np.hstack([ended, -np.eye(n)])
    going = linprog(-gains, A_ub=-moves, b_ub=np.zeros(n), bounds=[FREE] * m + [(0, 1)] * n)
    if not going.success or -going.fun < 0.5:
        return None
    rows = np.hstack([ended, np.zeros((n, p))])
    sizes = np.vstack([np.hstack([-basis, np.eye(p)]), np.hstack([basis, np.eye(p)])])
    least = np.concatenate([np.round(going.x[m:]), np.zeros(2 * p)])
    along, costs = going.x[:m], np.ones(p)
    for _ in range(SPARSER if p <= SPARSEST else 0):
        short = linprog(
            np.concatenate([np.zeros(m), costs]),
            A_ub=-np.vstack([rows, sizes]),
            b_ub=-least,
            bounds=[FREE] * (m + p),
        )
        if not short.success:
            break
        along = short.x[:m]
        moved = np.abs(basis @ along)
        costs = 1.0 / (moved / moved.max() + SHORT)
    return np.asarray(along, dtype=np.float64)
