"""glm("~ x", data, responses=): one model a response over one design, all of them in one search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.api import check_response, check_stop, device_of, fit_prepared
from torchglm.call import Call
from torchglm.design.design import Design
from torchglm.design.missing import missing_values
from torchglm.design.numbers import missing_rows
from torchglm.design.prepare import prepare
from torchglm.design.prepared import Prepared
from torchglm.design.request import Request
from torchglm.design.response import Response
from torchglm.design.sources import Source
from torchglm.design.terms import Factor, Parsed, parse
from torchglm.design.weights import Frequency
from torchglm.errors import DataError, FormulaError, OptionError
from torchglm.families.family import Family
from torchglm.families.mean import MeanModel
from torchglm.fit import Fit
from torchglm.inference.covariance.choice import kind_of_fit
from torchglm.inference.covariance.given import is_given
from torchglm.inference.dispersion import resolve_dispersion
from torchglm.inference.many import ManyNumbers, Wanted, model_numbers
from torchglm.inference.many_totals import null_response_totals, response_totals
from torchglm.many.alone import Collected
from torchglm.many.columns import Columns, read_columns
from torchglm.many.fits import Fits, ManyCriteria, warn_of, written_over
from torchglm.objective.batch import Batch
from torchglm.objective.objective import Objective
from torchglm.placing import placed

ENTRIES = 1 << 21  # of responses x rows held at once: 16 MB
CURVATURES = 1 << 23  # entries of their curvatures
WORTH = 40_000  # numbers of the model matrix that a CPU passes over for a response alone while a batch does for it


def fit_responses(
    formula: str,
    source: Source,
    request: Request,
    responses: Any,
    caller: Mapping[str, Any],
    family: Family,
    call: Call,
) -> Fits:
    """One fit a response.

    Raises: as `glm`; DataError for responses that are no columns of numbers. Warns: StatusWarning.
    """
    table = Responded.of(formula, source, request, responses, caller, family, call)
    collected = table.fitted()
    warn_of(table.names, collected.arrays.status, stacklevel=5)
    return table.fits(collected, formula, table.one, lambda: collected.complete(table.criteria(collected.arrays.theta)))


@dataclass(frozen=True)
class _WithResponse(Source):
    """A table with one column more, which stands for the responses while the formula is read."""

    response: str = ""

    def column(self, name: str) -> pd.Series:
        """The column of that name.

        Raises: as `Source.column`.
        """
        return pd.Series(1.0, index=self.index) if name == self.response else super().column(name)


@dataclass(frozen=True)
class Responded:
    """A design and the responses over it."""

    prepared: Prepared
    columns: Columns
    family: Family
    call: Call

    @staticmethod
    def of(
        formula: str,
        source: Source,
        request: Request,
        responses: Any,
        caller: Mapping[str, Any],
        family: Family,
        call: Call,
    ) -> Responded:
        """Both, read.

        Raises: as `fit_responses`.
        """
        columns = read_columns(responses, source)
        given = set(columns.names) if columns.table is None else set()
        parsed = parse(formula, [name for name in source.names if name not in given])
        if parsed.response is not None:
            raise FormulaError(
                f"responses= stands for the left-hand side: write {formula.partition('~')[2].strip()!r} "
                "after '~' alone."
            )
        both = given & {factor.text for term in parsed.terms for factor in term.factors}
        if both:
            raise FormulaError(f"The response {min(both)!r} stands on the right-hand side of {formula!r} too.")
        asked = kind_of_fit(call.covariance, None, request.cluster)
        check_stop(call.stop)
        device = device_of(call.device)
        prepared = prepare(*_one_sided(parsed, source), replace(request, cluster=asked.cluster_key), caller)
        if prepared.design.ranks.world > 1:
            raise OptionError("responses= are read whole by each process: use one process.")
        prepared = placed(prepared, device, call.dtype)
        prepared = replace(prepared, parsed=replace(parsed, text=formula), source=source)
        table = Responded(prepared, columns, family, call)
        if request.missing == "raise":
            table.refuse_missing()
        return table

    def refuse_missing(self) -> None:
        """Nothing, where every response is complete.

        Raises: DataError.
        """
        rows, index = self.prepared.rows, self.prepared.index
        for some in self.chunks():
            missing = torch.isnan(self.columns.values(some)).numpy()
            missing = missing if rows is None else missing[rows]
            if missing.any():
                found = {str(self.names[k]): of_one for k, of_one in zip(some, missing.T, strict=True) if of_one.any()}
                raise missing_values(found, index if rows is None else index[rows])

    @property
    def names(self) -> pd.Index:
        """The names of the responses."""
        return self.columns.names

    @cached_property
    def objective(self) -> Objective:
        """The likelihood, whose own response is none of them."""
        return Objective(self.prepared.design, MeanModel(self.family))

    @cached_property
    def rows(self) -> Tensor:
        """(n,) the rows of the data that are in the design."""
        return torch.from_numpy(self.prepared.used_of(np.arange(len(self.prepared.index))))

    def chunks(self) -> list[list[int]]:
        """The responses, as many at a time as memory allows."""
        size = self._at_a_time
        return [list(range(k, min(k + size, len(self.names)))) for k in range(0, len(self.names), size)]

    @property
    def _at_a_time(self) -> int:
        p = self.objective.layout.width
        return max(1, min(ENTRIES // max(self.prepared.design.n, 1), CURVATURES // max(p * p, 1)))

    def is_worth_a_batch(self, at_a_time: int) -> bool:
        """Whether one search for so many responses at a time is faster than one for each.

        A lone search of many rows starts from a sample of them; a batch passes over all at every step, and pays by
        forming the products of columns once for all. Few responses over many numbers are faster alone.
        """
        design = self.prepared.design
        numbers = design.n * self.objective.layout.width
        return design.device.type != "cpu" or numbers <= WORTH * min(at_a_time, len(self.names))

    def responses(self, some: list[int]) -> tuple[Tensor, Tensor]:
        """The values (k, n) over the rows of the design, and which of them a batch can take: complete, and of the
        family."""
        design = self.prepared.design
        y = self.columns.values(some)[self.rows].T.contiguous().to(design.device)
        w = torch.ones_like(y[0]) if design.weight is None else design.weight.to(y.device)
        return y, self.family.check_response(y, w.expand_as(y)).all(1) & torch.isfinite(y).all(1)

    def fitted(self) -> Collected:
        """Every model: those that a batch is sure of as it found them, the others one by one."""
        call, prepared, objective = self.call, self.prepared, self.objective
        if objective.layout.width == 0:
            raise FormulaError(f"The formula {prepared.parsed.text!r} has no column left to estimate.")
        weights = prepared.weights
        count = float(prepared.design.n) if weights is None else weights.count()
        kind = kind_of_fit(call.covariance, weights, prepared.request.cluster)
        phi = resolve_dispersion(call.dispersion, self.family)
        wanted = Wanted(self.family, kind, phi, call.stop, isinstance(weights, Frequency))
        batched = wanted.is_batched and call.penalty is None and call.solver == "auto" and not is_given(call.covariance)
        batched = batched and self.is_worth_a_batch(self._at_a_time)
        numbers = ManyNumbers.blank(len(self.names), objective.layout.width)
        numbers.n.fill_(count)
        for some in self.chunks() if batched else ():
            y, good = self.responses(some)
            start = Batch(objective, responses=y).start(self.family)
            good &= torch.isfinite(start).all(1)
            if bool(good.any()):
                n = torch.full((int(good.sum()),), count, dtype=torch.float64, device=y.device)
                found = model_numbers(Batch(objective, responses=y[good]), start[good], n, wanted)
                numbers.write(torch.tensor(some)[good.cpu()], found)
        collected = Collected.of(numbers, numbers.sure.numpy())
        alone = np.flatnonzero(~collected.arrays.converged).tolist()
        collected.fit(alone, lambda place: self.one(place, numbers.start_of(place)), "responses")
        collected.mark_few_rows()
        return collected

    def fits(
        self, collected: Collected, formula: str, one: Callable[[int], Fit], criteria: Callable[[], ManyCriteria]
    ) -> Fits:
        """The handle, whose fits and criteria are refused where the data were written over since."""
        design = self.prepared.design
        fingerprint = design.fingerprint()

        def refuse_changed_data() -> None:
            if not torch.equal(design.fingerprint(), fingerprint):
                raise written_over("responses")

        def checked_one(place: int) -> Fit:
            refuse_changed_data()
            return one(place)

        def checked_criteria() -> ManyCriteria:
            refuse_changed_data()
            return criteria()

        schema = self.prepared.schema
        phi = resolve_dispersion(self.call.dispersion, self.family)
        return Fits(
            self.names,
            schema.names,
            self.family,
            formula,
            phi.estimated,
            schema.has_intercept,
            collected.arrays,
            checked_one,
            checked_criteria,
        )

    def criteria(self, theta: np.ndarray) -> ManyCriteria:
        """Deviances and log-likelihoods at `theta` (m, p)."""
        out = [np.full(len(self.names), np.nan) for _ in range(3)]
        weights, constant = self.prepared.weights, self.prepared.schema.has_intercept
        for some in self.chunks():
            y, good = self.responses(some)
            good = good.cpu()
            batch = Batch(self.objective, responses=y[good.to(y.device)])
            places = np.array(some)[good.numpy()]
            if not len(places):
                continue
            found = response_totals(batch, torch.from_numpy(theta[places]), self.family, weights)
            null = null_response_totals(batch, self.family, weights, constant)
            for values, rows in zip(
                out, (found.deviance, null.deviance, found.log_likelihoods(self.family)), strict=True
            ):
                values[places] = rows.numpy()
        return ManyCriteria(*out)

    def one(self, place: int, start: np.ndarray | None = None) -> Fit:
        """The fit of one response, as glm() gives it, its search begun at `start` (p,).

        Raises: what `glm` raises.
        """
        prepared = self.of_one(place)
        check_response(prepared, self.family)
        return fit_prepared(prepared, self.family, self.call, start)

    def of_one(self, place: int) -> Prepared:
        """The data of one response: its missing rows are left out.

        Raises: DataError for an infinite response, and where no row is left.
        """
        prepared, name = self.prepared, str(self.names[place])
        index = prepared.index
        whole_rows = np.arange(len(index)) if prepared.rows is None else np.flatnonzero(prepared.rows)
        y = self.columns.values([place])[:, 0][torch.from_numpy(whole_rows)]
        missing = missing_rows(name, y, index[whole_rows])
        lost = torch.zeros(len(y), dtype=torch.bool) if missing is None else missing
        if bool(lost.all()):
            raise DataError(f"No row is complete: {name!r} is missing in every row.")
        positive = torch.ones(len(y), dtype=torch.bool)
        if prepared.zero_weight:
            positive = (prepared.whole.weight > 0).cpu()  # type: ignore[operator]
        kept = ~lost
        whole = _replaced(prepared.whole, y, kept)
        design = whole if not prepared.zero_weight else _replaced(prepared.design, y[positive], kept[positive])
        used = np.zeros(len(index), dtype=bool)
        used[whole_rows[kept.numpy()]] = True
        weights = prepared.weights
        return replace(
            prepared,
            design=design,
            whole=whole,
            response=Response(y[kept]),
            response_name=name,
            parsed=replace(prepared.parsed, text=f"{name} {prepared.parsed.text}", response=Factor(name, "lookup")),
            weights=None if weights is None else weights.where(kept[positive].to(weights.values.device)),
            rows=None if used.all() else used,
            missing=prepared.missing + int(lost.sum()),
            zero_weight=whole.n - design.n,
        ).with_normal_weights()


def _one_sided(parsed: Parsed, source: Source) -> tuple[Parsed, Source]:
    """The formula with a response that is never missing, and the table that has it."""
    name = "responses"
    while name in source:
        name += "_"
    table = _WithResponse(
        (*source.names, name), source.rows, source.index, source.table, source.keeps_order, response=name
    )
    return replace(parsed, response=Factor(name, "lookup")), table


def _replaced(design: Design, y: Tensor, kept: Tensor) -> Design:
    """The design with that response, without the rows that are not `kept`."""
    replaced = replace(design, y=y.to(design.y.device))
    return replaced if bool(kept.all()) else replaced.take(torch.nonzero(kept).flatten().to(design.y.device))
