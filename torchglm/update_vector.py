"""update() of models of several linear predictors: a change of formula for each of their parts."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torchglm.api import fit_parsed
from torchglm.call import KEEP, Call
from torchglm.design.parts_of import split_parts
from torchglm.design.prepare import Request
from torchglm.design.rewrite import formula_text, updated
from torchglm.design.sources import Source, open_source
from torchglm.design.terms import Factor, parse
from torchglm.errors import OptionError
from torchglm.families.exponential import Poisson
from torchglm.families.family import resolve_family
from torchglm.families.negative_binomial_size import NegativeBinomialSize
from torchglm.fit import Fit
from torchglm.inference.vector import VectorEstimate
from torchglm.vector_fit import VectorFit
from torchglm.vector_models import fit_vector


def refit_vector(
    fit: VectorFit,
    formula: str | None,
    data: Any,
    caller: Mapping[str, Any],
    arguments: Mapping[str, Any],
    request: Request,
    call: Call,
    start: Any,
) -> Fit | VectorFit:
    """The changed call; `request` and `call` have their changes, `arguments` are those of the model, KEEP among them.

    A change of the formula has a part for each of the formula's, the same bar between them; what has none stays.
    Raises: OptionError for an argument that the model does not have; what fitting it raises.
    """
    estimate = fit.estimate
    assert isinstance(estimate, VectorEstimate)
    prepared = estimate.prepared
    source = prepared.source if data is None else open_source(data)
    seen = ChainMap(*(dict(part.caller) for part in estimate.together.parts), dict(caller))
    given = {name: value for name, value in arguments.items() if value is not KEEP}
    remake = call.remake
    if remake is None:  # an NB1, whose theta is searched for first
        likelihood = fit.vector_model.likelihood
        assert isinstance(likelihood, NegativeBinomialSize)
        assert call.again is not None
        _refuse_unknown(given, ("link",), fit)
        old = prepared.parsed
        parsed = parse(old.text, source.names) if formula is None else updated(old, formula, source.names)
        family = Poisson(given.get("link", likelihood.link))
        return call.again(parsed, source, fitting(request, parsed.factors), seen, family, call, start)
    known = dict(remake.arguments)
    takes = (*known, *(("link",) if "family" in known else ()))
    _refuse_unknown(given, takes, fit)
    if "family" in known:
        known["family"] = resolve_family(given.pop("family", known["family"]), given.pop("link", None))
    if formula is not None:
        known["formula"] = _changed(estimate, known["formula"], formula, source)
    response = known["formula"].partition("~")[0].strip()
    if "dispersion" in given and not (isinstance(given["dispersion"], str) and "~" in given["dispersion"]):
        call = replace(call, dispersion=given["dispersion"], remake=None)
        parsed = parse(known["formula"], source.names)
        return fit_parsed(parsed, source, fitting(request, parsed.factors), seen, known["family"], call, start)
    for name in remake.formulas:
        if isinstance(given.get(name), str):
            given[name] = _changed_side(response, known[name], given[name], source)
    asked = remake.ask(**{**known, **given}, request=request, call=replace(call, remake=None), start=start)
    factors = [factor for text in asked.formulas for factor in parse(text, source.names).factors]
    return fit_vector(replace(asked, request=fitting(asked.request, factors)), source, seen)


def fitting(request: Request, factors: Sequence[Factor]) -> Request:
    """The request without the contrasts of factors that are not among these."""
    if not request.contrasts:
        return request
    known = {factor.text for factor in factors}
    kept = {n: c for n, c in request.contrasts.items() if n in known or f"C({n})" in known}
    return replace(request, contrasts=kept or None)


def _refuse_unknown(given: Mapping[str, Any], takes: tuple[str, ...], fit: VectorFit) -> None:
    for name in given:
        if name not in takes:
            those = ", ".join(f"{one}=" for one in takes if one not in ("formula", "likelihood")) or "none of these"
            raise OptionError(f"{name}= is no argument of this model, {fit.title.lower()}; it has {those}.")


def _changed(estimate: VectorEstimate, old: str, change: str, source: Source) -> str:
    """The formula with each of its parts changed."""
    left, tilde, right = change.partition("~") if isinstance(change, str) else ("", "", change)
    pieces = [part.partition("~")[2].strip() for part in split_parts(f"y ~ {right if tilde else left}")]
    parsed = [part.parsed for part in estimate.together.parts]
    before = [parse(text, estimate.prepared.source.names) for text in split_parts(old)]
    sides = []
    for k in range(max(len(pieces), len(before))):
        part = parsed[k] if k < len(parsed) and k < len(before) else before[min(k, len(before) - 1)]
        piece = pieces[k] if k < len(pieces) else "."
        part = updated(part, f"{left}~ {piece}" if tilde else piece, source.names)
        sides.append(formula_text(part))
    return " | ".join([sides[0], *(side.partition("~")[2].strip() for side in sides[1:])])


def _changed_side(response: str, old: str | None, change: str, source: Source) -> str:
    """A formula without response, changed."""
    before = parse(f"{response} {old or '~ 1'}", source.names)
    return f"~ {updated(before, change, source.names).text.partition('~')[2].strip()}"
