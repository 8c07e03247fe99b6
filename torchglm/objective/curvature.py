"""From the sums of a pass to a factored curvature."""

from __future__ import annotations

import torch
from torch import Tensor

from torchglm.design.columns import Columns
from torchglm.numerics.arrow import factor_arrow
from torchglm.numerics.linalg import Factored, factor_gram
from torchglm.numerics.sums import Sums
from torchglm.objective.layout import Layout

WORTH_ELIMINATING = 200  # columns of a factor from which its elimination beats one dense Cholesky


def assemble(columns: Columns, sums: Sums) -> Tensor:
    """X' diag(w) X (width, width) from the blocks of `RowColumns.gram`, codings applied."""
    starts = _starts(columns)
    out = torch.zeros(columns.width, columns.width, dtype=torch.float64, device=columns.positions.device)

    def put(i: int, j: int, block: Tensor) -> None:
        out[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] = block
        if i != j:
            out[starts[j] : starts[j + 1], starts[i] : starts[i + 1]] = block.T

    if columns.constant:
        first = columns.collapse(sums["first"])
        out[0, :] = first
        out[:, 0] = first
    if columns.dense.width:
        put(1, 1, sums["dense"])
    for i, part in enumerate(columns.coded):
        if columns.dense.width:
            put(1, i + 2, part.coding.collapse(sums[f"cross {i}"].T).T)
        for j in range(i, len(columns.coded)):
            put(i + 2, j + 2, coded_pair(columns, sums, i, j))
    return out


def coded_pair(columns: Columns, sums: Sums, i: int, j: int) -> Tensor:
    """coding_i' T coding_j of two factors' cross table T, which is a diagonal where they share their codes."""
    table, mine, theirs = sums[f"table {i} {j}"], columns.coded[i].coding, columns.coded[j].coding
    if table.dim() == 2:
        return theirs.collapse(mine.collapse(table).T).T
    if i == j and mine.index is not None:
        return torch.diag(mine.collapse(table))
    return mine.collapse(table[:, None] * theirs.dense())


def factor(layout: Layout, sums: Sums, total: Tensor) -> Factored:
    """The curvature of one predictor, factored; `total` is the sum of the row weights."""
    columns = layout.columns[0]
    floor = 1e-22 * total * layout.centers.square()  # a column that is its centre but for rounding is constant
    large = _to_eliminate(columns)
    if large is not None:
        arrow = _factor_arrow(columns, sums, large, layout.positions)
        if arrow is not None:
            return arrow
    return factor_gram(assemble(columns, sums), layout.order, floor=floor)


def _to_eliminate(columns: Columns) -> int | None:
    """The last factor when it is the largest, codes a plain selection, and is worth it (see `arrange`)."""
    if not columns.coded:
        return None
    last = columns.coded[-1].coding
    worth = last.index is not None and last.width >= max(WORTH_ELIMINATING, columns.width // 4)
    return len(columns.coded) - 1 if worth else None


def _factor_arrow(columns: Columns, sums: Sums, large: int, order: Tensor) -> Factored | None:
    coding = columns.coded[large].coding
    diagonal = coding.collapse(sums[f"table {large} {large}"])
    k = columns.width - coding.width
    cross = torch.empty(coding.width, k, dtype=torch.float64, device=diagonal.device)
    starts = _starts(columns)
    if columns.constant:
        cross[:, 0] = diagonal if not columns.coded[large].values else columns.collapse(sums["first"])[k:]
    if columns.dense.width:
        cross[:, starts[1] : starts[2]] = coding.collapse(sums[f"cross {large}"].T)
    for i in range(large):
        cross[:, starts[i + 2] : starts[i + 3]] = coded_pair(columns, sums, i, large).T
    head = assemble(_without_last(columns), _head_sums(columns, sums))
    return factor_arrow(head, cross, diagonal, torch.argsort(order[:k]))


def _head_sums(columns: Columns, sums: Sums) -> Sums:
    cells = columns.coded[-1].coding.cells
    return Sums({**sums.parts, "first": sums["first"][:-cells]}) if columns.constant else sums


def _without_last(columns: Columns) -> Columns:
    k = columns.width - columns.coded[-1].coding.width
    return Columns(columns.constant, columns.dense, columns.coded[:-1], columns.positions[:k])


def _starts(columns: Columns) -> list[int]:
    starts = [0]
    for width in columns.widths:
        starts.append(starts[-1] + width)
    return starts
