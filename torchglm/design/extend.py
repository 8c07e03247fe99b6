"""Other right-hand sides for the rows of a fit: what a score test, add1() and step() try."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from torchglm.design.among_ranks import used_by_all
from torchglm.design.learn import raw_missing
from torchglm.design.prepare import Prepared, prepare
from torchglm.design.terms import Parsed
from torchglm.errors import DataError


def extended(prepared: Prepared, parsed: Parsed, caller: Mapping[str, Any]) -> Prepared:
    """The same rows, response, weights and offsets under another right-hand side, read from the same table.

    `caller` holds the variables beside the data that the fit's own formula did not use.
    Raises: DataError where a new term has missing values in the rows of the fit; what `prepare` raises.
    """
    subset = used_by_all(prepared.whole, prepared.rows)
    request = replace(prepared.request, subset=subset, missing="drop")
    # prepare() holds variables with one value a row against the rows of the table, which `subset` chooses from
    other = prepare(parsed, prepared.source, request, ChainMap(dict(prepared.caller), dict(caller)))
    if other.missing:
        raise DataError(
            f"The rows of the fit are not all complete under {parsed.text!r}: {other.missing} of "
            f"{len(prepared.whole.y)} have {_where_missing(prepared, parsed)}. Models are compared on the same rows: "
            "fit on the rows that are complete in every column, as data.dropna(subset=[...])."
        )
    return other


def _where_missing(prepared: Prepared, parsed: Parsed) -> str:
    rows = prepared.rows
    found = raw_missing(list(parsed.factors), prepared.source, rows)
    counts = {name: int(np.sum(mask)) for name, mask in found.items()}
    if not counts:
        return "no value after a transform"
    return "a missing value in " + ", ".join(f"{name!r} ({count})" for name, count in counts.items())
