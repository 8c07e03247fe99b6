"""What follows a fit: robust covariances, influence, profile intervals and the bootstrap, each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.contestant import Answer, Plan
from benchmarks.harness import Outcome, compete, plain
from benchmarks.peers import OURS, load
from benchmarks.problem import Problem
from benchmarks.report import Options, Section, megabytes, number
from benchmarks.worker import REPLICATES

PROBLEM = Problem("poisson", rows=100_000, numeric=20)
SMALL = Problem("binomial", rows=2_000, numeric=10)
COVARIANCES = ("HC0", "HC1", "HC2", "HC3", "cluster")
MOST_PASSES = 2.0
BOOTSTRAP_TARGET = 30.0
ONE_THREAD = "statsmodels-1"
COLUMNS = ["work", "contestant", "runs", "computed", "seconds", "ratio to us", "peak MB", "beyond fit MB", "difference"]
LEGEND = [
    "seconds: median of the work alone, after a fit that is not timed. computed: how much of the work was done; where "
    "it is not all, seconds are scaled up. Peak: resident memory of the contestant's own process; beyond fit: less "
    "what was resident before the work.",
    "difference: the largest from torchglm's numbers; of standard errors relative to each, of an interval to its "
    "larger end, of influence to the largest of its column. Bootstraps differ by what they draw.",
]


@dataclass(frozen=True)
class Work:
    """What is asked of each fit; `parts`: who computes only so many replicates or parameters of it."""

    name: str
    parts: Mapping[str, int]

    def contestants(self, names: tuple[str, ...]) -> list[str]:
        """Those of the names; a loop of statsmodels' fits runs with one thread too, and the faster one counts."""
        loops = self.name == "bootstrap"
        return [who for name in names for who in ((name, ONE_THREAD) if loops and name == "statsmodels" else (name,))]

    def contestant(self, who: str) -> str:
        """What `load` knows it by."""
        return "/".join([who, self.name, *([str(self.parts[who])] if who in self.parts else [])])


WORKS = (
    Work("HC3", {}),
    Work("cluster", {}),
    Work("influence", {}),
    Work("profile", {"R": 2}),
    Work("bootstrap", {"statsmodels": 10, ONE_THREAD: 10, "R": 3}),
)
SMALL_BOOTSTRAP = Work("bootstrap", {})
QUICK_BOOTSTRAP = Work("bootstrap", {"statsmodels": 20, ONE_THREAD: 20, "R": 20})
EVERYBODY = (OURS, "statsmodels", "R")


def run(options: Options) -> list[Section]:
    names = options.choose(EVERYBODY)
    problem = PROBLEM.quick() if options.quick else PROBLEM
    bootstrap = QUICK_BOOTSTRAP if options.quick else SMALL_BOOTSTRAP
    sections = [contest(problem, WORKS, names, options.plan())]
    sections.append(costs(problem, options))
    sections.append(contest(SMALL, (bootstrap,), names, options.plan(), target=BOOTSTRAP_TARGET))
    return sections


def contest(
    problem: Problem, works: tuple[Work, ...], names: tuple[str, ...], plan: Plan, target: float | None = None
) -> Section:
    """A line for each work of each contestant; `target`: how many times faster than statsmodels' loop ours must be."""
    rows, notes = [], []
    for work in works:
        outcomes = {who: compete(work.contestant(who), problem, plan) for who in work.contestants(names)}
        ours = outcomes.get(OURS)
        rows += [line(problem, work, who, o, ours) for who, o in outcomes.items() if o.measured]
        notes += [note(work, who, o) for who, o in outcomes.items() if o.why or load(o.contestant).remark]
        if target and ours and "statsmodels" in outcomes:
            theirs = [outcomes[who].seconds for who in ("statsmodels", ONE_THREAD)]
            notes.append(verdict(float(np.nanmin(theirs)) / ours.seconds, target))
    return Section(problem.describe(), COLUMNS, rows, LEGEND + notes)


def line(problem: Problem, work: Work, who: str, outcome: Outcome, ours: Outcome | None) -> list[str]:
    measured = outcome.measured
    assert measured is not None
    known = ours.measured if ours else None
    part, whole = work.parts.get(who), problem.width if work.name == "profile" else REPLICATES
    noise = work.name == "bootstrap" and part is not None  # few replicates say nothing of the spread
    return [
        work.name,
        who,
        str(len(measured.seconds)),
        f"{part:,} of {whole:,}" if part else "all",
        number(outcome.seconds),
        number(outcome.seconds / ours.seconds) if ours and who != OURS else "1" if ours else "-",
        megabytes(measured.peak),
        megabytes(outcome.beyond),
        "-" if who == OURS or known is None or noise else number(apart(measured.answer, known.answer), 2),
    ]


def note(work: Work, who: str, outcome: Outcome) -> str:
    return f"{work.name}, {who}: {outcome.why or load(outcome.contestant).remark}."


def apart(answer: Answer, reference: Answer) -> float:
    """The largest difference over the names that both have; infinite where one has a number and the other has none."""
    theirs, ours = (dict(zip(map(plain, a.names), a.params, strict=True)) for a in (answer, reference))
    worst = float("nan")
    for name in ours.keys() & theirs.keys():
        a, b = theirs[name], ours[name]
        if not np.array_equal(np.isnan(a), np.isnan(b)):
            return float("inf")
        worst = np.fmax(worst, np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(b)))
    return float(worst)


def verdict(ratio: float, target: float) -> str:
    if ratio != ratio:
        return f"{target:g} x statsmodels' loop: not measured"
    fate = "reached" if ratio >= target else f"missed by a factor of {target / ratio:.2f}"
    return f"{target:g} x statsmodels' loop: {fate} ({number(ratio)} x)"


def costs(problem: Problem, options: Options) -> Section:
    """What each covariance costs in passes for gradient and curvature over the same rows."""
    outcome = compete("costs/" + ",".join(COVARIANCES), problem, options.plan())
    heading = f"{problem.describe()}: covariances in gradient-and-curvature passes"
    columns = ["work", "ms (median)", "ms (best)", "passes"]
    if outcome.measured is None:
        return Section(heading, columns, [], [outcome.why])
    answer = outcome.measured.answer
    median, best = (dict(zip(answer.names, laps, strict=True)) for laps in answer.params.T.tolist())
    one = median["pass"]
    rows = [[name, number(1e3 * median[name]), number(1e3 * best[name]), number(median[name] / one)] for name in median]
    worst = max(COVARIANCES, key=lambda name: median[name])
    ratio = median[worst] / one
    fate = "reached" if ratio <= MOST_PASSES else f"missed by a factor of {ratio / MOST_PASSES:.2f}"
    remarks = [
        f"{load(outcome.contestant).remark}.",
        f"each covariance: {len(outcome.measured.seconds)} runs, in turns.",
        f"at most {MOST_PASSES:g} passes: {fate} ({worst}: {number(ratio)})",
    ]
    return Section(heading, columns, rows, remarks)
