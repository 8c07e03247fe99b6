"""A fingerprint of a design: sums that change when its columns are written over, or are others on another rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torchglm.design.design import Design

ALL_ROWS, SOME_ROWS = 100_000, 4_096


def fingerprint_of(design: Design, sizes: bool = False) -> Tensor:
    """Sums of the columns, or of their absolute values: over all rows up to 100,000, else over 4,096 spread evenly.

    Nobody else can write to columns that are mapped from a file.
    """
    if design.pages is not None:
        return torch.zeros(0, dtype=torch.float64)
    step = looked_at(design.n)
    kept = [design.y.T if design.y.dim() > 1 else design.y]
    kept += [column for column in (*design.offsets, design.weight) if column is not None]
    for columns in design.columns:
        if columns.dense.table is not None:  # one call for all of them
            kept.append(columns.dense.table)
        else:
            kept.extend(column for product in columns.dense.products for column in product)
        kept.extend(column for part in columns.coded for column in (part.codes, *part.values))
    some = {id(column): column[..., ::step] for column in kept}.values()
    return torch.cat([(r.abs() if sizes else r).sum(-1, dtype=torch.float64).reshape(-1) for r in some])


def looked_at(n: int) -> int:
    """Every how many-th of n rows a fingerprint is of."""
    return 1 if n <= ALL_ROWS else n // SOME_ROWS
