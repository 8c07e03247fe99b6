"""How the adjustment of a penalised score changes with theta, exactly: what Newton's method needs beside the curvature.

With weights w, W = d^2 / V, a and leverages per unit W q, q_i = x_i' K x_i, K = (X' diag(wW) X)^-1, the adjustment is

    A = sum_i w_i W_i q_i a_i x_i
    T_c = sum_i w_i W'_i x_ic x_i x_i'
    dA / d theta_c = sum_i w_i [ (W a)'_i q_i x_ic - W_i a_i x_i' K T_c K x_i ] x_i

which are sums over rows: one pass for the T_c and one for the columns, p curvature passes' work each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import assemble
from torchglm.objective.objective import Objective


class Bend(NamedTuple):
    """W, its derivative, a and its derivative at each row (rows,), and the curvature of a row's own likelihood."""

    weight: Tensor
    weight_slope: Tensor
    pull: Tensor
    pull_slope: Tensor
    curvature: Tensor


def bending(objective: Objective, bend: Callable[[Block], Bend], inverse: Tensor, phi: float) -> Tensor:
    """The Jacobian (p, p) of minus the adjusted score, curvature of the likelihood - phi dA / d theta: two passes."""
    columns = objective.design.columns[0]
    places = range(columns.width)
    units = columns.expand(torch.eye(columns.width, dtype=torch.float64, device=inverse.device))

    def weighted(block: Block, rows: Tensor) -> Tensor:
        return rows if block.weight is None else rows * block.weight

    def cubes(block: Block) -> Sums:
        slope = weighted(block, bend(block).weight_slope)
        parts = {}
        for c in places:
            gram = block.columns[0].gram(slope * block.columns[0].matvec(units[:, c]), block.scratch[0])
            parts |= {f"{c} {name}": value for name, value in gram.items()}
        return Sums(parts)

    def raw(matrix: Tensor) -> Tensor:
        return columns.expand(columns.expand(matrix).T)

    sums = objective.sum(cubes)
    forms = [raw(inverse @ assemble(columns, _of(sums, c)) @ inverse) for c in places]
    leverage = raw(inverse)

    def rows_of(block: Block) -> Sums:
        rows, at = block.columns[0], bend(block)
        straight = (at.weight_slope * at.pull + at.weight * at.pull_slope) * rows.quadratic_form(leverage)
        heavy = at.weight * at.pull
        parts = {}
        for c in places:
            along = straight * rows.matvec(units[:, c]) - heavy * rows.quadratic_form(forms[c])
            parts[f"column {c}"] = rows.rmatvec(weighted(block, along))
        return Sums({**parts, **rows.gram(weighted(block, at.curvature), block.scratch[0])})

    sums = objective.sum(rows_of)
    adjustment = torch.stack([columns.collapse(sums[f"column {c}"]) for c in places], dim=1)
    return assemble(columns, sums) - phi * adjustment


def _of(sums: Sums, place: int) -> Sums:
    """The part of the sums that belongs to one column."""
    lead = f"{place} "
    return Sums({name.removeprefix(lead): value for name, value in sums.parts.items() if name.startswith(lead)})
