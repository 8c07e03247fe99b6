"""update(): the same call with something changed."""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torchglm.api import fit_parsed
from torchglm.call import KEEP
from torchglm.design.prepare import Request
from torchglm.design.rewrite import updated
from torchglm.design.sources import Source, open_source
from torchglm.design.terms import Parsed, parse
from torchglm.errors import OptionError
from torchglm.families.family import Family, resolve_family
from torchglm.fit import Fit
from torchglm.inference.computed import Computed
from torchglm.inference.covariance.given import Given
from torchglm.inference.covariance.kind import Model
from torchglm.inference.covariance.robust import Sampling
from torchglm.solvers.solver import Stop


def update(
    fit: Fit,
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
) -> Fit:
    """The fit of the same call with what is given changed, and all else kept: R's update().

    formula  ". ~ . - x + z": `.` stands for the old side; "log(.) ~ ." and "- x" will do too
    data     another table; arrays given to the first call must then be given again
    family   takes its own default link, unless link= says which

    The other arguments are those of glm(), None as there. A variable beside the data keeps the value it had. `start` is
    never kept. The covariance kept is that of `fit`, as with_covariance() left it.
    Raises: OptionError for a fit that was loaded without its data; what glm() raises.
    Source: stats::update, stats::update.formula.

    >>> from torchglm import glm
    >>> data = {"x": [1.0, 2, 3, 4], "z": [0.0, 1, 0, 0], "y": [2, 3, 6, 7]}
    >>> update(glm("y ~ x", data, "poisson"), ". ~ . + z").formula
    'y ~ x + z'
    """
    frame = sys._getframe(1)
    rows = {
        "weights": weights,
        "freq_weights": freq_weights,
        "prob_weights": prob_weights,
        "offset": offset,
        "exposure": exposure,
        "subset": subset,
        "missing": missing,
        "contrasts": contrasts,
        "cluster": cluster,
    }
    options = {
        "solver": solver,
        "covariance": covariance,
        "dispersion": dispersion,
        "penalty": penalty,
        "device": device,
        "dtype": dtype,
        "tolerance": tolerance,
        "max_steps": max_steps,
    }
    if family is not KEEP:
        options["again"] = None  # a family that was given needs no parameter estimated
    fit.record.refuse_several("update()")
    chosen = _family(fit, family, link)
    return refit(fit, formula, data, ChainMap(dict(frame.f_locals), frame.f_globals), chosen, rows, options, start)


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
    fit.record.refuse_several("update()")
    if fit.estimate is None or fit.call is None:
        raise OptionError("This fit was loaded without its data and its call. Call glm() with the formula again.")
    prepared = fit.estimate.prepared
    source = prepared.source if data is None else open_source(data)
    parsed = _parsed(prepared.parsed, formula, source)
    changed = {name: value for name, value in (rows or {}).items() if value is not KEEP}
    request = replace(_fitting(prepared.request, parsed), **{"cluster": None, **changed})
    given = {"covariance": _covariance(fit)}
    given |= {name: value for name, value in (options or {}).items() if value is not KEEP}
    stop = fit.call.stop
    stop = Stop(given.pop("tolerance", stop.step_in_se), given.pop("max_steps", stop.max_steps))
    call = replace(fit.call, stop=stop, **given)
    seen = ChainMap(dict(prepared.caller), dict(caller))
    fitted = fit_parsed if call.again is None else call.again
    return fitted(parsed, source, request, seen, family or fit.family, call, start)


def _parsed(old: Parsed, formula: str | None, source: Source) -> Parsed:
    return parse(old.text, source.names) if formula is None else updated(old, formula, source.names)


def _family(fit: Fit, family: Any, link: Any) -> Family:
    if family is KEEP:
        return fit.family if link is KEEP else resolve_family(fit.family, link)
    return resolve_family(family, None if link is KEEP else link)


def _fitting(request: Request, parsed: Parsed) -> Request:
    """The request without the contrasts of factors that the formula has no longer."""
    if not request.contrasts:
        return request
    known = {factor.text for factor in parsed.factors}
    kept = {n: c for n, c in request.contrasts.items() if n in known or f"C({n})" in known}
    return replace(request, contrasts=kept or None)


def _covariance(fit: Fit) -> Any:
    """The covariance of the fit, its clusters included; None, as in glm(), for what the weights had chosen."""
    numbers = fit.record.numbers
    kind = numbers.covariance_kind if isinstance(numbers, Computed) else Model()
    if isinstance(kind, Given):  # a matrix belongs to its fit; a function can be asked again
        return fit.call.covariance if fit.call is not None and callable(fit.call.covariance) else None
    return None if kind in (Model(), Sampling()) else kind
