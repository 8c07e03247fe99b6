"""Scores: the gradients s_i = w_i g_i x_i of the rows, summed by group, or written out a stretch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from torchglm.design.among_ranks import require_all_rows
from torchglm.design.block import Block
from torchglm.design.columns import RowColumns
from torchglm.inference.covariance.groups import RowGroups
from torchglm.inference.estimate import Estimate
from torchglm.numerics.segments import Segments
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective

LARGEST_TABLE = 40_000_000  # groups x raw columns held at once: 320 MB


def group_scores(objective: Objective, theta: Tensor, ways: Sequence[RowGroups]) -> list[Tensor]:
    """For each way the summed scores of its groups, (p, groups) in the inner order: one pass for all of them."""
    predictors, raw = objective.layout.columns, objective.raw(theta)
    device = objective.design.device
    widths = [sum(columns.raw_widths) for columns in predictors]
    tables = [torch.zeros(sum(widths), way.count, dtype=torch.float64, device=device) for way in ways]

    def row_sums(block: Block) -> Sums:
        score = row_scores(objective, block, raw)
        for way, table in zip(ways, tables, strict=True):
            codes = way.codes[block.start : block.start + block.rows]
            for rows, one, part in zip(block.columns, score.unbind(1), table.split(widths), strict=True):
                _add(rows, one, codes, part)
        return Sums({"total": score.sum()})  # the tables add up in place: one a block would cost more than the pass

    objective.sum(row_sums)
    ranks = objective.design.ranks
    joined = [ranks.all_sum(table.view(-1), "adding up the scores of groups") for table in tables]
    summed = [flat.view(table.shape).split(widths) for flat, table in zip(joined, tables, strict=True)]
    return [torch.cat([c.collapse(part) for c, part in zip(predictors, table, strict=True)]) for table in summed]


def row_scores(objective: Objective, block: Block, raw: list[Tensor]) -> Tensor:
    """(rows, q) w_i g_i, what the columns of each predictor are multiplied by."""
    _, gradient = objective.likelihood.slope(block.y, objective.predictors(block, raw))
    return gradient if block.weight is None else gradient * block.weight[:, None]


def weighted_squares(block: Block, squared: Tensor, repeats: bool) -> Tensor:
    """(rows,) squared scores from those at weight one: times w where a weight repeats its row, else times w^2."""
    if block.weight is None:
        return squared
    return squared * (block.weight if repeats else block.weight.square())


def _add(rows: RowColumns, score: Tensor, codes: Tensor, table: Tensor) -> None:
    """`table` (raw width, groups) with x_ij score_i added at [j, codes_i], column by column."""
    constant, dense, *coded = table.split(rows.whole.raw_widths)
    if codes.device.type != "cpu":
        _add_in_order(rows, score, codes, table)
        return
    if rows.whole.constant:
        constant[0].index_add_(0, codes, score)
    if rows.dense is not None:
        for x, sums in zip(rows.dense, dense, strict=True):
            sums.index_add_(0, codes, x * score)
    for part, cells in zip(rows.coded, coded, strict=True):
        weighted = score if part.values is None else score * part.values
        cells.view(-1).index_add_(0, part.codes * cells.shape[1] + codes, weighted)


def _add_in_order(rows: RowColumns, score: Tensor, codes: Tensor, table: Tensor) -> None:
    """The same on a GPU, where index_add_ adds in another order at every call."""
    constant, dense, *coded = table.split(rows.whole.raw_widths)
    groups = table.shape[1]
    segments = Segments.of(codes, groups)
    if rows.whole.constant:
        constant[0] += segments.sums(score)
    if rows.dense is not None:
        for x, sums in zip(rows.dense, dense, strict=True):
            sums += segments.sums(x * score)
    for part, cells in zip(rows.coded, coded, strict=True):
        weighted = score if part.values is None else score * part.values
        cells += Segments.of(part.codes * groups + codes, cells.numel()).sums(weighted).view(cells.shape)


def group_meats(estimate: Estimate, ways: Sequence[RowGroups]) -> list[Tensor]:
    """For each way the sum over its groups of t t', t the group's summed score: (p, p) in the inner order.

    One pass for all ways; a way of more groups than a table holds takes its own, in stretches of groups.
    """
    estimate.refuse_changed_data()
    objective, theta = estimate.objective, estimate.solution.theta
    width = sum(sum(columns.raw_widths) for columns in objective.layout.columns)
    small = [way for way in ways if way.count * width <= LARGEST_TABLE]
    meats = {id(way): t @ t.T for way, t in zip(small, group_scores(objective, theta, small), strict=True)}
    for way in ways:
        if id(way) not in meats:
            meats[id(way)] = _meat_by_stretches(objective, theta, way, max(LARGEST_TABLE // width, 1))
    return [meats[id(way)] for way in ways]


def _meat_by_stretches(objective: Objective, theta: Tensor, way: RowGroups, most: int) -> Tensor:
    objective.meter.passes += 1
    order = torch.argsort(way.codes, stable=True)
    ends = torch.bincount(way.codes, minlength=way.count).cumsum(0).tolist()
    meat = torch.zeros(len(theta), len(theta), dtype=torch.float64, device=theta.device)
    for first in range(0, way.count, most):
        last = min(first + most, way.count)
        rows = order[ends[first - 1] if first else 0 : ends[last - 1]]
        stretch = RowGroups(way.label, way.codes[rows] - first, last - first)
        (scores,) = group_scores(objective.on(objective.design.take(rows)), theta, [stretch])
        meat.addmm_(scores, scores.T)
    return meat


def written_out(objective: Objective, theta: Tensor, order: Tensor | None, rows: int) -> Iterator[Tensor]:
    """The scores (rows, p), inner order, of stretches of about `rows` rows, in `order` (n,) or as they lie.

    Raises: OptionError where no process holds all rows.
    """
    require_all_rows(objective.design, "A sum over neighbouring rows")
    objective.meter.passes += 1
    raw, design = objective.raw(theta), objective.design
    for start in range(0, design.n, rows):
        stop = min(start + rows, design.n)
        stretch = design.stretch(start, stop) if order is None else design.take(order[start:stop])
        for block in stretch.blocks(stop - start):
            scores = row_scores(objective, block, raw).unbind(1)
            each = [c.model_matrix() * one[:, None] for c, one in zip(block.columns, scores, strict=True)]
            yield torch.cat(each, dim=1)
