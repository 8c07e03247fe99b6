"""ordinal(), multinomial(), zero_inflated(), hurdle(), custom(): from formula and data to a VectorFit."""

from __future__ import annotations

import sys
import warnings
from collections import ChainMap
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchglm.api import check_stop, device_of, start_of
from torchglm.call import Call, Remake
from torchglm.checkpoint import open_checkpoint
from torchglm.coefficients import settle
from torchglm.design.among_ranks import together
from torchglm.design.numbers import row_label
from torchglm.design.parts_of import split_parts
from torchglm.design.prepare import Prepared, Request
from torchglm.design.prepare_many import Together, prepare_many
from torchglm.design.sources import Source, open_source
from torchglm.design.terms import parse
from torchglm.diagnostics.diverging import FOLLOWED, diverging_coefficients, unseen_coefficients
from torchglm.diagnostics.separation import unit_lengths
from torchglm.errors import BoundaryWarning, FormulaError, ResponseError
from torchglm.families.exponential import Binomial
from torchglm.inference.aliasing import partners
from torchglm.inference.computed import Computed
from torchglm.inference.covariance.choice import kind_of_fit
from torchglm.inference.covariance.given import is_given
from torchglm.inference.dispersion import Fixed
from torchglm.inference.facts import facts_of
from torchglm.inference.vector import VectorEstimate, VectorModel, VectorRecord, VectorStart, joined
from torchglm.objective.objective import Objective
from torchglm.placing import on_device
from torchglm.solvers.solver import SOLVERS, Solver, Status, run
from torchglm.vector_fit import VectorFit
from torchglm.warn import warn_diverging

NEARLY = 1e-5  # standard errors
NEAR_A_LIMIT = 0.1  # standard errors: on the way there steps stay long, but not so long

Build = Callable[[Prepared], VectorModel]  # from the data of the first formula: its classes are in the response
Limits = Callable[[VectorEstimate, tuple[str, ...]], Mapping[str, list[str]]]


@dataclass(frozen=True)
class Asked:
    """A model of several predictors as it was asked for: a formula each part, shown as `text`.

    limits  what a fit says of a part of the model that has gone to its limit, and the coefficients of that part
    remake  how update() asks for such a model again
    begin   where the search begins without start=
    mend    a step (p,) from where it ends, inner order, that no row of the fit feels
    """

    text: str
    formulas: tuple[str, ...]
    build: Build
    request: Request
    call: Call
    start: Any = None
    limits: Limits = lambda estimate, names: {}
    remake: Remake | None = None
    begin: type[VectorStart] = VectorStart
    mend: Callable[[VectorEstimate], Tensor | None] = lambda estimate: None


def fit_vector(asked: Asked, data: Any, caller: Mapping[str, Any], read: Together | None = None) -> VectorFit:
    """The maximum-likelihood fit of a model of several linear predictors; `read` holds its data where they are read.

    Raises: a TorchGLMError that names the column, row or value. Warns: ConvergenceWarning, SeparationWarning.
    """
    source = data if isinstance(data, Source) else open_source(data)
    call, stop = asked.call, asked.call.stop
    method = SOLVERS.resolve("irls" if call.solver == "auto" else call.solver, Solver)
    kinds = kind_of_fit(call.covariance, None, asked.request.cluster)
    request = replace(asked.request, cluster=kinds.cluster_key)
    device = device_of(call.device)
    check_stop(stop)
    parsed = [parse(text, source.names) for text in asked.formulas]
    parts = prepare_many(parsed, source, request, caller) if read is None else read
    prepared = parts.parts[0]
    with together("checking the responses"):
        model = asked.build(prepared)
        check_response(prepared, model)
    design = joined(model.predictors, tuple(part.design for part in parts.parts))
    whole = joined(model.predictors, tuple(part.whole for part in parts.parts))
    design, whole = on_device(design, device), on_device(whole, device)
    prepared = replace(prepared, design=design, whole=whole)
    objective = Objective(design, model.likelihood)
    schemas = tuple(part.schema for part in parts.parts)
    names = model.names(schemas)
    _refuse_repeated(names)
    begin = asked.begin(Binomial(), start_of(asked.start, objective, names), likelihood=model.likelihood)
    described = {"formula": asked.text, "model": model.name, "link": model.link, "columns": list(names)}
    checkpoint = open_checkpoint(call.checkpoint, {**described, "rows": design.n}, objective)
    solution = checkpoint.solve(lambda start, watch: run(method, objective, start, stop, watch), begin)
    estimate = VectorEstimate(
        prepared, objective, solution, Binomial(), design.fingerprint(), stop, together=parts, model=model
    )
    kind, phi = kind_of_fit(call.covariance, prepared.weights, request.cluster), Fixed(1.0)
    estimate, infinite = _mended(estimate, asked.mend(estimate), names)
    solution = estimate.solution
    near = solution.status.converged or solution.step_in_se < NEAR_A_LIMIT
    limits = asked.limits(estimate, names) if near else {}
    told = infinite.keys() | {name for own in limits.values() for name in own}
    if infinite:
        estimate = replace(estimate, diverging=torch.tensor([name in infinite for name in names]))
    estimate = _undetermined(estimate, names, told)
    facts = facts_of(estimate, asked.text, kind, phi, partners(estimate, names), infinite)
    facts = replace(facts, notes=(*_notes(prepared), *limits))
    for text in limits:
        warnings.warn(text, BoundaryWarning, stacklevel=3)
    unexplained = infinite.keys() - {name for own in limits.values() for name in own}
    untold = {name: sign for name, sign in infinite.items() if name in unexplained}
    quiet = limits and solution.step_in_se <= NEARLY and estimate.solution.status is not Status.UNDETERMINED
    if untold or not quiet:  # towards a limit steps stay long: that has been said
        warn_diverging(estimate.solution, untold, stop, has_classes=request.classes)
    record = VectorRecord(
        prepared.schema,
        estimate.family,
        facts,
        Computed(estimate, kind, phi),
        prepared.offsets,
        prepared.exposure,
        model=model,
        schemas=schemas,
        part_offsets=tuple(part.offsets for part in parts.parts),
    )
    fit = VectorFit(record, estimate, replace(call, remake=asked.remake, checkpoint=None))
    fit = fit.with_covariance(call.covariance) if is_given(call.covariance) else fit
    settle(fit.record)
    checkpoint.finish(solution)
    return fit


def _mended(
    estimate: VectorEstimate, step: Tensor | None, names: tuple[str, ...]
) -> tuple[VectorEstimate, dict[str, str]]:
    """The estimate after a step that no row feels, and the coefficients that go to infinity, those of the step too."""
    infinite = diverging_coefficients(estimate, names)
    if step is None:
        return estimate, infinite
    share = estimate.layout.to_user(step).cpu() * unit_lengths(estimate)
    share /= share.abs().max()
    signs = {n: "+" if s > 0.0 else "-" for n, s in zip(names, share.tolist(), strict=True) if abs(s) > FOLLOWED}
    solution = replace(estimate.solution, theta=estimate.solution.theta + step)
    return replace(estimate, solution=solution), signs | infinite


def _refuse_repeated(names: tuple[str, ...]) -> None:
    if len(set(names)) < len(names):
        name = next(one for one in names if names.count(one) > 1)
        raise FormulaError(
            f"Two coefficients of the model would be named {name!r}, after their class or predictor and their column. "
            "Rename a class, a predictor or a column."
        )


def _undetermined(estimate: VectorEstimate, names: tuple[str, ...], told: Set[str]) -> VectorEstimate:
    """The estimate, not converged where the information has lost a coefficient that nothing `told` explains."""
    lost = (estimate.undetermined & ~estimate.aliased).tolist()
    if not estimate.solution.status.converged or all(
        name in told for name, own in zip(names, lost, strict=True) if own
    ):
        return estimate
    solution = replace(estimate.solution, status=Status.UNDETERMINED)
    return replace(estimate, solution=solution, diverging=unseen_coefficients(estimate))


def _notes(prepared: Prepared) -> tuple[str, ...]:
    empty = prepared.response.empty
    return (f"Classes without rows, left out: {', '.join(map(str, empty))}",) if empty else ()


def check_response(prepared: Prepared, model: VectorModel) -> None:
    """Nothing, where every response is one of the model.

    Raises: ResponseError naming the first row that is not.
    """
    if prepared.response.trials is not None:
        raise ResponseError(
            f"The response {prepared.response_name!r} is successes and failures, for which a {model.name} model has no "
            'use. Say glm(..., family="binomial"), or make one column of it.'
        )
    design = prepared.design
    good = model.likelihood.check_response(design.y.to(torch.float64))
    if bool(good.all()):
        _refuse_weightless(prepared)
        return
    bad = torch.nonzero(~good.reshape(len(good), -1).all(1)).flatten()
    labels = prepared.index[prepared.used_of(np.arange(len(prepared.index)))]
    raise ResponseError(
        f"The response {prepared.response_name!r} must be {model.likelihood.support} in a {model.name} model; "
        f"row {row_label(labels, int(bad[0]))} has {design.y[bad[0]].tolist()!r} ({len(bad)} row(s) in all)."
    )


def _refuse_weightless(prepared: Prepared) -> None:
    """Nothing, where every class has a row of positive weight.

    Raises: ResponseError.
    """
    levels = prepared.response.levels
    if not prepared.request.classes or levels is None:
        return
    counts = torch.bincount(prepared.design.y.to(torch.int64), minlength=len(levels))
    every = [sum(each) for each in zip(*prepared.design.everywhere([counts.tolist()]), strict=True)]
    lost = [level for level, count in zip(levels, every, strict=True) if not count]
    if lost:
        raise ResponseError(
            f"Every row of the class {lost[0]!r} of {prepared.response_name!r} has weight zero, so that nothing is "
            "known of it. Leave those rows out with subset=."
        )


def caller_at(depth: int) -> Mapping[str, Any]:
    """The variables of the function that called the one `depth` levels up."""
    frame = sys._getframe(depth + 1)
    return ChainMap(frame.f_locals, frame.f_globals)


def one_part(formula: str) -> str:
    """The formula, which has one part.

    Raises: FormulaError for more.
    """
    parts = split_parts(formula)
    if len(parts) > 1:
        raise FormulaError(f"The formula {formula!r} has {len(parts)} parts; this model takes one.")
    return formula
