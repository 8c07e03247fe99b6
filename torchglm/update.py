"""update(): the same call with something changed."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from torchglm.api import fit_parsed
from torchglm.call import KEEP, Call
from torchglm.coefficients import require_fits
from torchglm.design.prepare import Request
from torchglm.design.rewrite import updated
from torchglm.design.sources import Source, open_source
from torchglm.design.terms import Parsed, parse
from torchglm.dispersion_models import double_glm
from torchglm.errors import OptionError
from torchglm.families.family import Family, resolve_family
from torchglm.families.multinomial import Multinomial
from torchglm.fit import Fit
from torchglm.inference.computed import Computed
from torchglm.inference.covariance.given import Given
from torchglm.inference.covariance.kind import Model
from torchglm.inference.covariance.robust import Sampling
from torchglm.inference.vector import VectorEstimate
from torchglm.solvers.solver import Stop
from torchglm.update_vector import fitting, refit_vector
from torchglm.vector_fit import VectorFit

AnyFit = TypeVar("AnyFit", Fit, VectorFit)


def update(
    fit: AnyFit,
    formula: str | None = None,
    data: Any = None,
    *,
    family: Any = KEEP,
    link: Any = KEEP,
    weights: Any = KEEP,
    freq_weights: Any = KEEP,
    prob_weights: Any = KEEP,
    offset: Any = KEEP,
    exposure: Any = KEEP,
    subset: Any = KEEP,
    missing: Any = KEEP,
    contrasts: Any = KEEP,
    solver: Any = KEEP,
    covariance: Any = KEEP,
    cluster: Any = KEEP,
    dispersion: Any = KEEP,
    penalty: Any = KEEP,
    start: Any = None,
    tolerance: Any = KEEP,
    max_steps: Any = KEEP,
    device: Any = KEEP,
    dtype: Any = KEEP,
    nominal: Any = KEEP,
    scale: Any = KEEP,
    count: Any = KEEP,
    zero_link: Any = KEEP,
    base: Any = KEEP,
) -> AnyFit:
    """The fit of the same call with what is given changed, and all else kept: R's update().

    formula  ". ~ . - x + z": `.` stands for the old side; "log(.) ~ ." and "- x" will do too
    data     another table; arrays given to the first call must then be given again
    family   takes its own default link, unless link= says which

    nominal, scale, count, zero_link, base  of the models of several linear predictors that have them; nominal, scale
             and a dispersion formula may be changes too, "~ . + z". A formula of several parts is changed part by part,
             ". ~ . + x | . - z"; a part that the change lacks stays

    The other arguments are those of glm(), None as there. A variable beside the data keeps the value it had. `start` is
    never kept. The covariance kept is that of `fit`, as with_covariance() left it.
    Raises: OptionError for a fit that was loaded without its data; what glm() raises.
    Source: stats::update, stats::update.formula.

    >>> from torchglm import glm
    >>> data = {"x": [1.0, 2, 3, 4], "z": [0.0, 1, 0, 0], "y": [2, 3, 6, 7]}
    >>> update(glm("y ~ x", data, "poisson"), ". ~ . + z").formula
    'y ~ x + z'
    """
    require_fits("update()", fit)
    frame = sys._getframe(1)
    rows = {"weights": weights, "freq_weights": freq_weights, "prob_weights": prob_weights, "offset": offset}
    rows |= {"exposure": exposure, "subset": subset, "missing": missing, "contrasts": contrasts, "cluster": cluster}
    options = {"solver": solver, "covariance": covariance, "dispersion": dispersion, "penalty": penalty}
    options |= {"device": device, "dtype": dtype, "tolerance": tolerance, "max_steps": max_steps}
    caller = ChainMap(dict(frame.f_locals), frame.f_globals)
    model = {"nominal": nominal, "scale": scale, "count": count, "zero_link": zero_link}
    if isinstance(fit, VectorFit):
        rows["base"], options["dispersion"] = base, KEEP
        model |= {"family": family, "link": link, "dispersion": dispersion}
        return cast(AnyFit, refit_many(fit, formula, data, caller, model, rows, options, start))
    for name, value in {**model, "base": base}.items():
        if value is not KEEP:
            raise OptionError(f"{name}= is no argument of glm().")
    if family is not KEEP:
        options["again"] = None  # a family that was given needs no parameter estimated
    return refit(fit, formula, data, caller, _family(fit, family, link), rows, options, start)


def refit_many(
    fit: VectorFit,
    formula: str | None,
    data: Any,
    caller: Mapping[str, Any],
    model: Mapping[str, Any] | None = None,
    rows: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    start: Any = None,
) -> Fit | VectorFit:
    """The same of a model of several linear predictors, `model` being the arguments that it alone has.

    Raises: OptionError for a fit that was loaded without its data; what fitting the model raises.
    """
    if not isinstance(fit.estimate, VectorEstimate) or fit.call is None:
        raise OptionError(
            "This fit was loaded without its data and its call. Call its function with the formula again."
        )
    base = (rows or {}).get("base", KEEP)
    if base is not KEEP and not isinstance(fit.vector_model.likelihood, Multinomial):
        raise OptionError(f"base= is an argument of multinomial(); this is {fit.title.lower()}.")
    request = _request(fit.estimate.together.request, rows)
    return refit_vector(fit, formula, data, caller, model or {}, request, _call(fit, fit.call, options), start)


def refit(
    fit: Fit,
    formula: str | None,
    data: Any,
    caller: Mapping[str, Any],
    family: Family | None = None,
    rows: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    start: Any = None,
) -> Fit:
    """The changed call, its changes by name; KEEP, and what is not named, stay.

    Raises: OptionError for a fit that was loaded without its data; what glm() raises.
    """
    if fit.estimate is None or fit.call is None:
        raise OptionError("This fit was loaded without its data and its call. Call glm() with the formula again.")
    prepared = fit.estimate.prepared
    source = prepared.source if data is None else open_source(data)
    parsed = _parsed(prepared.parsed, formula, source)
    request = _request(fitting(prepared.request, parsed.factors), rows)
    call = _call(fit, fit.call, options)
    seen = ChainMap(dict(prepared.caller), dict(caller))
    chosen = family or fit.family
    if isinstance(call.dispersion, str) and "~" in call.dispersion:
        return double_glm(parsed.text, source, request, seen, chosen, call, start)  # pyright: ignore[reportReturnType]
    fitted = fit_parsed if call.again is None else call.again
    return fitted(parsed, source, request, seen, chosen, call, start)


def _request(old: Request, rows: Mapping[str, Any] | None) -> Request:
    changed = {name: value for name, value in (rows or {}).items() if value is not KEEP}
    return replace(old, **{"cluster": None, **changed})


def _call(fit: Fit | VectorFit, old: Call, options: Mapping[str, Any] | None) -> Call:
    given = {"covariance": _covariance(fit)}
    given |= {name: value for name, value in (options or {}).items() if value is not KEEP}
    stop = Stop(given.pop("tolerance", old.stop.step_in_se), given.pop("max_steps", old.stop.max_steps))
    return replace(old, stop=stop, **given)


def _parsed(old: Parsed, formula: str | None, source: Source) -> Parsed:
    return parse(old.text, source.names) if formula is None else updated(old, formula, source.names)


def _family(fit: Fit, family: Any, link: Any) -> Family:
    if family is KEEP:
        return fit.family if link is KEEP else resolve_family(fit.family, link)
    return resolve_family(family, None if link is KEEP else link)


def _covariance(fit: Fit | VectorFit) -> Any:
    """The covariance of the fit, its clusters included; None, as in glm(), for what the weights had chosen."""
    numbers = fit.record.numbers
    kind = numbers.covariance_kind if isinstance(numbers, Computed) else Model()
    if isinstance(kind, Given):  # a matrix belongs to its fit; a function can be asked again
        return fit.call.covariance if fit.call is not None and callable(fit.call.covariance) else None
    return None if kind in (Model(), Sampling()) else kind
