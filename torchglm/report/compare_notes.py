"""What stands below a comparison in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from .compare_facts import CRITERIA

STARS_LEGEND = "+ p < 0.1, * p < 0.05, ** p < 0.01, *** p < 0.001"

Fits = Mapping[str, Any]


def notes_of(
    fits: Fits, exponents: Mapping[str, bool], statistic: str | None, level: float, facts: Collection[str]
) -> list[str]:
    """The sentences below the table, each naming the columns that it is about; `facts` are those shown."""
    notes = _of_the_numbers(fits, exponents, statistic, level)
    notes += [f"Covariance{of}: {said}." for of, said in _said(fits, lambda fit: fit.covariance_note)]
    for name, fit in fits.items():
        notes += _of_one(name, fit)
    return notes + (_of_the_criteria(fits) if CRITERIA & set(facts) else [])


def _of_the_numbers(fits: Fits, exponents: Mapping[str, bool], statistic: str | None, level: float) -> list[str]:
    tests = sorted({"t" if fit.use_t else "z" for fit in fits.values()}, reverse=True)
    what = {
        None: "",
        "se": "Standard errors in parentheses.",
        "t": f"{' or '.join(tests)} values in parentheses.",
        "p": "p-values in parentheses.",
        "ci": f"{100 * level:g}% confidence intervals in brackets.",
    }[statistic]
    changed = [name for name in fits if exponents[name]]
    if not changed:
        return [what] if what else []
    which = "" if len(changed) == len(fits) else f" in {', '.join(changed)}"
    how = {
        None: "",
        "se": ", with standard errors by the delta method",
        "t": ", with the tests of coef",
        "p": ", with the tests of coef",
        "ci": ", with exp() of the ends of the interval of coef",
    }[statistic]
    return [*([what] if what else []), f"exp(coef){which}{how}."]


def _said(fits: Fits, say: Callable[[Any], str]) -> list[tuple[str, str]]:
    """Each sentence once, with the columns that it is about where these are not all."""
    about: dict[str, list[str]] = {}
    for name, fit in fits.items():
        about.setdefault(say(fit), []).append(name)
    return [("" if len(names) == len(fits) else f" of {', '.join(names)}", said) for said, names in about.items()]


def _of_one(name: str, fit: Any) -> list[str]:
    notes = []
    if fit.penalty_note:
        notes.append(f"{name} is penalised: {fit.penalty_note}.")
    if not fit.converged:
        notes.append(f"{name} has not converged: {fit.status}")
    if fit.infinite:
        ends = ", ".join(f"{coef} -> {sign}inf" for coef, sign in fit.infinite.items())
        notes.append(f"{name} is separated: some responses are predicted perfectly, so that {ends}.")
    if fit.aliased:
        terms = "; ".join(f"{coef} = {' + '.join(partners) or '0'}" for coef, partners in fit.aliased.items())
        notes.append(f"{name}: {len(fit.aliased)} not defined because of singularities (-): {terms}.")
    return notes


def _of_the_criteria(fits: Fits) -> list[str]:
    without = [name for name, fit in fits.items() if math.isnan(fit.llf)]
    notes = [f"{', '.join(without)}: the family has no likelihood, AIC and BIC are not defined."] if without else []
    several = {
        "responses": len({str(fit.model.endog_names) for fit in fits.values()}) > 1,
        "numbers of observations": len({float(fit.nobs) for fit in fits.values()}) > 1,
    }
    if any(several.values()):
        differ = " and ".join(what for what, differs in several.items() if differs)
        notes.append(f"The fits differ in their {differ}: likelihoods, AIC and BIC do not compare.")
    return notes
