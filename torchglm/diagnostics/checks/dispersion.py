"""Overdispersion: more spread about the means than the family has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from torchglm.diagnostics.checks.check import LEVEL, Check, Finding, Subject, p_text
from torchglm.diagnostics.rows import Rows

MATERIAL = 0.05  # a share of the variance below which nobody needs to care, however many rows show it

REMEDIES = {
    "poisson": 'Say family="quasipoisson"; a negative binomial has room for a larger spread. ',
    "binomial": 'Say family="quasibinomial". ',
}


@dataclass(frozen=True)
class Overdispersion(Check, name="overdispersion"):
    """Pearson's X2 against chi2 on the residual df, and regression-based tests that do not need large means.

    For a Poisson those are Cameron and Trivedi's of Var = (1 + a) mu and Var = mu + a mu^2 (AER::dispersiontest with
    trafo = 1 and 2); for other families the mean of r^2 - 1 over its standard error, r the Pearson residual.
    Source: Cameron & Trivedi (1990), Journal of Econometrics 46.
    """

    def run(self, subject: Subject) -> Finding | str:
        from scipy import special

        family, record = subject.estimate.family, subject.record
        df = record.df_resid
        if family.has_dispersion or record.facts.use_t:
            return "phi is estimated"
        if subject.is_sampled:
            return "X2 under sampling weights is no chi2"
        if df <= 0:
            return "no degrees of freedom are left"
        rows = subject.rows
        if family.name == "binomial" and bool((rows.w == 1.0).all()):
            return "single trials have only one variance"
        chi2 = record.numbers.totals.pearson / record.numbers.phi
        ratio, above, below = chi2 / df, float(special.chdtrc(df, chi2)), float(special.chdtr(df, chi2))
        details = pd.DataFrame({"Pearson chi2 / df": {"statistic": chi2, "estimate": ratio, "p": above}}).T
        details = pd.concat([details, _regressions(rows, family.name)])
        smallest = float(details["p"].to_numpy().min())
        over = smallest < LEVEL and ratio > 1.0 + MATERIAL
        under = below < LEVEL and ratio < 1.0 - MATERIAL
        p = smallest if over else below if under else above
        verdict = "overdispersed" if over else "underdispersed" if under else "none"
        size = f"too {'small' if over else 'large'}, by a factor of about {math.sqrt(ratio):.2f}"
        advice = f"Standard errors are {size}. {REMEDIES.get(family.name, '')}Look for a missing term, or say "
        advice += 'dispersion="pearson".'
        number = f"chi2 / df = {ratio:.2f}, {p_text(p)}"
        return Finding("Overdispersion", number, chi2, p, verdict, over or under, advice, details)


def _regressions(rows: Rows, name: str) -> pd.DataFrame:
    """The one-sided tests, a row each: statistic (z), estimate (of a; of the mean of r^2 - 1), p."""
    from scipy import special

    found = {}
    if name == "poisson" and bool((rows.w == 1.0).all()):
        scaled = ((rows.y - rows.mu) ** 2 - rows.y) / rows.mu
        found["Var = (1 + a) mu"] = _slope(scaled, np.ones_like(scaled), rows.copies)
        found["Var = mu + a mu^2"] = _slope(scaled, rows.mu, rows.copies)
    else:
        found["mean of r^2 - 1"] = _slope(rows.pearson - 1.0, np.ones_like(rows.mu), rows.copies)
    table = pd.DataFrame(found, index=["statistic", "estimate"]).T
    return table.assign(p=special.ndtr(-table["statistic"]))


def _slope(y: np.ndarray, x: np.ndarray, copies: np.ndarray) -> tuple[float, float]:
    """The t value and the estimate of the least-squares regression of y on x alone."""
    xx, n = float(copies @ (x * x)), float(copies.sum())
    slope = float(copies @ (x * y)) / xx
    rest = float(copies @ (y - slope * x) ** 2) / (n - 1.0) if n > 1.0 else math.nan
    return (slope / math.sqrt(rest / xx) if rest > 0.0 else math.nan), slope
