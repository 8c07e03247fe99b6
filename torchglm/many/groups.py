"""glm(..., by=): one model a group of rows, all of them in one search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.api import check_response, check_stop, device_of, fit_prepared
from torchglm.call import Call
from torchglm.design.categorical import category_codes
from torchglm.design.design import Design
from torchglm.design.keys import read_key, several
from torchglm.design.prepare import subset_rows
from torchglm.design.prepared import Prepared
from torchglm.design.request import Request
from torchglm.design.sources import Source
from torchglm.design.terms import Parsed
from torchglm.design.transfer import carried
from torchglm.design.weights import Frequency
from torchglm.errors import DataError, FormulaError, OptionError
from torchglm.families.family import Family
from torchglm.families.mean import MeanModel
from torchglm.fit import Fit
from torchglm.inference.covariance.choice import kind_of_fit
from torchglm.inference.covariance.given import is_given
from torchglm.inference.dispersion import resolve_dispersion
from torchglm.inference.many import ManyNumbers, Wanted, group_numbers
from torchglm.inference.many_totals import group_totals, null_group_totals, observations
from torchglm.many.alone import Collected
from torchglm.many.fits import Fits, ManyCriteria, warn_of, written_over
from torchglm.objective.grouped import ENTRIES, Groups
from torchglm.objective.objective import Objective
from torchglm.placing import dtype_of, prepare_on

RUN = 4  # rows of one group after the other, from which only the first is looked up


def fit_groups(
    parsed: Parsed,
    source: Source,
    request: Request,
    caller: Mapping[str, Any],
    family: Family,
    call: Call,
) -> Fits:
    """One fit a group of equal values of request.by.

    Raises: as `glm`; Warns: StatusWarning.
    """
    asked = kind_of_fit(call.covariance, None, request.cluster)
    check_stop(call.stop)
    device = device_of(call.device)
    request = replace(request, cluster=asked.cluster_key)
    prepared = prepare_on(device, dtype_of(call.dtype), parsed, source, request, caller)
    index, codes = group_keys(request.by, prepared)
    prepared = prepared.with_normal_weights(codes)
    check_response(prepared, family)
    grouping = Grouping(prepared, family, call, codes, len(index))
    collected = grouping.fitted()
    warn_of(index, collected.arrays.status, stacklevel=5)
    phi = resolve_dispersion(call.dispersion, family)
    return Fits(
        index,
        prepared.schema.names,
        family,
        parsed.text,
        phi.estimated,
        prepared.schema.has_intercept,
        collected.arrays,
        grouping.one,
        lambda: collected.complete(grouping.criteria(collected.arrays.theta)),
        rows_without_key=grouping.rows_without_key,
    )


def group_keys(by: Any, prepared: Prepared) -> tuple[pd.Index, np.ndarray]:
    """The keys of the groups, sorted, and which of them each row of the data is in; -1 for none.

    Levels that a category declares and no row has are groups without rows.
    Raises: UnknownNameError, DataError, OptionError.
    """
    keys = [read_key("by", key, prepared.source, prepared.caller) for key in several(by)]
    names = [label if label != "an array" else str(values.name or "group") for label, values in keys]
    if len(set(names)) < len(names) or set(names) & {"term"}:
        raise OptionError(f"by= names {names}: each needs a name of its own, which is not 'term'.")
    asked = subset_rows(prepared.request.subset, prepared.source, prepared.caller)
    coded = [_coded(values if asked is None else values.loc[asked]) for _, values in keys]
    codes, levels = coded[0]
    if len(coded) == 1:
        return levels.rename(names[0]), _spread(codes, asked)
    joint, missing = np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes), dtype=bool)
    for codes, levels in coded:
        joint = joint * len(levels) + codes
        missing |= codes < 0
    joint[missing] = -1
    _, first, codes = np.unique(joint, return_index=True, return_inverse=True)
    skipped = int(missing.any())
    arrays = [levels[one[first[skipped:]]] for one, levels in coded]
    return pd.MultiIndex.from_arrays(arrays, names=names), _spread(codes - skipped, asked)


def _spread(codes: np.ndarray, asked: np.ndarray | None) -> np.ndarray:
    if asked is None:
        return codes
    out = np.full(len(asked), -1, dtype=np.int64)
    out[asked] = codes
    return out


def _coded(values: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """The codes of the values, -1 where missing, and their levels."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        levels = pd.CategoricalIndex(values.cat.categories, dtype=values.dtype)
        return category_codes(values).astype(np.int64), levels
    array = values.to_numpy() if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iufbM" else None
    if array is not None and len(array):
        starts = np.flatnonzero(np.concatenate([[True], array[1:] != array[:-1]]))
        if len(starts) < len(array) // RUN:  # rows of a group lie together: one of them tells
            codes, levels = pd.factorize(values.iloc[starts], sort=True)
            return np.repeat(codes.astype(np.int64), np.diff(starts, append=len(array))), pd.Index(levels)
    try:
        codes, levels = pd.factorize(values, sort=True)
    except TypeError:  # values of several types have no order; as groups they need none
        codes, levels = pd.factorize(values)
    return codes.astype(np.int64), pd.Index(levels)


@dataclass(frozen=True)
class Grouping:
    """The rows of a fit and the groups that they are in: `codes` one a row of the data, `count` groups."""

    prepared: Prepared
    family: Family
    call: Call
    codes: np.ndarray
    count: int

    @cached_property
    def objective(self) -> Objective:
        """The likelihood over all rows."""
        return Objective(self.prepared.design, MeanModel(self.family))

    @cached_property
    def row_codes(self) -> Tensor:
        """(n,) the group of each row of the design."""
        return carried(torch.from_numpy(self.prepared.used_of(self.codes)), self.prepared.design.device)

    @cached_property
    def groups(self) -> Groups:
        """The rows of each group."""
        return Groups.of(self.row_codes, self.count)

    @cached_property
    def fingerprint(self) -> Tensor:
        """Of the data as they were fitted."""
        return self.prepared.design.fingerprint()

    def fitted(self) -> Collected:
        """Every model: those that a batch is sure of as it found them, the others one by one."""
        prepared, call, objective = self.prepared, self.call, self.objective
        if prepared.design.ranks.world > 1:
            raise OptionError("by= needs the rows of a group together, which several processes share. Use one process.")
        if objective.layout.width == 0:
            raise FormulaError(f"The formula {prepared.parsed.text!r} has no column left to estimate.")
        assert self.fingerprint is not None
        sizes = self.groups.sizes
        n = observations(sizes, self.row_codes, prepared.weights)
        kind = kind_of_fit(call.covariance, prepared.weights, prepared.request.cluster)
        phi = resolve_dispersion(call.dispersion, self.family)
        wanted = Wanted(self.family, kind, phi, call.stop, isinstance(prepared.weights, Frequency))
        batched = wanted.is_batched and call.penalty is None and call.solver == "auto" and not is_given(call.covariance)
        together = (sizes > 0) & (sizes * max(objective.layout.width, 1) <= ENTRIES)
        if batched:
            numbers = group_numbers(objective, self.groups, torch.nonzero(together).flatten(), n, wanted)
        else:
            numbers = ManyNumbers.blank(self.count, objective.layout.width)
        numbers.n.copy_(n.cpu())
        collected = Collected.of(numbers, numbers.sure.numpy())
        alone = torch.nonzero((sizes.cpu() > 0) & ~numbers.sure).flatten().tolist()
        collected.fit(alone, lambda group: self._fit(group, numbers.start_of(group)), "groups")
        collected.mark_few_rows()
        return collected

    def criteria(self, theta: np.ndarray) -> ManyCriteria:
        """Deviances and log-likelihoods at `theta` (G, p).

        Raises: DataError where the data were written over.
        """
        self._refuse_changed_data()
        weights, codes = self.prepared.weights, self.row_codes
        found = group_totals(self.objective, codes, torch.from_numpy(theta), self.family, weights)
        constant = self.prepared.schema.has_intercept
        null = null_group_totals(self.objective, self.groups, codes, self.family, weights, constant)
        llf = found.log_likelihoods(self.family)
        return ManyCriteria(found.deviance.numpy(), null.deviance.numpy(), llf.numpy())

    def one(self, group: int) -> Fit:
        """The fit of one group, as glm() gives it.

        Raises: DataError for a group without rows, or where the data were written over; what `glm` raises.
        """
        if int(self.groups.sizes[group]) == 0:
            raise DataError("This group has no rows, so there is nothing to fit.")
        self._refuse_changed_data()
        return self._fit(group, None)

    def _fit(self, group: int, start: Any) -> Fit:
        return fit_prepared(self._rows_of(group), self.family, self.call, start)

    def _rows_of(self, group: int) -> Prepared:
        """The data of one group, its rows dropped counted."""
        prepared = self.prepared
        here = self.codes == group
        used = here if prepared.rows is None else here & prepared.rows
        rows = self.groups.rows(group)
        design = _rows(prepared.design, rows)
        inside = torch.from_numpy(np.flatnonzero(here if prepared.rows is None else here[prepared.rows]))
        whole = design if prepared.whole is prepared.design else prepared.whole.take(inside.to(rows.device))
        response = prepared.response
        trials = None if response.trials is None else response.trials[inside]
        weights = prepared.weights
        return replace(
            prepared,
            design=design,
            whole=whole,
            response=replace(response, y=response.y[inside], trials=trials),
            weights=None if weights is None else weights.where(rows.to(weights.values.device)),
            rows=used,
            missing=int((here if self._asked is None else here & self._asked).sum() - used.sum()),
            zero_weight=whole.n - design.n,
        )

    @property
    def rows_without_key(self) -> int:
        """Rows that were asked for and are in no group."""
        here = self.codes if self._asked is None else self.codes[self._asked]
        return int((here < 0).sum())

    @cached_property
    def _asked(self) -> np.ndarray | None:
        return subset_rows(self.prepared.request.subset, self.prepared.source, self.prepared.caller)

    def _refuse_changed_data(self) -> None:
        if not torch.equal(self.prepared.design.fingerprint(), self.fingerprint):
            raise written_over("by")


def _rows(design: Design, rows: Tensor) -> Design:
    """The design of some rows: where they lie, if they lie together."""
    if len(rows) and int(rows[-1] - rows[0]) == len(rows) - 1:
        return design.stretch(int(rows[0]), int(rows[-1]) + 1)
    return design.take(rows)
