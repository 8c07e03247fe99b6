"""Predictions of models with several linear predictors: any function of them, with delta-method standard errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.columns import Columns
from torchglm.design.learn import apply, raw_missing
from torchglm.design.offsets import new_offset
from torchglm.design.sources import Source
from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.families.likelihood import Likelihood
from torchglm.inference.setting import Setting
from torchglm.inference.vector import VectorModel, VectorRecord, constant_alone

MOST_COUNTS = 1_000  # columns of probabilities that nobody asked for one by one
LARGEST_MATRIX = 4_000_000  # entries of the rows written out at a time, for their standard errors


@dataclass(frozen=True)
class VectorRows:
    """Rows of a table under a fit: z (rows, q), the columns of each predictor, and where the rows stand.

    evaluated  (rows of the table,) True where the raw columns are complete; None for all
    lost       (rows,) True where evaluating them made a value missing
    """

    z: Tensor
    columns: tuple[Columns, ...]
    evaluated: np.ndarray | None
    lost: Tensor
    index: pd.Index

    def spread(self, values: Tensor) -> np.ndarray:
        """(rows of the table, ...) the values, NaN where a row is not complete."""
        values = torch.where(self.lost.view(-1, *[1] * (values.dim() - 1)), torch.nan, values)
        if self.evaluated is None:
            return values.numpy()
        full = np.full((len(self.evaluated), *values.shape[1:]), np.nan)
        full[self.evaluated] = values.numpy()
        return full


@dataclass(frozen=True)
class Own:
    """The rows of the fit: which rows of its table they are, and their offset."""

    rows: np.ndarray | None
    offset: Tensor | None


def rows_of(
    record: VectorRecord, source: Source, given: Mapping[str, Any], new_levels: str, own: Own | None = None
) -> VectorRows:
    """The rows of a table under a fit; `own` where they are those of the fit.

    Raises: LevelError, DataError, UnknownNameError, OptionError.
    """
    evaluated = _complete(record, source) if own is None else own.rows
    parts, offsets, lost = [], [], None
    for k, schema in enumerate(record.schemas):
        values, missing = apply(schema, source, evaluated, new_levels)
        offset = own.offset if own is not None and k == 0 else _offset(record, k, source, evaluated, given)
        missing = missing if offset is None else missing | torch.isnan(offset)
        lost = missing if lost is None else lost | missing
        parts.append(schema.columns(values, len(missing)))
        offsets.append(offset)
    assert lost is not None
    z, chosen, alone = [], [], constant_alone(torch.device("cpu"))
    for predictor, beta in zip(record.model.predictors, betas(record), strict=True):
        columns = predictor.columns(tuple(parts), alone)
        shift = None if predictor.part is None else offsets[predictor.part]
        z.append(Setting(columns, shift, len(lost)).eta(beta))
        chosen.append(columns)
    return VectorRows(torch.stack(z, dim=1), tuple(chosen), evaluated, lost, source.index)


def _complete(record: VectorRecord, source: Source) -> np.ndarray | None:
    extras = [e for part in record.part_offsets for e in part]
    extras += [] if record.exposure is None else [record.exposure]
    needed = [f for schema in record.schemas for f in schema.parsed.factors]
    found = raw_missing([*needed, *(e.factor for e in extras if e.factor is not None)], source, None)
    return ~np.logical_or.reduce(list(found.values())) if found else None


def _offset(
    record: VectorRecord, k: int, source: Source, evaluated: np.ndarray | None, given: Mapping[str, Any]
) -> Tensor | None:
    """The offset of one formula. The first has the call's offset and exposure."""
    offsets, exposure = record.offsets_of(k)
    return new_offset(offsets, exposure, source, evaluated, record.schemas[k].caller, {} if k else given)


def betas(record: VectorRecord) -> tuple[Tensor, ...]:
    """The coefficients of each predictor, formula's order, zero where aliased."""
    theta = record.numbers.theta.nan_to_num(nan=0.0)
    return theta.split([len(p.names(record.schemas)) for p in record.model.predictors])


def kinds_of(model: VectorModel) -> tuple[str, ...]:
    """What can be predicted: the likelihood's `predictions`, the probabilities of counts, the linear predictors."""
    known = model.likelihood.predictions(torch.zeros(1, len(model.predictors), dtype=torch.float64))
    return (*known, *(() if model.largest_count is None else ("probabilities",)), "link")


def function_of(model: VectorModel, kind: str, at: Sequence[int] = ()) -> Callable[[Tensor], Tensor]:
    """z (rows, q) -> what is predicted, (rows,) or (rows, K), by its kind; `at` are counts whose probabilities it is.

    Raises: UnknownNameError.
    """
    likelihood = model.likelihood
    if kind not in kinds_of(model):
        raise UnknownNameError(f"There is no prediction {kind!r}. {did_you_mean(kind, kinds_of(model))}")
    if kind == "link":
        return lambda z: z
    if at:
        return lambda z: _probabilities(likelihood, at, z)
    return lambda z: likelihood.predictions(z)[kind]


def counts_at(model: VectorModel, kind: str, at: Any) -> tuple[int, ...]:
    """The counts whose probabilities are asked for: at=, or all up to the largest of the fit; none for other kinds.

    Raises: OptionError for what is no count, where no counts have probabilities, and without at= for too many.
    """
    if model.largest_count is None or kind != "probabilities":
        if at is None:
            return ()
        raise OptionError('at= takes counts, for kind="probabilities" of a model of counts.')
    if at is None and model.largest_count > MOST_COUNTS:
        raise OptionError(
            f"The largest count of the fit is {model.largest_count}: say at= which have their probability."
        )
    if at is None:
        return tuple(range(model.largest_count + 1))
    counts = np.atleast_1d(np.asarray(at))
    if counts.ndim != 1 or counts.size == 0 or counts.dtype.kind not in "iuf" or (counts < 0).any():
        raise OptionError(f"at= takes counts, whole numbers from 0 on; got {at!r}.")
    if (counts != np.floor(counts)).any():
        raise OptionError(f"at= takes counts, whole numbers from 0 on; got {at!r}.")
    return tuple(int(count) for count in counts)


def _probabilities(likelihood: Likelihood, at: Sequence[int], z: Tensor) -> Tensor:
    columns = []
    for count in at:
        y = torch.full_like(z.detach().select(1, 0), float(count))
        possible = bool(likelihood.check_response(y[:1]).all())
        columns.append(torch.exp(-likelihood.nll(y, z)) if possible else 0.0 * z.sum(1))
    return torch.stack(columns, dim=1)


def standard_errors(record: VectorRecord, rows: VectorRows, function: Callable[[Tensor], Tensor]) -> Tensor:
    """(rows,) or (rows, K) by the delta method: G V G' with G the gradient of a prediction in all coefficients."""
    covariance, n = record.defined_covariance, len(rows.z)
    if n == 0:
        return function(rows.z)
    size = max(1, LARGEST_MATRIX // max(len(covariance), 1))
    each = []
    for start in range(0, n, size):
        stop = min(start + size, n)
        written = [columns.written(start, stop) for columns in rows.columns]
        with torch.enable_grad():
            z = rows.z[start:stop].detach().requires_grad_(True)
            out = function(z)
            columns = out.reshape(stop - start, -1).unbind(1)
            slopes = [torch.autograd.grad(column.sum(), z, retain_graph=True)[0] for column in columns]
        found = []
        for slope in slopes:
            gradient = torch.cat([x * s[:, None] for x, s in zip(written, slope.unbind(1), strict=True)], dim=1)
            found.append(((gradient @ covariance) * gradient).sum(1).clamp(min=0.0).sqrt())
        each.append(torch.stack(found, dim=1).view(out.shape))
    return torch.cat(each)
