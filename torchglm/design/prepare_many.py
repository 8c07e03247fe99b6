"""The data of a model with several linear predictors: a formula each, over the rows that are complete for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from torchglm.design.prepare import Prepared, Request, prepare
from torchglm.design.request import check_request
from torchglm.design.sources import Source
from torchglm.design.streams.prepare import prepare_stream
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.terms import Parsed
from torchglm.errors import DataError


@dataclass(frozen=True)
class Together:
    """One Prepared a formula, all over the same rows. The first has the offset= and exposure= of the call.

    request  as it was given; those of the parts have the rows that are complete in all as their subset
    """

    parts: tuple[Prepared, ...]
    request: Request


def prepare_many(formulas: Sequence[Parsed], source: Source, request: Request, caller: Mapping[str, Any]) -> Together:
    """The data of several formulas with one response.

    Rows are dropped together, before transforms learn: what one formula misses, all leave out.
    Raises: what `prepare` raises.
    """
    if isinstance(source, StreamedSource):
        for parsed in formulas:
            check_request(parsed, request)
        return Together(prepare_stream(formulas, source, request, caller), request)
    asked = None
    plain = replace(request, offset=None, exposure=None)
    while True:
        subset = request.subset if asked is None else asked
        parts = tuple(
            prepare(parsed, source, replace(request if k == 0 else plain, subset=subset), caller)
            for k, parsed in enumerate(formulas)
        )
        used = [_used(part, source) for part in parts]
        common = np.logical_and.reduce(used)
        if all(bool((one == common).all()) for one in used):
            break
        if not common.any():
            raise DataError("No row is complete in all parts of the model.")
        asked = common
    if asked is not None:
        first = prepare(formulas[0], source, request, caller)
        wanted = int(_used(first, source).sum()) + first.missing
        parts = tuple(replace(part, missing=wanted - int(common.sum())) for part in parts)
    return Together(parts, request)


def _used(prepared: Prepared, source: Source) -> np.ndarray:
    return np.ones(source.rows, dtype=bool) if prepared.rows is None else prepared.rows
