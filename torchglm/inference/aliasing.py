"""Which columns span an aliased one."""

from __future__ import annotations

import torch
from torch import Tensor

from torchglm.inference.estimate import Estimate
from torchglm.objective.joint import assemble_all

VISIBLE = 1e-6  # a share of a spanning column below it is rounding


def partners(estimate: Estimate, names: tuple[str, ...]) -> dict[str, list[str]]:
    """Each aliased name -> the names of the kept columns that its own is a combination of: one pass over the rows."""
    if not bool(estimate.aliased.any()):
        return {}
    places, shares = combinations(estimate)
    spans = [torch.nonzero(share).flatten().tolist() for share in shares.T]
    return {names[j]: [names[k] for k in span] for j, span in zip(places.tolist(), spans, strict=True)}


def combinations(estimate: Estimate) -> tuple[Tensor, Tensor]:
    """The places (m,) of the aliased columns, and (p, m) what each is of the kept columns before it: one pass."""
    aliased = estimate.aliased
    gram = estimate.layout.meat_to_user(assemble_all(estimate.objective.design.columns, estimate.column_sums)).cpu()
    lengths = gram.diagonal().sqrt()
    lengths = torch.where(lengths > 0, lengths, 1.0)
    gram = gram / lengths[:, None] / lengths[None, :]
    places, kept = (torch.nonzero(mask).flatten() for mask in (aliased, ~aliased))
    shares = torch.zeros(len(aliased), len(places), dtype=torch.float64)
    for at, j in enumerate(places.tolist()):
        before = kept[kept < j]
        share = torch.linalg.lstsq(gram[before][:, before], gram[before, j, None], driver="gelsd").solution[:, 0]
        shares[before, at] = torch.where(share.abs() > VISIBLE, share, 0.0) * lengths[j] / lengths[before]
    return places, shares
