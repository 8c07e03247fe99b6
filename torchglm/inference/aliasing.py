"""Which columns span an aliased one."""

from __future__ import annotations

import torch

from torchglm.design.block import Block
from torchglm.inference.estimate import Estimate
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import assemble

VISIBLE = 1e-6  # a share of a spanning column below it is rounding


def partners(estimate: Estimate, names: tuple[str, ...]) -> dict[str, list[str]]:
    """Each aliased name -> the names of the kept columns that its own is a combination of: one pass over the rows."""
    aliased = estimate.aliased
    if not bool(aliased.any()):
        return {}
    design = estimate.objective.design

    def row_sums(block: Block) -> Sums:
        return Sums(block.columns[0].gram(torch.ones_like(block.y), block.scratch[0]))

    gram = estimate.layout.meat_to_user(assemble(design.columns[0], design.sum(row_sums))).cpu()
    lengths = gram.diagonal().sqrt()
    lengths = torch.where(lengths > 0, lengths, 1.0)
    gram = gram / lengths[:, None] / lengths[None, :]
    kept = torch.nonzero(~aliased).flatten()
    out = {}
    for j in torch.nonzero(aliased).flatten().tolist():
        before = kept[kept < j]
        share = torch.linalg.lstsq(gram[before][:, before], gram[before, j, None], driver="gelsd").solution[:, 0]
        out[names[j]] = [names[int(k)] for k in before[share.abs() > VISIBLE]]
    return out
