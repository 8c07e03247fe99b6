"""Analysis of deviance of one fit, term by term.

Each row compares the model of some terms with the same model without one of them:

    type I      the terms up to it, in the formula's order       stats::anova.glm
    type II     all terms but those that contain it              car::Anova(type = "II")
    type III    all terms, as the factors are coded              car::Anova(type = "III")
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from torchglm.errors import OptionError
from torchglm.inference.estimate import Estimate
from torchglm.inference.hypotheses.term_tests import (
    TESTS,
    TWICE,
    Refits,
    Step,
    Tabled,
    deviance_rows,
    is_robust,
    refuse_without_likelihood,
    resolve_test,
    wald_rows,
)
from torchglm.inference.hypotheses.terms import ModelTerm, terms_of
from torchglm.inference.record import Record
from torchglm.inference.vector import VectorRecord

TYPES = {"1": "I", "2": "II", "3": "III", "I": "I", "II": "II", "III": "III"}


def anova(record: Record, estimate: Estimate | None, type: object, test: object) -> Tabled:
    """The analysis-of-deviance table of a fit.

    Raises: OptionError, UnknownNameError; what fitting its submodels raises.
    """
    kind = TYPES.get(str(type).upper())
    if kind is None:
        raise OptionError(f'type= is "I", "II" or "III" (or 1, 2, 3); got {type!r}.')
    chosen = resolve_test(record, test)
    terms = terms_of(record)
    wald = chosen == "Wald" or is_robust(record)
    several = isinstance(record, VectorRecord)  # whose constants are cuts, sizes and the like
    steps = steps_of(terms, kind, with_intercept=wald and not several)
    if not steps:
        raise OptionError(
            f"The model {record.facts.formula!r} has no term beside the intercept: there is nothing to test."
        )
    if wald:
        frame = wald_rows(record, estimate, steps, chosen)
    else:
        known = refuse_without_likelihood(record, estimate, "An analysis of deviance")
        refits = Refits(known, terms)
        frame = deviance_rows(record, refits, steps, chosen)
        if kind == "I":
            frame = pd.concat([_null_row(refits, steps[0].smaller), frame])
        else:
            frame = frame.loc[:, ["df", "deviance", "statistic", "p.value"]]
    frame.index.name = "term"
    what = "Wald tests" if wald else "Analysis of deviance"
    return Tabled(
        f"{what}, type {kind}", frame, "chi2" if chosen in ("Wald", "Chisq") else chosen, _notes(record, chosen)
    )


def steps_of(terms: Sequence[ModelTerm], kind: str, *, with_intercept: bool = False) -> list[Step]:
    """The models that each row of the table compares; the intercept is tested in Wald's type III only, as car does."""
    steps = []
    for k, term in enumerate(terms):
        if term.is_intercept and not (with_intercept and kind == "III"):
            continue
        if kind == "I":
            larger = tuple(terms[: k + 1])
        elif kind == "II":
            larger = tuple(t for t in terms if not term.is_margin_of(t))
        else:
            larger = tuple(terms)
        steps.append(Step(term.label, larger, tuple(t for t in larger if t is not term)))
    return steps


def _null_row(refits: Refits, null: Sequence[ModelTerm]) -> pd.DataFrame:
    model = refits.of(null)
    row = {"df": math.nan, "deviance": math.nan}
    row |= {"df.residual": model.df_resid, "residual.deviance": model.totals.deviance}
    return pd.DataFrame([row | {"statistic": math.nan, "p.value": math.nan}], index=["<null>"])


def _notes(record: Record, test: str) -> tuple[str, ...]:
    if is_robust(record):
        against = f"F = Wald chi2 / df on {record.reference_df:g} df" if test == "F" else "Wald chi2"
        return (f"{against}; covariance: {record.facts.covariance_note}",)
    if test == "Wald":
        return (f"Wald chi2; covariance: {record.facts.covariance_note}",)
    if isinstance(record, VectorRecord):
        return (TWICE,)
    phi = f"phi = {record.numbers.phi:.4g} ({record.facts.dispersion_kind})"
    return (f"{TESTS[test]}; {phi}" + (f" on {record.df_resid:g} df" if test == "F" else ""),)
