"""Fingerprints of a design: sums that change when its columns are written over, or are others on another rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchglm.design.design import Design

ALL_ROWS, SOME_ROWS = 100_000, 4_096
STRETCHES = 8  # with sums of their own, so that rows in another order have other sums
BLOCK = 16_384  # rows that are added up while they are near
MOST = 1 << 22  # values looked at by all ranks, in milliseconds; of more, blocks spread evenly
SEED = 20_230_717  # of the factors of rows, which are the same on all ranks


def fingerprint_of(design: Design) -> Tensor:
    """Sums of stretches of the columns: over all rows up to 100,000, else over 4,096 spread evenly.

    Nobody else can write to columns that are mapped from a file.
    """
    if design.pages is not None:
        return torch.zeros(0, dtype=torch.float64)
    step = looked_at(design.n)
    return torch.cat([sums for column in kept_columns(design) for sums in _stretches(column[..., ::step])])


def looked_at(n: int) -> int:
    """Every how many-th of n rows a fingerprint is of."""
    return 1 if n <= ALL_ROWS else n // SOME_ROWS


def placed_sums(design: Design) -> Tensor:
    """(2, columns) sums over the columns times a factor of each row's place, and bounds of their sizes.

    Rows in another order have other sums, and so does one other value of 4 million; of more, every other, third, ...
    block of rows is looked at.
    """
    generator = torch.Generator().manual_seed(SEED)
    rows, blocks = (
        torch.rand(count, generator=generator, dtype=torch.float64).add_(0.5)
        for count in (BLOCK, -(-len(design.y) // BLOCK))
    )
    columns = kept_columns(design)
    step = -(-sum(column.numel() for column in columns) // MOST)
    return torch.cat([_placed(column, rows, blocks, max(step, 1)) for column in columns], dim=1)


def kept_columns(design: Design) -> list[Tensor]:
    """The columns (..., rows) as they are kept, each once."""
    kept = [design.y.T if design.y.dim() > 1 else design.y]
    kept += [column for column in (*design.offsets, design.weight) if column is not None]
    for columns in design.columns:
        if columns.dense.table is not None:  # one call for all of them
            kept.append(columns.dense.table)
        else:
            kept.extend(column for product in columns.dense.products for column in product)
        kept.extend(column for part in columns.coded for column in (part.codes, *part.values))
    return list({id(column): column for column in kept}.values())


def _stretches(column: Tensor) -> list[Tensor]:
    """Sums of eight stretches as long as each other, and of the few rows after them."""
    rows = column.shape[-1] // STRETCHES * STRETCHES
    whole = column[..., :rows].unflatten(-1, (STRETCHES, rows // STRETCHES))
    return [part.sum(-1, dtype=torch.float64).reshape(-1) for part in (whole, column[..., rows:])]


def _placed(column: Tensor, rows: Tensor, blocks: Tensor, step: int) -> Tensor:
    """(2, columns) of one column or several side by side, from factors of the rows of a block and of the blocks."""
    rows = rows.to(column.device)
    column = torch.atleast_2d(column)
    total, norms = column.new_zeros(len(column), dtype=torch.float64), []
    for block, factor in zip(column.split(BLOCK, dim=-1)[::step], blocks[::step].tolist(), strict=True):
        values = block.to(torch.float64)
        total.addmv_(values, rows[: values.shape[-1]], alpha=factor)
        norms.append(torch.linalg.vector_norm(values, dim=-1))
    size = torch.stack(norms).norm(dim=0) * blocks.max() * rows.norm() * len(blocks) ** 0.5  # by Cauchy and Schwarz
    return torch.stack([total, size])
