"""Additive float64 records: what one pass over the data returns, block by block."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class Sums:
    """Named tensors that add up over blocks of rows, and over ranks as one flat buffer."""

    __slots__ = ("parts",)

    def __init__(self, parts: dict[str, Tensor]):
        self.parts = parts

    def __getitem__(self, name: str) -> Tensor:
        return self.parts[name]

    def add_(self, other: Sums) -> Sums:
        """This record, with `other` added in place."""
        for name, value in self.parts.items():
            value.add_(other.parts[name])
        return self

    def scaled(self, factor: float) -> Sums:
        """A record of every part times `factor`."""
        return Sums({name: value * factor for name, value in self.parts.items()})

    def flatten(self) -> Tensor:
        """All parts side by side in one float64 vector: what an all-reduce sends."""
        return torch.cat([value.reshape(-1).to(torch.float64) for value in self.parts.values()])

    def unflatten(self, flat: Tensor) -> Sums:
        """The record of this shape that `flat` holds; the inverse of `flatten`."""
        parts, start = {}, 0
        for name, value in self.parts.items():
            stop = start + value.numel()
            parts[name] = flat[start:stop].view(value.shape)
            start = stop
        return Sums(parts)

    @staticmethod
    def total(records: Iterable[Sums]) -> Sums:
        """The sum of one or more records. The first one is reused as the accumulator."""
        iterator = iter(records)
        total = next(iterator)
        for record in iterator:
            total.add_(record)
        return total
