"""The data of a fit on the device that computes it: read, and copied there while the search already begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch

from torchglm.design.design import Design
from torchglm.design.prepare import prepare
from torchglm.design.prepared import Prepared
from torchglm.design.request import Request
from torchglm.design.sources import Source
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.terms import Parsed
from torchglm.design.transfer import room_on
from torchglm.errors import OptionError
from torchglm.numerics.ranks import Ranks
from torchglm.numerics.threads import beside

DTYPES = {"float64": torch.float64, "float32": torch.float32}
Found = TypeVar("Found")


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
    meanwhile: Callable[[Design], Found | None] = lambda design: None,
) -> tuple[Prepared, Found | None]:
    """The data of a fit on `device`, and what `meanwhile` found in the design here while it was copied there.

    Another device adds up columns much faster than this one: whether a value is missing is seen there. Where one is,
    which is rare, the data are read again, and nothing was found.
    Raises: as `prepare`.
    """
    if device.type == "cpu" or Ranks.current().world > 1 or isinstance(source, StreamedSource):
        return placed(prepare(parsed, source, request, caller), device, dtype), None
    read = prepare(parsed, source, request, caller, trusting=True)
    with beside(lambda: placed(read, device, dtype), device) as moved:
        found = meanwhile(read.design)
    prepared = moved.result()
    if prepared.whole.is_finite:
        return prepared, found
    return placed(prepare(parsed, source, request, caller), device, dtype), None


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
