"""Parameters that are estimated beside the coefficients, as theta of a negative binomial, and what follows."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from torchglm.inference.record import Record

Value = tuple[float, float]  # an estimate and its standard error

# What else a parameter is quoted as: its name, and the value by the delta method.
ALSO: dict[str, tuple[str, Callable[[float, float], Value]]] = {
    "theta": ("alpha", lambda theta, error: (1.0 / theta, error / theta**2)),
}


def estimated_values(record: Record) -> dict[str, Value]:
    """Each parameter, and what else it is quoted as -> its estimate and standard error."""
    rows: dict[str, Value] = {}
    for name, value in record.facts.estimated.items():
        rows[name] = value
        if name in ALSO:
            other, function = ALSO[name]
            rows[other] = function(*value)
    return rows


def estimated(record: Record) -> pd.DataFrame:
    """(parameters, 2) "estimate" and "std.error"; no rows where there are none."""
    rows = estimated_values(record)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "std.error"], dtype=float)
