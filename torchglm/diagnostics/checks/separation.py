"""Separation: coefficients without a finite maximum."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from torchglm.diagnostics.checks.check import Check, Finding, Subject
from torchglm.diagnostics.separation import LARGEST


@dataclass(frozen=True)
class Separation(Check, name="separation"):
    """Complete where some columns predict every response perfectly, quasi-complete where they predict some.

    Complete separation is the same as a deviance that goes to zero. Source: Albert & Anderson (1984), Biometrika 71.
    """

    def run(self, subject: Subject) -> Finding | str:
        family = subject.estimate.family
        if not family.kernel.ends:
            return f"the {family.name} likelihood has a maximum inside for any data"
        if subject.estimate.layout.width > LARGEST:
            return f"it is looked for up to {LARGEST:,} coefficients"
        infinite = subject.record.facts.infinite
        details = pd.DataFrame({"direction": pd.Series(infinite, dtype=object)})
        if not infinite:
            return Finding("Separation", "0 infinite", 0.0, math.nan, "none", False, details=details)
        complete = subject.is_perfect
        shown = ", ".join(f"{name} -> {sign}inf" for name, sign in list(infinite.items())[:6])
        shown += ", ..." if len(infinite) > 6 else ""
        what = "every response" if complete else "some responses"
        return Finding(
            "Separation",
            f"{len(infinite)} infinite",
            float(len(infinite)),
            math.nan,
            "complete" if complete else "quasi-complete",
            True,
            f"The columns predict {what} perfectly: {shown}. The estimates and standard errors of these mean nothing. "
            'Leave the separating column out, merge levels, or fit with penalty="firth".',
            details,
        )
