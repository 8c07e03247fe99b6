"""Keys: what a row belongs to, as a firm or a year: any labels, as integer codes over the rows of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from torchglm.design.categorical import Marked, learn_levels
from torchglm.design.environment import DataColumns, Evaluate, caller_values, evaluate
from torchglm.design.extras import aligned
from torchglm.design.sources import Source
from torchglm.design.terms import Factor
from torchglm.errors import DataError, OptionError


def read_key(
    role: str, given: Any, source: Source, caller: Mapping[str, Any], evaluated: Evaluate = evaluate
) -> tuple[str, pd.Series]:
    """The label of a key and its values, one a row of the data: of a column, an expression in the data, or an array.

    Raises: UnknownNameError; DataError for an array of another length; LevelError; OptionError for anything else.
    """
    if isinstance(given, str):
        factor = Factor(given, "lookup" if given in source else "python")
        values = evaluated(factor, DataColumns(source), caller_values([factor], source, caller), {})
        values, label = (_labels(given, values) if isinstance(values, Marked) else values), given
    else:
        values, label = (given.detach().cpu() if isinstance(given, torch.Tensor) else given), "an array"
        if np.ndim(values) != 1 or isinstance(values, (dict, set)):
            what = type(given).__name__
            raise OptionError(f"{role}= takes a column name, an expression or one value a row; got {what}.")
        values = aligned(role, values, source)
    if len(values) != source.rows:
        raise DataError(f"{role}={label} has {len(values)} values for {source.rows} rows of data.")
    return label, values if isinstance(values, pd.Series) else pd.Series(np.asarray(values))


def _labels(label: str, marked: Marked) -> Any:
    """The values of a C(...), in the order of its levels where it names them.

    Raises: LevelError for a value that is none of its levels.
    """
    if marked.levels is None:
        return marked.values
    levels, codes = learn_levels(label, marked.values, marked.levels)
    return pd.Series(pd.Categorical.from_codes(codes, levels), getattr(marked.values, "index", None))


def several(given: Any) -> list[Any]:
    """The keys that an argument names: a list of columns, expressions or arrays is several, anything else one."""
    is_list = isinstance(given, list | tuple) and len(given) > 0
    if is_list and all(isinstance(key, str | np.ndarray | pd.Series | torch.Tensor | list) for key in given):
        return list(given)
    return [given]
