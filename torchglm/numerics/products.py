"""Products over many rows, left right' of (a, rows) and (b, rows): on a GPU, and in less than double precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["float64", "float32", "tf32"]  # of a product; what is added up is float64
TOGETHER = 8_192  # rows of one product on a GPU


def long_product(left: Tensor, right: Tensor, precision: Precision = "float64") -> Tensor:
    """(a, b) left right', float64.

    On a GPU one small product over millions of rows would keep a single processor busy: it is taken as a batch of
    products of TOGETHER rows each, which are then added up, always in the same order.
    """
    if precision != "float64":
        left, right = left.to(torch.float32), right.to(torch.float32)
    with _tf32(precision == "tf32" and left.device.type == "cuda"):
        if left.device.type == "cpu":
            return torch.mm(left, right.T).to(torch.float64)
        rows = left.shape[1]
        whole = rows // TOGETHER * TOGETHER
        rest = torch.mm(left[:, whole:], right[:, whole:].T).to(torch.float64)
        if not whole:
            return rest
        batches = [side[:, :whole].unflatten(1, (-1, TOGETHER)).transpose(0, 1) for side in (left, right)]
        return torch.bmm(batches[0], batches[1].mT).sum(0, dtype=torch.float64) + rest


def row_sums(left: Tensor, v: Tensor) -> Tensor:
    """(a,) left v of (a, rows) and (rows,), float64."""
    return torch.mv(left, v) if left.device.type == "cpu" else long_product(left, v[None, :])[:, 0]


@contextmanager
def _tf32(wanted: bool) -> Iterator[None]:
    """Products of float32 numbers with 10 bits of each within, where that is wanted; as it was after it."""
    if not wanted:
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
