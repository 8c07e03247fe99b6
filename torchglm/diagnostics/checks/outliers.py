"""Single rows: outliers by their studentized residuals, influential ones by Cook's distance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from torchglm.design.numbers import row_label
from torchglm.diagnostics.checks.check import LEVEL, Check, Finding, Subject, p_text

SHOWN = 10  # rows


@dataclass(frozen=True)
class Outliers(Check, name="outliers"):
    """The largest |studentized residual|, its p-value multiplied by the number of observations (Bonferroni).

    The p-value is that of t on (residual df - 1) df for a gaussian with the identity link, else normal.
    Source: car::outlierTest, as for lm and for glm.
    """

    def run(self, subject: Subject) -> Finding | str:
        from scipy import special

        estimate = subject.estimate
        values = subject.everywhere(subject.influence.rstudent)
        if not bool(values.notna().any()):
            return "no row has a studentized residual"
        size, known = values.abs().to_numpy(), values.notna().to_numpy()
        exact = estimate.family.name == "gaussian" and estimate.family.link.name == "identity"
        p = 2.0 * (special.stdtr(estimate.df_resid - 1.0, -size) if exact else special.ndtr(-size))
        bonferroni = np.minimum(1.0, p * subject.copies[known].sum())
        top = np.argsort(-np.nan_to_num(size, nan=-1.0), kind="stable")[: min(SHOWN, int(known.sum()))]
        details = pd.DataFrame({"rstudent": values, "p": p, "bonferroni": bonferroni}, index=values.index).iloc[top]
        first, adjusted = float(values.iloc[top[0]]), float(bonferroni[top[0]])
        many = int(subject.copies[bonferroni < LEVEL].sum())
        row = row_label(values.index, int(top[0]))
        return Finding(
            "Outliers",
            f"rstudent {first:.2f} (row {row}), {p_text(adjusted)}",
            first,
            adjusted,
            f"{many} outlier{'s' if many > 1 else ''}" if many else "none",
            many > 0,
            "A response lies further from its mean than the largest of that many should: look at the row before "
            "leaving it out. Several such rows mean a wrong variance, not wrong rows.",
            details,
        )


@dataclass(frozen=True)
class InfluentialRows(Check, name="influence"):
    """The largest Cook's distance, against the median of F(p, n - p).

    Beyond it a single row moves all coefficients to the edge of their joint 50% region.
    Source: Cook (1977), Technometrics 19; the line of stats::influence.measures.
    """

    def run(self, subject: Subject) -> Finding | str:
        influence = subject.influence
        distance, line = subject.everywhere(influence.cooks_distance), influence.half_way
        if not bool(distance.notna().any()) or math.isnan(line):
            return "no row has a Cook's distance"
        values = distance.to_numpy()
        top = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")[:SHOWN]
        beside = (subject.everywhere(measure) for measure in (influence.leverage, influence.rstudent))
        details = pd.concat([measure.iloc[top] for measure in (distance, *beside)], axis=1)
        largest, many = float(values[top[0]]), int(subject.copies[values > line].sum())
        verdict = f"{many} influential row{'s' if many > 1 else ''}" if many else "no row decides"
        return Finding(
            "Influence",
            f"Cook's distance {largest:.2g} (row {row_label(distance.index, int(top[0]))})",
            largest,
            math.nan,
            verdict,
            many > 0,
            f"Over {line:.2f} a row decides the result alone. Fit without it and compare; influence() shows which "
            "coefficients move.",
            details,
        )
