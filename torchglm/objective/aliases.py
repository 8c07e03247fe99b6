"""Columns that others span, told from columns that nearly do, without an orthogonal factorisation of all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.families.likelihood import Information
from torchglm.numerics.linalg import ENOUGH_DIGITS, ROOT_PIVOT, Factored, Triangular
from torchglm.numerics.sums import Sums

if TYPE_CHECKING:
    from torchglm.objective.objective import Objective

CHEAP_ROOT = 1e8  # rows x p^2: an orthogonal factorisation takes about a tenth of a second
MOST = 32  # columns looked at
REFINED = 2  # times: from residuals as large as a cross product leaves them to rounding


def left_out_for_good(objective: Objective, raw: list[Tensor], curvature: Factored, information: Information) -> bool:
    """Whether the columns that `curvature` leaves out are combinations of those it keeps, and these have digits enough.

    Then the cross product does what an orthogonal factorisation would. What is left of such a column beside its least
    squares on the others shrinks to rounding as the fit is refined, a pass each time. False where that is not worth it.
    """
    left = torch.nonzero(curvature.aliased).flatten()
    enough = isinstance(curvature, Triangular) and curvature.smallest_kept > ENOUGH_DIGITS
    if not enough or not 0 < len(left) <= MOST or objective.design.n * objective.layout.width**2 < CHEAP_ROOT:
        return False
    along = torch.zeros(objective.layout.width, len(left), dtype=torch.float64, device=left.device)
    along[left, torch.arange(len(left), device=left.device)] = 1.0
    first, pull = _residuals(objective, raw, along, information)
    size = first
    for _ in range(REFINED):
        along -= curvature.solve(pull)
        size, pull = _residuals(objective, raw, along, information)
    whole = first + objective.layout.centers[left].square() * float(curvature.lengths[0]) ** 2
    return bool((size <= ROOT_PIVOT**2 * whole).all())


def _residuals(
    objective: Objective, raw: list[Tensor], along: Tensor, information: Information
) -> tuple[Tensor, Tensor]:
    """Of X v for each v of `along` (p, m): the weighted squared length (m,), and X' W X v (p, m)."""
    (columns,) = objective.design.columns
    vectors = torch.stack([columns.expand(v) for v in along.T], dim=1)

    def row_sums(block: Block) -> Sums:
        terms = objective.likelihood.expand(block.y, objective.predictors(block, raw), information=information)
        w = terms.curvature[:, 0, 0] if block.weight is None else terms.curvature[:, 0, 0] * block.weight
        rest = block.columns[0].matmul(vectors).T
        heavy = rest * w
        return Sums({"size": (rest * heavy).sum(1), "pull": block.columns[0].rmatmul(heavy)})

    sums = objective.sum(row_sums)
    return sums["size"], torch.stack([columns.collapse(row) for row in sums["pull"]], dim=1)
