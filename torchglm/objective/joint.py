"""The curvature of several linear predictors: a block of coefficients for each pair of them.

    H[k, l] = X_k' diag(w c_kl) X_l        c (rows, q, q) the curvature of a row in its predictors

Predictors that have the same columns, as the logits of a multinomial, are summed over together: all their weights in
one stretch of rows while it is in the cache.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.columns import Columns, grouped
from torchglm.numerics.linalg import Factored, factor_gram
from torchglm.numerics.sums import Sums
from torchglm.objective.curvature import assemble, factor
from torchglm.objective.layout import Layout


def curvature_sums(block: Block, curvature: Tensor) -> dict[str, Tensor]:
    """The raw sums of every pair of predictors, from row curvatures (rows, q, q)."""
    if len(block.columns) == 1:
        w = curvature[:, 0, 0] if block.weight is None else curvature[:, 0, 0] * block.weight
        return {"total": w.sum(), **block.columns[0].gram(w, block.scratch[0])}
    entries = curvature.permute(1, 2, 0)
    sums, groups = {}, block.groups
    for a, group in enumerate(groups):
        columns, pairs = block.columns[group[0]], _pairs_within(group)
        if columns.whole.is_constant:  # as the cuts of an ordinal: no copy of the weights
            totals = torch.stack([_sum(entries[k, j], block.weight) for k, j in pairs])
            sums |= {f"totals {a}": totals, f"{a}: first": totals[:, None].clone()}
        else:
            w = _weights(entries, pairs, block.weight)
            sums[f"totals {a}"] = w.sum(1)
            sums |= {f"{a}: {name}": part for name, part in columns.grams(w, block.scratch[group[0]]).items()}
        for b in range(a + 1, len(groups)):
            w = _weights(entries, _pairs_between(group, groups[b]), block.weight)
            sums[f"between {a} {b}"] = columns.crosses(block.columns[groups[b][0]], w)
    return sums


def _pairs_within(group: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(k, j) for at, k in enumerate(group) for j in group[at:]]


def _pairs_between(first: tuple[int, ...], second: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(k, j) for k in first for j in second]


def _sum(rows: Tensor, weight: Tensor | None) -> Tensor:
    return rows.sum() if weight is None else torch.dot(rows, weight)


def _weights(entries: Tensor, pairs: list[tuple[int, int]], weight: Tensor | None) -> Tensor:
    """(m, rows) the row weights of m pairs of predictors, from (q, q, rows)."""
    w = torch.stack([entries[k, j] for k, j in pairs])
    return w if weight is None else w.mul_(weight)


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
    squares = [center.square() for center in layout.split(layout.centers)]
    for a, group in enumerate(grouped(layout.columns)):
        for (k, j), total in zip(_pairs_within(group), sums[f"totals {a}"], strict=True):
            if k == j:
                squares[k] = 1e-22 * total * squares[k]
    return factor_gram(assemble_all(layout.columns, sums), layout.order, floor=torch.cat(squares))


def assemble_all(columns: tuple[Columns, ...], sums: Sums) -> Tensor:
    """(p, p) in the inner order, codings applied."""
    if len(columns) == 1:
        return assemble(columns[0], sums)
    groups, blocks = grouped(columns), {}
    for a, group in enumerate(groups):
        mine, prefix = columns[group[0]], f"{a}: "
        own = {name.removeprefix(prefix): v for name, v in sums.parts.items() if name.startswith(prefix)}
        for at, (k, j) in enumerate(_pairs_within(group)):
            blocks[k, j] = blocks[j, k] = assemble(mine, Sums({name: v[at] for name, v in own.items()}))
        for b in range(a + 1, len(groups)):
            theirs = columns[groups[b][0]]
            for (k, j), raw in zip(_pairs_between(group, groups[b]), sums[f"between {a} {b}"], strict=True):
                blocks[k, j] = mine.collapse(theirs.collapse(raw.T).T)
                blocks[j, k] = blocks[k, j].T
    q = range(len(columns))
    return torch.cat([torch.cat([blocks[k, j] for j in q], dim=1) for k in q])
