"""Calibration of probabilities: the Hosmer-Lemeshow test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from torchglm.diagnostics.calibration import check_groups, group_of
from torchglm.diagnostics.checks.check import LEVEL, Check, Finding, Subject, p_text


@dataclass(frozen=True)
class Calibration(Check, name="calibration"):
    """Successes and failures observed against expected in `groups` of like fitted chances.

    sum (O - E)^2 / E over both and all groups, chi2 on (groups - 2) df; every trial counts as an observation.
    Source: Hosmer & Lemeshow (1980), Communications in Statistics A9; ResourceSelection::hoslem.test.
    """

    groups: int = 10

    def __post_init__(self) -> None:
        check_groups(self.groups)

    def run(self, subject: Subject) -> Finding | str:
        from scipy import special

        if subject.estimate.family.name != "binomial":
            return "the response is no chance; see calibration_curve()"
        if subject.is_sampled:
            return "the test under sampling weights is another"
        rows = subject.rows
        trials = rows.w * rows.copies
        group = group_of(rows, trials, self.groups)
        sums = {"n": trials, "observed": trials * rows.y, "expected": trials * rows.mu}
        held = np.unique(group)
        table = pd.DataFrame(
            {name: np.bincount(group, values)[held] for name, values in sums.items()},
            index=pd.RangeIndex(1, len(held) + 1, name="group"),
        )
        df = len(table) - 2
        if df < 1:
            return "there are fewer than three distinct groups of fitted chances"
        n, observed, expected = (table[name].to_numpy() for name in ("n", "observed", "expected"))
        if not bool(((expected > 0) & (expected < n)).all()):
            return "a group has fitted chances of 0 or 1"
        chi2 = float((((observed - expected) ** 2) * n / (expected * (n - expected))).sum())
        p = float(special.chdtrc(df, chi2))
        return Finding(
            "Calibration",
            f"chi2({df}) = {chi2:.2f}, {p_text(p)}",
            chi2,
            p,
            "chances are off" if p < LEVEL else "chances hold",
            p < LEVEL,
            "Fitted chances differ from what happened: calibration_curve() shows where. Look at the link and at the "
            "shape of numeric terms.",
            table,
        )
