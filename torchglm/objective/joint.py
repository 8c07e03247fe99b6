"""The curvature of several linear predictors: a block of coefficients for each pair of them.

    H[k, l] = X_k' diag(w c_kl) X_l        c (rows, q, q) the curvature of a row in its predictors

Where two predictors have the same columns, as the logits of a multinomial, one Gram matrix function serves them all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.columns import Columns
from torchglm.numerics.linalg import Factored, factor_gram
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import assemble, factor
from torchglm.objective.layout import Layout


def curvature_sums(block: Block, curvature: Tensor) -> dict[str, Tensor]:
    """The raw sums of every pair of predictors, from row curvatures (rows, q, q)."""
    q = len(block.columns)
    if block.weight is not None:
        curvature = curvature * block.weight[:, None, None]
    if q == 1:
        w = curvature[:, 0, 0]
        return {"total": w.sum(), **block.columns[0].gram(w, block.scratch[0])}
    sums = {}
    for k in range(q):
        w = curvature[:, k, k].contiguous()
        sums[f"total {k}"] = w.sum()
        sums |= {f"{k}: {name}": part for name, part in block.columns[k].gram(w, block.scratch[k]).items()}
        for j in range(k + 1, q):
            sums[f"pair {k} {j}"] = block.columns[k].cross(block.columns[j], curvature[:, k, j].contiguous())
    return sums


def positive_part(curvature: Tensor) -> Tensor:
    """(rows, q, q) without its negative eigenvalues: what every step may be taken with.

    A row likelihood that is not log-concave, as that of a zero-inflated count, bends down somewhere, where Newton's
    step would climb.
    """
    q = curvature.shape[1]
    if q == 1:
        return curvature.clamp(min=0.0)
    if q > 2:
        values, vectors = torch.linalg.eigh(curvature)
        return (vectors * values.clamp(min=0.0).unsqueeze(1)) @ vectors.mT
    a, b, c = curvature[:, 0, 0], curvature[:, 0, 1], curvature[:, 1, 1]
    middle, half = 0.5 * (a + c), torch.hypot(0.5 * (a - c), b)
    high, low = middle + half, middle - half
    # C+ = (C - low I) high / (high - low) where the eigenvalues differ in sign, C or 0 where they do not.
    share = torch.where(low >= 0.0, 1.0, torch.where(high > 0.0, high / (high - low), 0.0))
    shift = torch.where((low < 0.0) & (high > 0.0), low, 0.0)
    eye = torch.eye(2, dtype=curvature.dtype, device=curvature.device)
    return (curvature - shift[:, None, None] * eye) * share[:, None, None]


def factor_all(layout: Layout, sums: Sums) -> Factored:
    """The curvature of all predictors, factored."""
    if len(layout.columns) == 1:
        return factor(layout, sums, sums["total"])
    floors = [1e-22 * sums[f"total {k}"] * center.square() for k, center in enumerate(layout.split(layout.centers))]
    return factor_gram(assemble_all(layout.columns, sums), layout.order, floor=torch.cat(floors))


def assemble_all(columns: tuple[Columns, ...], sums: Sums) -> Tensor:
    """(p, p) in the inner order, codings applied."""
    if len(columns) == 1:
        return assemble(columns[0], sums)
    rows = []
    for k, mine in enumerate(columns):
        row = []
        for j, theirs in enumerate(columns):
            if j == k:
                prefix = f"{k}: "
                own = {name.removeprefix(prefix): v for name, v in sums.parts.items() if name.startswith(prefix)}
                row.append(assemble(mine, Sums(own)))
            else:
                raw = sums[f"pair {min(j, k)} {max(j, k)}"]
                row.append(mine.collapse(theirs.collapse((raw if k < j else raw.T).T).T))
        rows.append(torch.cat(row, dim=1))
    return torch.cat(rows)
