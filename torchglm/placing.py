"""The data of a fit on the device that computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from torchglm.design.design import Design
from torchglm.design.prepare import prepare
from torchglm.design.prepared import Prepared
from torchglm.design.request import Request
from torchglm.design.sources import Source
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.terms import Parsed
from torchglm.design.transfer import room_on
from torchglm.errors import OptionError, TorchGLMError
from torchglm.numerics.ranks import Ranks

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def dtype_of(given: str | torch.dtype) -> torch.dtype:
    """The type that dtype= names.

    Raises: OptionError.
    """
    dtype = DTYPES.get(given) if isinstance(given, str) else given
    if dtype not in DTYPES.values():
        raise OptionError(f'dtype= is "float64" or "float32"; got {given!r}.')
    return dtype  # type: ignore[return-value]


def prepare_on(
    device: torch.device,
    dtype: torch.dtype,
    parsed: Parsed,
    source: Source,
    request: Request,
    caller: Mapping[str, Any],
) -> Prepared:
    """The data of a fit on `device`.

    Another device adds up columns much faster than this one: whether a number is missing is seen there. Where one
    is, or a row is dropped or refused for anything else, the data are read again, each column looked at first.
    Raises: as `prepare`.
    """
    read = partial(prepare, parsed, source, request, caller)
    if device.type != "cpu" and Ranks.current().world == 1 and not isinstance(source, StreamedSource):
        there = _trusted(partial(read, trusting=True), device, dtype)
        if there is not None:
            return there
    return placed(read(), device, dtype)


def _trusted(read: Callable[[], Prepared], device: torch.device, dtype: torch.dtype) -> Prepared | None:
    """The data on `device` where all rows are in use and all numbers finite; None where a row needs to be looked at."""
    try:
        prepared = read()
    except TorchGLMError:  # perhaps of a row that is to be dropped; if not, the second reading says the same
        return None
    if prepared.missing:
        return None
    prepared = placed(prepared, device, dtype)
    return prepared if prepared.whole.is_finite else None


def placed(prepared: Prepared, device: torch.device, dtype: str | torch.dtype) -> Prepared:
    """The same data on `device`, numeric columns kept in `dtype`."""
    dtype = dtype_of(dtype)
    design = on_device(prepared.design, device, dtype)
    whole = design if prepared.whole is prepared.design else on_device(prepared.whole, device, dtype)
    return replace(prepared, design=design, whole=whole)


def on_device(design: Design, device: torch.device, dtype: torch.dtype = torch.float64) -> Design:
    """The same design computed on `device`: its rows are there too, unless they are more than it has room for."""
    if device.type == "cpu" and dtype == torch.float64:
        return design
    return design.to(device, dtype) if design.bytes <= room_on(device) else design.streamed(device, dtype)
