"""The tests of analysis of deviance: what a larger model explains beyond a smaller one, and how surprising that is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from torchglm.design.weights import Probability
from torchglm.errors import ConvergenceWarning, OptionError, UnknownNameError, did_you_mean
from torchglm.inference.computed import Computed
from torchglm.inference.covariance.kind import Model
from torchglm.inference.estimate import Estimate
from torchglm.inference.hypotheses.conditional import TermWald
from torchglm.inference.hypotheses.score import linear_predictor, score
from torchglm.inference.hypotheses.terms import ModelTerm, kept_columns
from torchglm.inference.record import Record
from torchglm.inference.submodel import Submodel, submodel

TESTS = {
    "F": "F = deviance / df / phi",
    "Chisq": "chi2 = deviance / phi",
    "Rao": "score statistic / phi",
    "Wald": "Wald chi2",
}
TWICE = "deviance = -2 logLik; the statistic is its change"  # of models of several linear predictors
ALIASES = {"f": "F", "chisq": "Chisq", "chi2": "Chisq", "lr": "Chisq", "lrt": "Chisq", "rao": "Rao", "score": "Rao"}


@dataclass(frozen=True)
class Tabled:
    """A table of tests: numbers, the name of the statistic, and what the reader must know."""

    title: str
    frame: pd.DataFrame
    statistic: str | None = None
    notes: tuple[str, ...] = ()


def is_robust(record: Record) -> bool:
    """Whether the covariance of a fit is another than the model's."""
    numbers = record.numbers
    if isinstance(numbers, Computed):
        return not isinstance(numbers.covariance_kind, Model)
    return not record.facts.covariance_note.startswith("model-based")


def estimates_phi(record: Record) -> bool:
    """Whether the dispersion was estimated."""
    numbers = record.numbers
    return numbers.dispersion.estimated if isinstance(numbers, Computed) else record.use_t


def resolve_test(record: Record, given: object, known: Iterable[str] = tuple(TESTS)) -> str:
    """The test that `given` names; None: F where phi is estimated, else chi2, and Wald's of a robust covariance.

    Raises: UnknownNameError; OptionError for a test that does not suit the fit.
    """
    wald = is_robust(record) and "Wald" in known
    has_f = record.use_t if wald else estimates_phi(record)
    if given is None:
        given = "F" if has_f else ("Wald" if wald else "Chisq")
    test = ALIASES.get(str(given).lower(), "Wald" if str(given).lower() == "wald" else None)
    if test is None or test not in known:
        raise UnknownNameError(f"There is no test {given!r} here. {did_you_mean(str(given), known)}")
    if test == "F" and not has_f:
        other = "Wald" if wald else "Chisq"
        raise OptionError(
            f'test="F" needs a dispersion that is estimated; here phi is {record.numbers.phi:g}. Say '
            f'test="{other}", or fit with dispersion="pearson".'
        )
    if test == "Rao":
        record.refuse_several("A score test")
    if test in ("Chisq", "Rao") and wald:
        raise OptionError(
            f"test={test!r} compares likelihoods and has no use for the covariance of this fit "
            f'({record.facts.covariance_note}). Say test="Wald", or fit.with_covariance("model").'
        )
    if not wald:
        refuse_zero_dispersion(record, f"test={test!r}")
    return test


def refuse_zero_dispersion(record: Record, what: str) -> None:
    """Nothing, where a statistic can be divided by phi.

    Raises: OptionError.
    """
    if record.numbers.phi == 0.0:
        raise OptionError(
            f"{what} divides by the dispersion, and that is zero: the fit leaves nothing of the response "
            f"{record.facts.response!r} unexplained. A constant or an exact function of the columns has no test."
        )


def refuse_without_likelihood(record: Record, estimate: Estimate | None, what: str) -> Estimate:
    """The estimate, where submodels of it can be fitted and their deviances compared.

    Raises: OptionError for a fit without data, under a penalty, or with sampling weights.
    """
    if estimate is None:
        raise OptionError(f"{what} needs the data, and this fit was loaded without its data. Fit it again.")
    if record.facts.penalty_note is not None:
        raise OptionError(
            f"{what} compares likelihoods, and this fit is under a penalty ({record.facts.penalty_note}). Say "
            'test="Wald" in anova(), or fit without penalty=.'
        )
    if isinstance(estimate.prepared.weights, Probability):
        raise OptionError(
            f"{what} compares likelihoods, and rows that were sampled with unequal probabilities (prob_weights=) have "
            "none. Use anova(fit), which tests with the sampling covariance, or fit.wald_test()."
        )
    return estimate


@dataclass
class Refits:
    """The submodels of an estimate by their terms, each fitted once and when it is asked for."""

    estimate: Estimate
    terms: tuple[ModelTerm, ...]
    known: dict[frozenset[ModelTerm], Submodel] = field(default_factory=dict)

    def of(self, kept: Iterable[ModelTerm]) -> Submodel:
        """The fit of these terms."""
        key = frozenset(kept)
        if key not in self.known:
            found = submodel(self.estimate, kept_columns(key, self.estimate.objective.layout.width))
            if not found.converged:
                labels = " + ".join(t.label for t in self.terms if t in key) or "no term"
                warnings.warn(
                    f"The refit to {labels} did not converge; its deviance is that of its last step.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            self.known[key] = found
        return self.known[key]


@dataclass(frozen=True)
class Step:
    """One row of a table: its label, and the terms of the two models compared."""

    label: str
    larger: tuple[ModelTerm, ...]
    smaller: tuple[ModelTerm, ...]


def p_value(test: str, statistic: float, df: float, df_residual: float | None) -> float:
    """The upper tail; NaN where nothing is tested."""
    from scipy import special

    if not df > 0 or math.isnan(statistic):
        return math.nan
    if test == "F":
        return float(special.fdtrc(df, df_residual, statistic))
    return float(special.chdtrc(df, statistic))


def deviance_rows(record: Record, refits: Refits, steps: list[Step], test: str) -> pd.DataFrame:
    """df, deviance, statistic and p.value of each step by the likelihoods of two submodels; residuals of the larger."""
    rows = []
    for step in steps:
        larger, smaller = refits.of(step.larger), refits.of(step.smaller)
        drop, df = smaller.totals.deviance - larger.totals.deviance, larger.rank - smaller.rank
        value = statistic(record, test, drop, df, lambda a=larger, b=smaller: between(a, b))
        rows.append(
            {
                "df": float(df),
                "deviance": drop if df else 0.0,
                "df.residual": larger.df_resid,
                "residual.deviance": larger.totals.deviance,
                "statistic": value,
                "p.value": p_value(test, value, df, record.df_resid),
            }
        )
    return pd.DataFrame(rows, index=pd.Index([step.label for step in steps], name="term"))


def between(larger: Submodel, smaller: Submodel) -> float:
    """Rao's statistic at phi = 1 of what a larger submodel has beyond a smaller one."""
    return score(larger.objective, linear_predictor(smaller.objective, smaller.theta)).value


def statistic(record: Record, test: str, drop: float, df: float, rao: Callable[[], float]) -> float:
    """The test's statistic from a drop in deviance; NaN on no degrees of freedom."""
    if not df > 0:
        return math.nan
    value = rao() if test == "Rao" else max(drop, 0.0)
    return value / record.numbers.phi / (df if test == "F" else 1.0)


def wald_rows(record: Record, estimate: Estimate | None, steps: list[Step], test: str) -> pd.DataFrame:
    """df, statistic and p.value of each step by the covariance of the whole fit."""
    wald = TermWald(record, estimate)
    rows = []
    for step in steps:
        chi2, df = wald.test(step.larger, step.smaller, step.label)
        value = chi2 / (df if test == "F" else 1.0) if df else np.nan
        rows.append({"df": float(df), "statistic": value, "p.value": p_value(test, value, df, record.reference_df)})
    return pd.DataFrame(rows, index=pd.Index([step.label for step in steps], name="term"))
