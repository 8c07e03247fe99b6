"""Tests of what an ordinal model assumes: that effects are the same at every cut, and the scale the same for all."""

from __future__ import annotations

import math
import warnings
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from torchglm.classes import asked_ordinal
from torchglm.coefficients import require_fits
from torchglm.design.rewrite import formula_text, term_key
from torchglm.design.terms import Parsed, Term
from torchglm.errors import OptionError, TorchGLMWarning
from torchglm.families.ordinal import Ordinal
from torchglm.inference.vector import VectorEstimate, VectorStart
from torchglm.ordinal_limits import rows_that_cross
from torchglm.report.term_table import TermTable
from torchglm.vector_fit import VectorFit
from torchglm.vector_models import fit_vector

ALL = "all terms"


def proportionality_test(fit: VectorFit) -> TermTable:
    """The likelihood-ratio tests of effects that differ from cut to cut: each term by itself, and all at once.

    With the logit link these are tests of proportional odds. A small p-value says that the effect of the term is not
    the same at every cut: give it to nominal=.
    Raises: OptionError for a fit that is not ordinal, and where nothing is left to test.
    Source: ordinal::nominal_test; its rows, and one for all terms at once.
    """
    return _tested(fit, "nominal", "Tests of nominal effects (proportionality)")


def scale_test(fit: VectorFit) -> TermTable:
    """The likelihood-ratio tests of effects on the scale of the latent variable: each term, and all at once.

    Raises: as `proportionality_test`.
    Source: ordinal::scale_test; its rows, and one for all terms at once.
    """
    return _tested(fit, "scale", "Tests of scale effects")


def _tested(fit: VectorFit, role: str, title: str) -> TermTable:
    require_fits(f"{'proportionality' if role == 'nominal' else role}_test()", fit)
    if not isinstance(fit, VectorFit) or not isinstance(fit.vector_model.likelihood, Ordinal):
        raise OptionError(f"This is a test of ordinal models; the fit is of {fit.family.name}.")
    estimate, likelihood = fit.estimate, fit.vector_model.likelihood
    if estimate is None:
        raise OptionError("The test refits the model, and this fit was loaded without its data.")
    assert isinstance(estimate, VectorEstimate)
    estimate.refuse_changed_data()
    parts = _parts(estimate, likelihood)
    have = {term_key(term) for term in parts[role].terms} if role in parts else set()
    terms = [term for term in parts["location"].terms if term.factors and term_key(term) not in have]
    if not terms:
        raise OptionError(f"Every term of {fit.formula!r} has such an effect already, or there is none.")
    if likelihood.levels == 2 and role == "nominal":
        raise OptionError("Two classes have one cut, at which every effect is proportional.")
    asked = {term.label: [term] for term in terms}
    if len(terms) > 1:
        asked[ALL] = terms
    rows, notes = {"<none>": (math.nan, fit.llf, fit.aic, math.nan, math.nan)}, []
    for label, added in asked.items():
        larger = _refitted(fit, estimate, likelihood, parts, role, added)
        rows[label] = _row(fit, larger)
        assert isinstance(larger.estimate, VectorEstimate)
        if crossed := rows_that_cross(larger.estimate):
            notes.append(f"{label}: its cuts cross in {crossed} row(s), of which the larger model is none.")
        if larger.infinite:
            notes.append(f"{label}: some coefficients are infinite; the likelihood is its limit.")
        elif not larger.converged:
            notes.append(f"{label}: not converged: {larger.status}")
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["df", "logLik", "aic", "statistic", "p.value"])
    return TermTable(f"{title}: {fit.formula}", frame, "LR", tuple(notes))


def _row(smaller: VectorFit, larger: VectorFit) -> tuple[float, float, float, float, float]:
    from scipy import special

    df = float(_rank(larger) - _rank(smaller))
    statistic = max(2.0 * (larger.llf - smaller.llf), 0.0)
    p = float(special.chdtrc(df, statistic)) if df > 0 else math.nan
    return df, larger.llf, larger.aic, statistic, p


def _rank(fit: VectorFit) -> int:
    """The coefficients that the columns leave free, those that separation makes infinite among them.

    Where no column has an effect, the information still knows them all.
    """
    assert isinstance(fit.estimate, VectorEstimate)
    objective = fit.estimate.objective
    start = VectorStart(fit.estimate.family, likelihood=objective.likelihood)
    return start.first(objective, objective.quadratic)[1].curvature.rank


def _parts(estimate: VectorEstimate, likelihood: Ordinal) -> dict[str, Parsed]:
    """The formulas of the fit by their roles."""
    parsed = [part.parsed for part in estimate.together.parts]
    predictors = estimate.model.predictors
    out = {"location": parsed[0]}
    if predictors[1].part is not None:
        out["nominal"] = parsed[predictors[1].part]
    if likelihood.scale and predictors[-1].part is not None:
        out["scale"] = parsed[predictors[-1].part]
    return out


def _refitted(
    fit: VectorFit,
    estimate: VectorEstimate,
    likelihood: Ordinal,
    parts: dict[str, Parsed],
    role: str,
    added: Sequence[Term],
) -> VectorFit:
    """The fit with further terms in one of its parts, from where it stands.

    The location keeps them: of it and the cuts together, a column that is not needed is aliased.
    """
    bare = Parsed("", None, (Term(()),), ())
    part = replace(parts.get(role, bare), response=None)
    texts = {name: formula_text(replace(parsed, response=None)) for name, parsed in parts.items() if name != "location"}
    texts[role] = formula_text(replace(part, terms=(*part.terms, *added)))
    prepared = estimate.together.parts[0]
    assert fit.call is not None
    call = replace(fit.call, covariance=None, solver="auto")
    asked = asked_ordinal(
        formula_text(parts["location"]),
        likelihood.link,
        texts.get("nominal"),
        texts.get("scale"),
        prepared.request,
        call,
        None,
    )
    caller = ChainMap(*(dict(part.caller) for part in estimate.together.parts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TorchGLMWarning)
        larger = fit_vector(asked, prepared.source, caller)
    if larger.nobs != fit.nobs:
        raise OptionError("The larger model has other rows than the fit: a transform is not defined in some of them.")
    return larger
