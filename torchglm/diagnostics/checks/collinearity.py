"""Collinearity: by how much each term's variance is inflated by the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from torchglm.diagnostics.checks.check import Check, Finding, Subject

SEVERE, MODERATE = 10.0, 5.0  # of a variance
LARGEST = 3_000  # coefficients, whose matrix of correlations is inverted


@dataclass(frozen=True)
class Collinearity(Check, name="collinearity"):
    """Generalized variance inflation factors, of the correlations of the estimates without the intercept.

    GVIF = det R_tt det R_oo / det R of a term t and the others o. For a term of one column it is the VIF; the square of
    GVIF^(1/(2 df)) compares terms of several columns with it.
    Source: Fox & Monette (1992), JASA 87; car::vif.
    """

    def run(self, subject: Subject) -> Finding | str:
        if subject.estimate.layout.width > LARGEST:
            return f"it is looked for up to {LARGEST:,} coefficients"
        table = variance_inflation(subject)
        if len(table) < 2:
            return "it takes two terms"
        worst = table["GVIF^(1/(2df))"].idxmax()
        size = float(table.loc[worst, "GVIF^(1/(2df))"])  # pyright: ignore[reportArgumentType]
        aliased = subject.record.facts.aliased
        verdict = "severe" if size**2 > SEVERE else "moderate" if size**2 > MODERATE else "low"
        advice = (
            f"The standard errors of {worst} are {size:.1f} times those of uncorrelated terms. Where terms belong "
            "together (x and its square, an interaction and its parts) this is no fault; else drop one or join them."
        )
        if aliased:
            verdict += f", {len(aliased)} aliased"
        number = f"largest GVIF^(1/2df) {size:.2f}"
        return Finding("Collinearity", number, size, math.nan, verdict, size**2 > SEVERE, advice, table)


def variance_inflation(subject: Subject) -> pd.DataFrame:
    """A row a term: GVIF, df and GVIF^(1/(2df)). Aliased coefficients and the intercept are left out."""
    record, estimate = subject.record, subject.estimate
    place = {name: k for k, name in enumerate(record.names)}
    terms: dict[str, list[int]] = {}
    for label, names in record.schema.term_names.items():
        kept = [place[name] for name in names if name != "Intercept" and not bool(estimate.aliased[place[name]])]
        if kept:
            terms[label] = kept
    order = [k for kept in terms.values() for k in kept]
    covariance = estimate.unscaled_covariance[order][:, order]
    errors = covariance.diagonal().sqrt()
    correlation = covariance / errors[:, None] / errors[None, :]
    # det R_oo / det R is the determinant of the term's block of R^-1.
    inverse = torch.linalg.inv(correlation) if order else correlation
    rows, start = {}, 0
    for label, kept in terms.items():
        part = slice(start, start + len(kept))
        factor = _det(correlation[part, part]) * _det(inverse[part, part])
        rows[label] = {"GVIF": factor, "df": len(kept), "GVIF^(1/(2df))": factor ** (0.5 / len(kept))}
        start += len(kept)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["GVIF", "df", "GVIF^(1/(2df))"])


def _det(matrix: Tensor) -> float:
    return float(torch.linalg.det(matrix))
