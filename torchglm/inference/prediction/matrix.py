"""The model matrix of a table under a fit, and its offset, as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchglm.design.extras import Extra
from torchglm.design.learn import apply, complete_rows
from torchglm.design.offsets import new_offset
from torchglm.design.schema import Schema
from torchglm.design.sources import Source
from torchglm.errors import OptionError


def model_matrix(schema: Schema, source: Source, kept: np.ndarray | None, new_levels: str) -> Tensor:
    """(rows of the table, p) the columns of a formula in its order; NaN in rows that are not `kept` or not complete.

    Raises: LevelError, DataError, UnknownNameError, OptionError.
    """
    if new_levels not in ("raise", "nan"):
        raise OptionError(f'new_levels= is "raise" or "nan"; got {new_levels!r}.')
    kept = complete_rows(schema.parsed.factors, source) if kept is None else kept
    values, missing = apply(schema, source, kept, new_levels)
    matrix = schema.columns(values, len(missing)).to_dense(len(missing))
    matrix[missing] = torch.nan
    return _spread(matrix, kept, source.rows)


def model_offset(
    offsets: tuple[Extra, ...], exposure: Extra | None, schema: Schema, source: Source, given: Mapping[str, Any]
) -> Tensor:
    """(rows of the table,) what is added to the predictor of a formula; NaN where it is missing.

    Raises: DataError, UnknownNameError, OptionError.
    """
    extras = offsets if exposure is None else (*offsets, exposure)
    kept = complete_rows([extra.factor for extra in extras if extra.factor is not None], source)
    offset = new_offset(offsets, exposure, source, kept, schema.caller, given)
    if offset is None:
        return torch.zeros(source.rows, dtype=torch.float64)
    return _spread(offset, kept, source.rows)


def _spread(values: Tensor, kept: np.ndarray | None, rows: int) -> Tensor:
    if kept is None or bool(kept.all()):
        return values
    out = torch.full((rows, *values.shape[1:]), torch.nan, dtype=torch.float64)
    out[torch.from_numpy(kept)] = values
    return out
