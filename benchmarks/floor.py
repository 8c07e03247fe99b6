"""How far is a whole fit from the least that a Newton fit must do: one pass for the slope, one for the curvature?"""

from __future__ import annotations

from benchmarks.dense import CONTEST
from benchmarks.harness import compete
from benchmarks.peers import OURS, load
from benchmarks.report import Options, Section, megabytes, number

MOST = 2.5


def run(options: Options) -> list[Section]:
    problem = CONTEST.problem.quick() if options.quick else CONTEST.problem
    outcomes = [compete(name, problem, options.plan()) for name in ("passes", "passes-separate", OURS)]
    least = outcomes[0].seconds
    rows = [
        [o.contestant, str(len(o.measured.seconds)), number(o.seconds), number(o.seconds / least), megabytes(o.beyond)]
        for o in outcomes
        if o.measured
    ]
    remarks = [f"{o.contestant}: {load(o.contestant).remark}" for o in outcomes[:2]]
    remarks += [f"{o.contestant}: {o.why}" for o in outcomes if not o.measured]
    ratio = outcomes[-1].seconds / least
    if ratio == ratio:
        fate = "reached" if ratio <= MOST else "missed"
        remarks.append(f"at most {MOST} x the floor: {fate} ({number(ratio)} x)")
    columns = ["work", "runs", "seconds", "ratio to the floor", "beyond frame MB"]
    return [Section(problem.describe(), columns, rows, remarks)]
