"""Complete rows of a table evaluated under a fit, and the same rows with some of their variables changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.among_ranks import of_all, used_by_all
from torchglm.design.environment import DataColumns, names_in
from torchglm.design.extras import Extra, read_extra
from torchglm.design.learn import apply, complete_rows
from torchglm.design.numbers import row_label
from torchglm.design.offsets import log_exposure, new_offset
from torchglm.design.schema import Values
from torchglm.design.sources import Source, open_source
from torchglm.design.terms import Factor, Term
from torchglm.design.weights import Frequency, Probability, first_bad_weight
from torchglm.errors import DataError, OptionError, WeightError
from torchglm.inference.estimate import Estimate
from torchglm.inference.record import Record
from torchglm.inference.setting import Setting


@dataclass(frozen=True)
class EvaluatedRows:
    """Complete rows of a table, evaluated under a fit.

    kept     (rows of the table,) True where complete; None for all
    offset   (rows,) or None
    weights  (rows,) what each counts in an average; None where all count once
    """

    record: Record
    source: Source
    kept: np.ndarray | None
    offset: Tensor | None
    weights: Tensor | None

    @property
    def rows(self) -> int:
        """How many rows are complete."""
        return self.source.rows if self.kept is None else int(self.kept.sum())

    @cached_property
    def theta(self) -> Tensor:
        """(p,) coefficients; an aliased one counts as dropped."""
        return self.record.defined_theta

    def column(self, name: str) -> pd.Series:
        """A column of the table over the complete rows.

        Raises: UnknownNameError.
        """
        column = self.source.column(name)
        return column if self.kept is None else column.loc[self.kept]

    @cached_property
    def values(self) -> dict[str, Values]:
        """The factors' values as the rows are."""
        return self._evaluated(self.record.schema.parsed.factors, self.source)[0]

    @cached_property
    def setting(self) -> Setting:
        """The rows as they are."""
        return Setting(self.record.schema.columns(self.values, self.rows), self.offset, self.rows)

    def with_weights(self, given: Any) -> EvaluatedRows:
        """The same rows counting as `given` says: None as they do, False each once, else a column or one value a row.

        Raises: WeightError, OptionError, UnknownNameError.
        """
        if given is None:
            return self
        if given is False:
            return replace(self, weights=None)
        extra = read_extra("weights", given, self.source)
        assert extra is not None
        values = extra.read(DataColumns(self.source, self.kept), self.record.schema.caller)
        bad = first_bad_weight(values.nan_to_num(nan=-1.0))
        index = self.source.index if self.kept is None else self.source.index[self.kept]
        if bad is not None:
            raise WeightError(
                f"weights={extra.label} is {float(values[bad])} in row {row_label(index, bad)}. Weights are >= 0."
            )
        if not bool((values > 0).any()):
            raise WeightError(f"weights={extra.label} is zero in every row.")
        return replace(self, weights=values)

    def changed(self, new: Mapping[str, Any]) -> Setting:
        """The rows with other values of some variables: one for all rows, or (rows,) float64 each.

        Raises: DataError where a transform has no value there.
        """
        source = self._changed_source(new)
        touched = [f for f in self.record.schema.parsed.factors if names_in(f) & new.keys()]
        values, missing = self._evaluated(touched, source)
        offset = self._changed_offset(new, source)
        if offset is not None and bool((lost := torch.isnan(offset)).any()):
            missing = lost if missing is None else missing | lost
        if missing is not None and bool(missing.any()):
            row, index = int(torch.nonzero(missing)[0]), self.source.index
            at = ", ".join(f"{name} = {_value_at(value, row)}" for name, value in new.items())
            label = row_label(index if self.kept is None else index[self.kept], row)
            raise DataError(f"The formula has no value at {at} (row {label}): a transform is not defined there.")
        return Setting(self.record.schema.columns(self.values | values, self.rows), offset, self.rows)

    def _evaluated(self, factors: Sequence[Factor], source: Source) -> tuple[dict[str, Values], Tensor | None]:
        schema = self.record.schema
        if not factors:
            return {}, None
        part = replace(schema, parsed=replace(schema.parsed, terms=tuple(Term((factor,)) for factor in factors)))
        return apply(part, source, self.kept)

    def _changed_source(self, new: Mapping[str, Any]) -> Source:
        """The whole table, so that what looks at a row before this one still finds it."""
        columns = {}
        for name, value in new.items():
            if isinstance(value, Tensor):
                column = np.full(self.source.rows, np.nan)
                column[slice(None) if self.kept is None else self.kept] = value.numpy()
            elif isinstance(value, bool | int | float | np.number | np.bool_):
                column = np.full(self.source.rows, value)
            else:
                column = pd.Categorical.from_codes(np.zeros(self.source.rows, dtype=np.int8), [value])
            columns[name] = pd.Series(column, index=self.source.index)
        return replace(self.source, table=_Overlaid(self.source, columns))

    def _changed_offset(self, new: Mapping[str, Any], source: Source) -> Tensor | None:
        offset = self.offset
        for extra in self.record.extras:
            if extra.factor is not None and names_in(extra.factor) & new.keys():
                assert offset is not None
                offset = offset + self._read(extra, source) - self._read(extra, self.source)
        return offset

    def _read(self, extra: Extra, source: Source) -> Tensor:
        column = extra.read(DataColumns(source, self.kept), self.record.schema.caller)
        if extra.role != "exposure":
            return column
        return log_exposure(column, extra.label, source.index if self.kept is None else source.index[self.kept])


@dataclass(frozen=True)
class _Overlaid:
    """A table with other columns in place of some of its own."""

    source: Source
    columns: Mapping[str, pd.Series]

    def __getitem__(self, name: str) -> pd.Series:
        return self.columns[name] if name in self.columns else self.source.column(name)


def _value_at(value: Any, row: int) -> Any:
    return float(value[row]) if isinstance(value, Tensor) else value


def rows_of_fit(record: Record, estimate: Estimate | None) -> EvaluatedRows:
    """The rows of the fit, those of all ranks: frequency and sampling weights count in averages, and rows of zero
    weight do not.

    Raises: OptionError for a fit that was loaded without its data.
    """
    if estimate is None:
        raise OptionError("This fit was loaded without its data, so it has no rows. Give data=.")
    estimate.refuse_changed_data()
    prepared = estimate.prepared
    whole, offset = prepared.whole, prepared.whole.offsets[0]
    weight = whole.weight
    if weight is not None:
        weight = of_all(whole, weight.cpu())
        if isinstance(prepared.weights, Frequency | Probability):
            trials = prepared.response.trials
            counted = weight if trials is None else (weight / of_all(whole, trials.cpu())).nan_to_num(nan=0.0)
        else:
            counted = (weight > 0).to(torch.float64)
        weight = None if bool((counted == 1.0).all()) else counted
    offset = None if offset is None else of_all(whole, offset.cpu())
    return EvaluatedRows(record, prepared.source, used_by_all(whole, prepared.rows), offset, weight)


def rows_of_data(record: Record, data: Any, given: Mapping[str, Any], what: str = "data=") -> EvaluatedRows:
    """The complete rows of new data; `given` holds offset and exposure where the fit's own were arrays.

    `what` is what messages call the data.

    Raises: DataError where there is none; what evaluating the formula raises.
    """
    source = open_source(data)
    kept = complete_rows(record.factors, source)
    while True:  # what a transform makes missing is left out, too
        if (source.rows if kept is None else int(kept.sum())) == 0:
            raise DataError(f"{what} has no complete row: something is missing, or not defined there, in each.")
        offset = new_offset(record.offsets, record.exposure, source, kept, record.schema.caller, given)
        rows = EvaluatedRows(record, source, kept, offset, None)
        _, missing = rows._evaluated(record.schema.parsed.factors, source)
        lost = torch.zeros(rows.rows, dtype=torch.bool) if missing is None else missing
        lost = lost if offset is None else lost | torch.isnan(offset)
        if not bool(lost.any()):
            return rows
        full = np.ones(source.rows, dtype=bool) if kept is None else kept.copy()
        full[full] = ~lost.numpy()
        kept = full
