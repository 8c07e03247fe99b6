"""Request: what a caller asks for beside formula and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
import torch

from torchglm.design.terms import Parsed
from torchglm.errors import FormulaError, OptionError
from torchglm.numerics.described import described


@dataclass(frozen=True)
class Request:
    """What the caller asked for, beside formula and data."""

    weights: Any = None
    freq_weights: Any = None
    prob_weights: Any = None
    offset: Any = None
    exposure: Any = None
    subset: Any = None
    missing: str = "drop"
    contrasts: Mapping[str, Any] | None = None
    cluster: Any = None  # a key, or a list of them, that no row of the fit may miss
    by: Any = None  # keys of groups that are fitted one by one, which no row may miss either
    classes: bool = False  # whether the response is labels of classes
    base: Any = None  # the class that comes first
    columns: bool = False  # whether the response may have several columns

    def described(self, formulas: Sequence[Parsed], caller: Mapping[str, Any]) -> dict[str, str]:
        """What is asked for, by name, as ranks compare it; `caller` holds the variables that are used."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        asked = {name: described(value) for name, value in given.items() if value is not None and value is not False}
        variables = {f"the variable {name}": described(value) for name, value in caller.items()}
        return {"formula": " | ".join(parsed.text for parsed in formulas), **asked, **variables}


def has_rows(value: Any, rows: int) -> bool:
    """Whether a value beside the data has one value a row of them."""
    return isinstance(value, np.ndarray | pd.Series | torch.Tensor) and value.ndim > 0 and len(value) == rows


def check_request(parsed: Parsed, request: Request) -> None:
    """Nothing, where the arguments are of their kinds and the formula has a response.

    Raises: OptionError, FormulaError.
    """
    if request.missing not in ("drop", "raise"):
        raise OptionError(f'missing= is "drop" or "raise"; got {request.missing!r}.')
    if request.contrasts is not None and not isinstance(request.contrasts, Mapping):
        raise OptionError(f'contrasts= is a dict, as {{"g": contr.sum}}; got {type(request.contrasts).__name__}.')
    if parsed.response is None:
        raise FormulaError(f"The formula {parsed.text!r} has no response. Write 'y ~ ...'.")
