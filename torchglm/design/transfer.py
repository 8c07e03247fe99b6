"""Columns on their way to a device: through pinned memory, so that copying and computing go on at once.

A GPU copies from memory that the system may not move. Columns are copied into such memory a stretch at a time, and
from there by the device itself, on a stream of its own: while one stretch travels the next is being copied, and the
block before is being computed. Another device takes the same way without streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

STAGE_BYTES = 16 << 20
STAGES = 8


@dataclass(frozen=True)
class Onto:
    """Where blocks are computed: the device, and the dtype that float64 columns have there."""

    device: torch.device
    dtype: torch.dtype = torch.float64

    @property
    def is_cuda(self) -> bool:
        """Whether copies can go on beside computing."""
        return self.device.type == "cuda"


class Stage:
    """A stretch of pinned memory, and when the device has read it."""

    def __init__(self, pinned: bool) -> None:
        self.bytes = torch.empty(STAGE_BYTES, dtype=torch.uint8, pin_memory=pinned)
        self.read = torch.cuda.Event() if pinned else None

    def wait(self) -> None:
        """Nothing; the device has read what was here."""
        if self.read is not None:
            self.read.synchronize()

    def leave(self, stream: Any) -> None:
        """Nothing; what is here is free again when the stream has come so far."""
        if self.read is not None:
            self.read.record(stream)


@lru_cache
def copying(device: torch.device) -> Any:
    """The stream that columns come to a device by: one, for what was freed in a stream is used again in no other."""
    return torch.cuda.Stream(device)


class Courier:
    """Copies columns to a device. Those of one batch may be used after `arrived`."""

    def __init__(self, onto: Onto) -> None:
        self.onto = onto
        self.turn = 0
        self.sent: list[Tensor] = []

    @property
    def _stream(self) -> Any:
        return copying(self.onto.device) if self.onto.is_cuda else None

    @cached_property
    def _stages(self) -> list[Stage]:
        return [Stage(self.onto.is_cuda) for _ in range(STAGES if self.onto.is_cuda else 1)]

    def send(self, column: Tensor) -> Tensor:
        """The column (..., rows) on the device, in the dtype that columns have there; on its way until `arrived`."""
        dtype = self.onto.dtype if column.dtype == torch.float64 else column.dtype
        return self.exact(column, dtype)

    def exact(self, column: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """The column in its own dtype, or in `dtype`."""
        dtype = column.dtype if dtype is None else dtype
        if column.device.type != "cpu":
            return column.to(self.onto.device, dtype)
        with torch.cuda.stream(self._stream):  # which is nothing where there is none
            out = torch.empty(column.shape, dtype=dtype, device=self.onto.device)
            targets = out.unbind(0) if column.dim() > 1 else (out,)
            for source, target in zip(column.unbind(0) if column.dim() > 1 else (column,), targets, strict=True):
                self._copy(source, target)
        self.sent.append(out)
        return out

    def _copy(self, source: Tensor, target: Tensor) -> None:
        size = STAGE_BYTES // target.element_size()
        for start in range(0, len(source), size):
            part = source[start : start + size]
            stage = self._stages[self.turn]
            self.turn = (self.turn + 1) % len(self._stages)
            stage.wait()
            held = stage.bytes.view(target.dtype)[: len(part)].copy_(part)
            target[start : start + size].copy_(held, non_blocking=stage.read is not None)
            stage.leave(self._stream)

    def ready(self) -> Ready:
        """What tells when all that has been sent so far is there."""
        event = None
        if self._stream is not None:
            event = torch.cuda.Event()
            event.record(self._stream)
        sent, self.sent = self.sent, []
        return Ready(event, tuple(sent))


@dataclass(frozen=True)
class Ready:
    """Columns that have been sent."""

    event: Any
    sent: tuple[Tensor, ...]

    def arrived(self) -> None:
        """Nothing; what is computed from now on comes after the arrival."""
        if self.event is None:
            return
        current = torch.cuda.current_stream(self.sent[0].device) if self.sent else torch.cuda.current_stream()
        current.wait_event(self.event)
        for column in self.sent:
            column.record_stream(current)


def carried(column: Tensor, device: torch.device) -> Tensor:
    """The column on `device`, through pinned memory."""
    if device.type == "cpu":
        return column
    courier = Courier(Onto(device))
    there = courier.exact(column)
    courier.ready().arrived()
    return there


class Brake:
    """Holds the host back until the device has computed the block before the last, so that copies do not pile up."""

    def __init__(self, onto: Onto) -> None:
        self.device = onto.device if onto.is_cuda else None
        self.computed: list[Any] = []

    def computing(self) -> None:
        """Nothing; the work of a block has been handed to the device."""
        if self.device is not None:
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self.device))
            self.computed.append(event)
        if len(self.computed) > 1:
            self.computed.pop(0).synchronize()


def pieces(spans: tuple[tuple[int, int], ...], size: int) -> Iterator[tuple[int, int]]:
    """The stretches of at most `size` rows that the spans consist of; no rows are one stretch without rows."""
    for first, last in spans:
        for start in range(first, max(last, first + 1), size):
            yield start, min(start + size, last)


def room_on(device: torch.device) -> float:
    """Bytes that columns may take on a device and still leave it room to compute.

    What torch keeps there for later, and nobody uses now, is free.
    """
    if device.type != "cuda":
        return float("inf")
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return 0.6 * (torch.cuda.mem_get_info(device)[0] + kept)
