"""Models beside the GLM: negative binomials with theta, ordered and unordered classes, and zero-inflated counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from benchmarks.contest import differences
from benchmarks.harness import Outcome, compete
from benchmarks.peers import MODELS, OURS, load
from benchmarks.problem import Problem
from benchmarks.report import Options, Section, megabytes, number

MUST = 30.0  # times statsmodels' seconds
TIME_LIMIT = 1_800
COLUMNS = [
    "contestant",
    "rows",
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
    "seconds: median, from data frame to standard errors, of all rows; where rows are fewer, seconds are scaled up to "
    "all of them. Peak: resident memory of the contestant's own process; beyond frame: less what was resident just "
    "before the fit.",
    "coefficients: max |b - b'| / max(|b'|, SE'); SEs: max |SE / SE' - 1|; the prime is torchglm on the same rows. "
    "Sizes and cuts are among them, as log(theta) and as cuts, their SEs by the delta method where a contestant has "
    "others.",
    f"each contestant is stopped after {TIME_LIMIT:,} s.",
]


@dataclass(frozen=True)
class Model:
    """A problem; `parts`: who fits only one row in so many of it."""

    problem: Problem
    parts: Mapping[str, int] = field(default_factory=dict)

    def run(self, options: Options) -> Section:
        problem = self.problem.quick() if options.quick else self.problem
        parts = {} if options.quick else self.parts
        ours = {part: self._compete(OURS, problem, part, options) for part in {1, *parts.values()}}
        known = {part: outcome for part, outcome in ours.items() if outcome.measured}
        others = [name for name in options.choose((OURS, "statsmodels", "R")) if name != OURS]
        rows, notes = [], [] if 1 in known else [f"{OURS}: {ours[1].why}"]
        if 1 in known:
            rows.append(line(OURS, problem, 1, ours[1], ours[1], None))
        for name in others:
            part = parts.get(name, 1)
            outcome = self._compete(name, problem, part, options)
            if outcome.measured:
                rows.append(line(name, problem, part, outcome, ours[1], known.get(part)))
            notes += remarks(name, outcome, part)
            if name == "statsmodels":
                notes.append(verdict(outcome.seconds * part, ours[1].seconds, outcome.why))
        return Section(problem.describe(), COLUMNS, rows, LEGEND + notes)

    @staticmethod
    def _compete(name: str, problem: Problem, part: int, options: Options) -> Outcome:
        fewer = replace(problem, rows=problem.rows // part)
        return compete(f"{name}/{MODELS}", fewer, options.plan(), TIME_LIMIT)


MODELS_ASKED = (
    Model(Problem("negative_binomial", rows=1_000_000, numeric=20), {"R": 10}),
    Model(Problem("ordinal", rows=500_000, numeric=20), {"R": 5}),
    Model(Problem("multinomial", rows=500_000, numeric=20), {"R": 25}),
    Model(Problem("zero_inflated", rows=100_000, numeric=10)),
)


def run(options: Options) -> list[Section]:
    return [model.run(options) for model in MODELS_ASKED]


def line(name: str, problem: Problem, part: int, outcome: Outcome, ours: Outcome, same: Outcome | None) -> list[str]:
    """A row of the table; `same` is ours on the rows of this contestant."""
    measured = outcome.measured
    assert measured is not None
    seconds = outcome.seconds * part
    apart = differences(measured.answer, same, outcome)
    return [
        name,
        f"{problem.rows // part:,}",
        str(len(measured.seconds)),
        number(seconds),
        "1" if name == OURS else number(seconds / ours.seconds),
        f">= {MUST:g}" if name == "statsmodels" else "",
        megabytes(measured.peak),
        megabytes(outcome.beyond),
        number(apart.params, 2),
        number(apart.bse, 2),
    ]


def remarks(name: str, outcome: Outcome, part: int) -> list[str]:
    """What there is to say of a contestant."""
    if outcome.why:
        return [f"{name}: {outcome.why}."]
    scaled = f"; on one row in {part}, seconds and not memory scaled up" if part > 1 else ""
    return [f"{name}: {load(outcome.contestant).remark}{scaled}."]


def verdict(theirs: float, ours: float, why: str) -> str:
    what = f"{MUST:g} x statsmodels"
    if ours != ours or (theirs != theirs and "stopped after" not in why):
        return f"{what}: not measured"
    least = "" if theirs == theirs else "more than "
    ratio = (theirs if theirs == theirs else TIME_LIMIT) / ours
    fate = "reached" if ratio >= MUST else f"missed by a factor of {MUST / ratio:.2f}"
    return f"{what}: {fate} ({least}{number(ratio)} x)"
