"""Models of counts whose zeros are a matter of their own: zero_inflated(), hurdle() and truncated()."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from os import PathLike
from typing import Any

import torch

from torchglm.call import Call, Remake
from torchglm.count_limits import hurdle_limits, inflated_limits, truncated_limits
from torchglm.design.parts_of import split_parts
from torchglm.design.prepare import Prepared, Request
from torchglm.errors import FormulaError, ResponseError
from torchglm.families.count import CountModel
from torchglm.families.hurdle import Hurdle
from torchglm.families.link import Link, UnitLink
from torchglm.families.truncated import Truncated
from torchglm.families.zero_inflated import ZeroInflated
from torchglm.inference.vector import Predictor, VectorModel
from torchglm.solvers.solver import Solver, Stop
from torchglm.vector_fit import VectorFit
from torchglm.vector_models import Asked, caller_at, fit_vector, one_part


def zero_inflated(
    formula: str,
    data: Any,
    count: str | CountModel | type[CountModel] = "poisson",
    *,
    zero_link: str | UnitLink | type[Link] = "logit",
    weights: Any = None,
    freq_weights: Any = None,
    prob_weights: Any = None,
    offset: Any = None,
    exposure: Any = None,
    subset: Any = None,
    missing: str = "drop",
    contrasts: Mapping[str, Any] | None = None,
    solver: str | Solver | type[Solver] = "auto",
    covariance: Any = None,
    cluster: Any = None,
    start: Any = None,
    tolerance: float = 1e-8,
    max_steps: int = 100,
    checkpoint: str | PathLike[str] | None = None,
    device: str | torch.device = "auto",
) -> VectorFit:
    """A count that is zero for certain with a chance of its own: P(0) = pi + (1 - pi) f(0).

    formula    "y ~ x | z": x explains the count, z the chance pi of a certain zero; without a bar x explains both,
               with an offset() in the formula
    count      "poisson" or "negative_binomial", whose theta is estimated: its log is the coefficient "log(theta)"
    zero_link  of pi: "logit", "probit", "cloglog", ...

    offset= and exposure= belong to the count. All else as `glm`. Covariances: observed information.
    Raises: ResponseError where y is no count or always zero; a TorchGLMError. Warns: ConvergenceWarning,
    BoundaryWarning.
    Source: pscl::zeroinfl.
    """
    request = Request(weights, freq_weights, prob_weights, offset, exposure, subset, missing, contrasts, cluster)
    call = Call(solver, covariance, None, Stop(tolerance, max_steps), device, "float64", checkpoint=checkpoint)
    return fit_vector(asked_zero_inflated(formula, count, zero_link, request, call, start), data, caller_at(1))


def asked_zero_inflated(
    formula: str,
    count: str | CountModel | type[CountModel],
    zero_link: str | UnitLink | type[Link],
    request: Request,
    call: Call,
    start: Any,
) -> Asked:
    """The arguments of `zero_inflated` as a model of several predictors.

    Raises: FormulaError, OptionError, UnknownNameError.
    """
    likelihood = ZeroInflated(count, zero_link)  # type: ignore[arg-type]
    formulas = _two_parts(formula, shared=request.offset is None and request.exposure is None)
    build = partial(_with_zeros, "Zero-inflated", likelihood, len(formulas))
    remake = Remake(asked_zero_inflated, {"formula": formula, "count": count, "zero_link": zero_link})
    return Asked(formula, formulas, build, request, call, start, inflated_limits, remake)


def hurdle(
    formula: str,
    data: Any,
    count: str | CountModel | type[CountModel] = "poisson",
    *,
    zero_link: str | UnitLink | type[Link] = "logit",
    weights: Any = None,
    freq_weights: Any = None,
    prob_weights: Any = None,
    offset: Any = None,
    exposure: Any = None,
    subset: Any = None,
    missing: str = "drop",
    contrasts: Mapping[str, Any] | None = None,
    solver: str | Solver | type[Solver] = "auto",
    covariance: Any = None,
    cluster: Any = None,
    start: Any = None,
    tolerance: float = 1e-8,
    max_steps: int = 100,
    checkpoint: str | PathLike[str] | None = None,
    device: str | torch.device = "auto",
) -> VectorFit:
    """A count that is positive with a chance of its own, and then has a zero-truncated distribution.

    formula    "y ~ x | z": x explains the positive counts, z the chance that a count is positive; without a bar both,
               with an offset() in the formula
    count      "poisson" or "negative_binomial", whose theta is estimated: its log is the coefficient "log(theta)"
    zero_link  of the chance that a count is positive

    offset= and exposure= belong to the count. All else as `glm`. Covariances: observed information.
    Raises: ResponseError where y is no count or always zero; a TorchGLMError. Warns: ConvergenceWarning,
    BoundaryWarning.
    Source: pscl::hurdle.
    """
    request = Request(weights, freq_weights, prob_weights, offset, exposure, subset, missing, contrasts, cluster)
    call = Call(solver, covariance, None, Stop(tolerance, max_steps), device, "float64", checkpoint=checkpoint)
    return fit_vector(asked_hurdle(formula, count, zero_link, request, call, start), data, caller_at(1))


def asked_hurdle(
    formula: str,
    count: str | CountModel | type[CountModel],
    zero_link: str | UnitLink | type[Link],
    request: Request,
    call: Call,
    start: Any,
) -> Asked:
    """The arguments of `hurdle` as a model of several predictors.

    Raises: FormulaError, OptionError, UnknownNameError.
    """
    likelihood = Hurdle(count, zero_link)  # type: ignore[arg-type]
    formulas = _two_parts(formula, shared=request.offset is None and request.exposure is None)
    build = partial(_with_zeros, "Hurdle", likelihood, len(formulas))
    remake = Remake(asked_hurdle, {"formula": formula, "count": count, "zero_link": zero_link})
    return Asked(formula, formulas, build, request, call, start, hurdle_limits, remake)


def truncated(
    formula: str,
    data: Any,
    count: str | CountModel | type[CountModel] = "poisson",
    *,
    weights: Any = None,
    freq_weights: Any = None,
    prob_weights: Any = None,
    offset: Any = None,
    exposure: Any = None,
    subset: Any = None,
    missing: str = "drop",
    contrasts: Mapping[str, Any] | None = None,
    solver: str | Solver | type[Solver] = "auto",
    covariance: Any = None,
    cluster: Any = None,
    start: Any = None,
    tolerance: float = 1e-8,
    max_steps: int = 100,
    checkpoint: str | PathLike[str] | None = None,
    device: str | torch.device = "auto",
) -> VectorFit:
    """A count that is recorded only where it is positive: P(y) = f(y) / (1 - f(0)), y = 1, 2, ...

    formula    "y ~ x": x explains the mean of f, as if zeros were recorded too
    count      "poisson" or "negative_binomial", whose theta is estimated: its log is the coefficient "log(theta)"

    All else as `glm`. Covariances: observed information.
    Raises: ResponseError where y is no positive count or always one; a TorchGLMError. Warns: ConvergenceWarning,
    BoundaryWarning.
    Source: the count part of pscl::hurdle.
    """
    request = Request(weights, freq_weights, prob_weights, offset, exposure, subset, missing, contrasts, cluster)
    call = Call(solver, covariance, None, Stop(tolerance, max_steps), device, "float64", checkpoint=checkpoint)
    return fit_vector(asked_truncated(formula, count, request, call, start), data, caller_at(1))


def asked_truncated(
    formula: str, count: str | CountModel | type[CountModel], request: Request, call: Call, start: Any
) -> Asked:
    """The arguments of `truncated` as a model of several predictors.

    Raises: FormulaError, OptionError, UnknownNameError.
    """
    build = partial(_truncated_model, Truncated(count))  # type: ignore[arg-type]
    remake = Remake(asked_truncated, {"formula": formula, "count": count})
    return Asked(formula, (one_part(formula),), build, request, call, start, truncated_limits, remake)


def _two_parts(formula: str, shared: bool) -> tuple[str, ...]:
    """The formula of the count, and of the zeros where it has one, or may not share the offset of the count.

    Raises: FormulaError for more than two parts.
    """
    parts = split_parts(formula)
    if len(parts) > 2:
        raise FormulaError(f"The formula {formula!r} has {len(parts)} parts; this model takes two: y ~ count | zero.")
    return tuple(parts) if shared or len(parts) == 2 else (parts[0], parts[0])


def _with_zeros(what: str, likelihood: ZeroInflated | Hurdle, parts: int, prepared: Prepared) -> VectorModel:
    largest = _largest_count(prepared, 0, "Nothing is left to explain. Is it the right column?")
    rest = [Predictor(None, constant=_shown(name)) for name in likelihood.predictors[2:]]
    predictors = (Predictor(0, "count_"), Predictor(parts - 1, "zero_"), *rest)
    name = likelihood.count.name
    title = f"{what} {name.replace('_', ' ')} regression"
    link = f"{likelihood.count.link.name}, zero: {likelihood.zero_link.name}"
    return VectorModel(title, f"{what.lower().replace('-', '_')} {name}", link, likelihood, predictors, largest)


def _truncated_model(likelihood: Truncated, prepared: Prepared) -> VectorModel:
    largest = _largest_count(prepared, 1, "The mean of the counts before truncation goes to zero.")
    predictors = (Predictor(0), *(Predictor(None, constant=_shown(name)) for name in likelihood.predictors[1:]))
    name = likelihood.count.name
    title = f"Zero-truncated {name.replace('_', ' ')} regression"
    return VectorModel(title, f"truncated {name}", likelihood.count.link.name, likelihood, predictors, largest)


def _largest_count(prepared: Prepared, least: int, why: str) -> int:
    """The largest response.

    Raises: ResponseError where the response is no column of numbers, or always the least that is possible.
    """
    y, response = prepared.design.y, prepared.response
    if response.levels is not None or response.trials is not None:
        what = "of two levels" if response.trials is None else "successes and failures"
        raise ResponseError(f"The response {prepared.response_name!r} is {what}; this model takes a column of counts.")
    if not prepared.design.total(float((y != least).sum())):
        raise ResponseError(
            f"The response {prepared.response_name!r} is {least} in all {prepared.design.n} rows. {why}"
        )
    return max(0, int(prepared.design.largest(y)))


def _shown(predictor: str) -> str:
    return f"log({predictor.removeprefix('log_')})" if predictor.startswith("log_") else predictor
