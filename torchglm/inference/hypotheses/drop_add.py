"""Single terms dropped from a model and added to it: the tables of stats::drop1 and stats::add1.

AIC is that of the fit plus the change of

    n log(deviance / n)     gaussian, phi estimated
    deviance / phi          otherwise, phi that of the fit

and k for each parameter. R's F differs from anova's: its phi is deviance / df, of the fit in drop1 and of the larger
model in add1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from torchglm.families.exponential import Gaussian
from torchglm.inference import criteria
from torchglm.inference.hypotheses.term_tests import (
    TWICE,
    Refits,
    Tabled,
    between,
    estimates_phi,
    p_value,
    refuse_zero_dispersion,
    resolve_test,
)
from torchglm.inference.hypotheses.terms import ModelTerm
from torchglm.inference.record import Record
from torchglm.inference.submodel import Submodel
from torchglm.inference.vector import VectorRecord

NONE = "<none>"
KNOWN = ("F", "Chisq", "Rao")


def extract_aic(record: Record, k: float) -> float:
    """R's extractAIC: the fit's AIC with k for each coefficient; NaN where the family has no likelihood."""
    return criteria.aic(record) + (k - 2.0) * record.facts.rank


def minus_twice(record: Record, model: Submodel) -> float:
    """-2 log-likelihood of a submodel as drop1 and add1 have it, up to a constant."""
    deviance, n = model.totals.deviance, model.totals.n
    if isinstance(record.family, Gaussian) and estimates_phi(record):
        return n * math.log(deviance / n) if deviance > 0 else -math.inf
    refuse_zero_dispersion(record, "A change of AIC")
    return deviance / record.numbers.phi


def drop1(
    record: Record, refits: Refits, base: Sequence[ModelTerm], drop: Sequence[ModelTerm], test: object, k: float
) -> Tabled:
    """The table of the models that lack one of the terms.

    Raises: UnknownNameError, OptionError; what fitting the submodels raises.
    """
    models = {term.label: refits.of(t for t in base if t is not term) for term in drop}
    return _table("Single term deletions", "the fit", record, refits.of(base), models, test, k)


def add1(
    record: Record, refits: Refits, base: Sequence[ModelTerm], add: Sequence[ModelTerm], test: object, k: float
) -> Tabled:
    """The table of the models that have one of the terms more.

    Raises: UnknownNameError, OptionError; what fitting them raises.
    """
    models = {term.label: refits.of([*base, term]) for term in add}
    return _table("Single term additions", "the larger model", record, refits.of(base), models, test, k)


def _table(
    title: str, whose_phi: str, record: Record, base: Submodel, models: dict[str, Submodel], test: object, k: float
) -> Tabled:
    chosen = None if test is None else resolve_test(record, test, KNOWN)
    first, aic = minus_twice(record, base), extract_aic(record, k)
    rows = [{"df": math.nan, "deviance": base.totals.deviance, "aic": aic, "statistic": math.nan, "p.value": math.nan}]
    for model in models.values():
        df = abs(base.rank - model.rank)
        larger, smaller = (model, base) if model.rank > base.rank else (base, model)
        value = math.nan if chosen is None or not df else _statistic(record, chosen, larger, smaller, df)
        rows.append(
            {
                "df": float(df),
                "deviance": model.totals.deviance,
                "aic": aic + minus_twice(record, model) - first + k * (model.rank - base.rank),
                "statistic": value,
                "p.value": math.nan if chosen is None else p_value(chosen, value, df, larger.df_resid),
            }
        )
    frame = pd.DataFrame(rows, index=pd.Index([NONE, *models], name="term"))
    if chosen is None:
        frame = frame.drop(columns=["statistic", "p.value"])
    if math.isnan(aic):
        frame = frame.drop(columns="aic")
    return Tabled(title, frame, "LR" if chosen == "Chisq" else chosen, _notes(record, chosen, whose_phi))


def _statistic(record: Record, test: str, larger: Submodel, smaller: Submodel, df: float) -> float:
    if test == "F":
        drop = max(smaller.totals.deviance - larger.totals.deviance, 0.0)
        phi = larger.totals.deviance / larger.df_resid if larger.df_resid > 0 else math.nan
        return drop / df / phi if phi != 0.0 else math.nan
    if test == "Rao":
        return between(larger, smaller) / record.numbers.phi
    return max(minus_twice(record, smaller) - minus_twice(record, larger), 0.0)


def _notes(record: Record, test: str | None, whose_phi: str) -> tuple[str, ...]:
    if test is not None and isinstance(record, VectorRecord):
        return (TWICE,)
    phi = f"phi = {record.numbers.phi:.4g} ({record.facts.dispersion_kind})"
    gaussian = isinstance(record.family, Gaussian) and estimates_phi(record)
    likelihood = "LR = n log(deviance ratio)" if gaussian else f"LR = deviance / phi; {phi}"
    return {
        None: (),
        "F": (f"F as R's: phi = deviance / df of {whose_phi}, where anova() has {record.facts.dispersion_kind}",),
        "Chisq": (likelihood,),
        "Rao": (f"score statistic / phi; {phi}",),
    }[test]
