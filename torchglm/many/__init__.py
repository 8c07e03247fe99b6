"""Many models in one call: a group of rows each, or a response each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchglm.call import Call
from torchglm.design.request import Request
from torchglm.design.sources import Source
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.terms import parse
from torchglm.errors import OptionError
from torchglm.families.family import Family
from torchglm.many.fits import Fits
from torchglm.many.groups import fit_groups
from torchglm.many.responses import fit_responses


def fit_many(
    formula: str,
    source: Source,
    request: Request,
    responses: Any,
    caller: Mapping[str, Any],
    family: Family,
    call: Call,
    start: Any,
) -> Fits:
    """The fits that glm() gives with by= or responses=.

    Raises: OptionError where the two meet, and for what has no meaning for many models; as `glm`.
    """
    if request.by is not None and responses is not None:
        raise OptionError("by= and responses= do not go together: loop over the groups, with responses= in each.")
    if isinstance(call.dispersion, str) and "~" in call.dispersion:
        raise OptionError("A formula of the dispersion is fitted one model at a time: leave out by= and responses=.")
    if start is not None or call.checkpoint is not None:
        raise OptionError("start= and checkpoint= are those of one model: leave them out of a call for many.")
    if isinstance(source, StreamedSource):
        raise OptionError("by= and responses= take a table in memory, for rows are put in the order of their groups.")
    if responses is not None:
        return fit_responses(formula, source, request, responses, caller, family, call)
    return fit_groups(parse(formula, source.names), source, request, caller, family, call)
