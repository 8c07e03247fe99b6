"""A textbook data set: are the fixed costs of a fit, and of a printed one, below those of statsmodels?"""

from __future__ import annotations

from benchmarks.contestant import Plan
from benchmarks.harness import Outcome, compete
from benchmarks.peers import OURS
from benchmarks.problem import Problem
from benchmarks.report import Options, Section, number

PROBLEM = Problem("poisson", rows=200, numeric=4, levels=(4,))
RUNS = 200


def run(options: Options) -> list[Section]:
    runs = RUNS // 10 if options.quick else RUNS
    names = options.choose((OURS, "statsmodels"))
    rows, remarks = [], []
    for work, plan in (("fit", Plan(repeats=runs)), ("fit + str(summary)", Plan(repeats=runs, summary=True))):
        outcomes = {name: compete(name, PROBLEM, plan) for name in names}
        ours = outcomes[OURS].seconds if OURS in outcomes else float("nan")
        rows += [line(work, outcome, ours) for outcome in outcomes.values() if outcome.measured]
        remarks += [f"{work}: {o.contestant}: {o.why}" for o in outcomes.values() if not o.measured]
        if "statsmodels" in outcomes and ours == ours:
            fate = "reached" if ours <= outcomes["statsmodels"].seconds else "missed"
            remarks.append(f"{work} no slower than statsmodels: {fate}")
    columns = ["work", "contestant", "ms (median)", "ms (best)", "ratio to us"]
    return [Section(f"{PROBLEM.describe()}; {runs} runs", columns, rows, remarks)]


def line(work: str, outcome: Outcome, ours: float) -> list[str]:
    assert outcome.measured is not None
    best = min(outcome.measured.seconds)
    ratio = number(outcome.seconds / ours)
    return [work, outcome.contestant, number(1e3 * outcome.seconds), number(1e3 * best), ratio]
