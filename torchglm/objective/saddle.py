"""Ways down from a point without slope: directions in which a likelihood that is not convex bends down there."""

from __future__ import annotations

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.numerics.sums import Sums
from torchglm.objective.joint import assemble_all, curvature_sums
from torchglm.objective.objective import Objective

DOWN = -1e-6  # eigenvalue of the information, scaled by that of the expected one: below, it bends down
REACHES = (0.1, 0.3, 1.0, 3.0, 10.0)  # root mean squares of a linear predictor to look at, both ways
LOWER = 1e-9  # share of the value by which a point has to be lower


def observed_information(objective: Objective, theta: Tensor) -> Tensor:
    """(p, p) inner order, codings applied: one pass."""
    raw = objective.raw(theta)

    def row_sums(block: Block) -> Sums:
        terms = objective.likelihood.expand(block.y, objective.predictors(block, raw), information="observed")
        return Sums(curvature_sums(block, terms.curvature))

    return assemble_all(objective.design.columns, objective.sum(row_sums, spread=True))


def way_down(objective: Objective, theta: Tensor, lengths: Tensor) -> Tensor | None:
    """(p,) a lower point along the direction of the most negative curvature at theta, or None: two passes.

    At a saddle, as where the two components of a mixture are equal, the slope is zero and every step is too.
    `lengths` (p,) of the columns, as Factored has them.
    """
    scale = lengths.reciprocal()
    scaled = observed_information(objective, theta) * scale[:, None] * scale[None, :]
    if not bool(torch.isfinite(scaled).all()):
        return None
    values, vectors = torch.linalg.eigh(scaled)
    if float(values[0]) > DOWN * float(values.abs().max()):
        return None
    direction = scale * vectors[:, 0] * objective.design.n**0.5
    reaches = torch.tensor([sign * reach for reach in REACHES for sign in (1.0, -1.0)], dtype=theta.dtype)
    along = theta[:, None] + direction[:, None] * reaches.to(theta.device)
    at, *others = objective.values(torch.cat([theta[:, None], along], 1)).tolist()
    lowest = min(range(len(others)), key=lambda k: others[k] if others[k] == others[k] else float("inf"))
    return along[:, lowest] if others[lowest] < at - LOWER * max(abs(at), 1.0) else None
