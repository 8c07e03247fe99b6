from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.contestant import Answer, Plan
from benchmarks.harness import Differences, Outcome, compare, compete
from benchmarks.peers import OURS, load
from benchmarks.problem import Problem
from benchmarks.report import Options, Section, megabytes, number

COLUMNS = [
    "contestant",
    "fits",
    "seconds",
    "ratio to us",
    "must be",
    "peak MB",
    "beyond frame MB",
    "coefficients",
    "SEs",
]
LEGEND = [
    "seconds: median, from data frame and formula to standard errors. Peak: resident memory of the contestant's own "
    "process; beyond frame: less what was resident just before the fit.",
    "coefficients: max |b - b'| / max(|b'|, SE'); SEs: max |SE / SE' - 1|; the prime is {reference}.",
]


@dataclass(frozen=True)
class Contest:
    """A problem, who fits it, and how many times faster than each torchglm must be."""

    problem: Problem
    targets: Mapping[str, float]
    others: tuple[str, ...] = ()
    absent: tuple[tuple[str, str], ...] = ()
    beyond_mb: float | None = None
    peak_mb: float | None = None

    def run(self, options: Options) -> Section:
        problem = self.problem.quick() if options.quick else self.problem
        names = options.choose((OURS, *self.targets, *self.others))
        outcomes = [announce(name, problem, options.plan()) for name in names]
        return self.section(problem, outcomes)

    def section(self, problem: Problem, outcomes: list[Outcome]) -> Section:
        reference = choose_reference(outcomes)
        ours = next((o.seconds for o in outcomes if o.contestant == OURS), float("nan"))
        rows = [self.row(outcome, reference, ours) for outcome in outcomes if outcome.measured]
        missing = [f"{o.contestant}: {o.why}" for o in outcomes if not o.measured]
        missing += [f"{name}: {why}" for name, why in self.absent]
        legend = [line.format(reference=reference.contestant if reference else "nobody") for line in LEGEND]
        remarks = [(o.contestant, load(o.contestant).remark) for o in outcomes if o.measured]
        notes = [f"{name}: {remark}." for name, remark in remarks if remark]
        return Section(problem.describe(), COLUMNS, rows, legend + notes + missing + self.verdicts(outcomes, ours))

    def row(self, outcome: Outcome, reference: Outcome | None, ours: float) -> list[str]:
        measured = outcome.measured
        assert measured is not None
        target = self.targets.get(outcome.contestant)
        apart = differences(measured.answer, reference, outcome)
        return [
            outcome.contestant,
            str(len(measured.seconds)),
            number(outcome.seconds),
            number(outcome.seconds / ours) if outcome.contestant != OURS else "1",
            f">= {target:g}" if target else "",
            megabytes(measured.peak),
            megabytes(outcome.beyond),
            number(apart.params, 2),
            number(apart.bse, 2),
        ]

    def verdicts(self, outcomes: list[Outcome], ours: float) -> list[str]:
        """One line for each target that was measured: reached, or by how much it was missed."""
        lines = []
        for outcome in outcomes:
            target = self.targets.get(outcome.contestant)
            if target and outcome.seconds == outcome.seconds and ours == ours:
                ratio = outcome.seconds / ours
                fate = "reached" if ratio >= target else f"missed by a factor of {target / ratio:.2f}"
                lines.append(f"{target:g} x {outcome.contestant}: {fate} ({number(ratio)} x)")
        us = next((o for o in outcomes if o.contestant == OURS and o.measured), None)
        if us and us.measured and self.beyond_mb:
            lines.append(limit("memory beyond the frame", us.beyond, self.beyond_mb))
        if us and us.measured and self.peak_mb:
            lines.append(limit("peak memory", us.measured.peak, self.peak_mb))
        return lines


def announce(name: str, problem: Problem, plan: Plan) -> Outcome:
    if sys.stderr.isatty():
        print(f"{name} ...", file=sys.stderr)
    return compete(name, problem, plan)


def choose_reference(outcomes: list[Outcome]) -> Outcome | None:
    """Ours; where ours has no numbers, the most exact contestant with standard errors that has."""
    exact = {o.contestant: o for o in outcomes if o.measured and o.measured.answer.bse.size}
    return next((exact[name] for name in (OURS, "glum-tight", "statsmodels", *exact) if name in exact), None)


def differences(answer: Answer, reference: Outcome | None, outcome: Outcome) -> Differences:
    if reference is None or reference is outcome or reference.measured is None:
        return Differences(float("nan"), float("nan"))
    return compare(answer, reference.measured.answer)


def limit(what: str, found: float, allowed_mb: float) -> str:
    fate = "reached" if found / 1e6 < allowed_mb else "missed"
    return f"{what} under {allowed_mb:,.0f} MB: {fate} ({megabytes(found)} MB)"
