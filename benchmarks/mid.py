"""Data of the usual size, where fixed costs begin to show."""

from __future__ import annotations

from benchmarks.contest import Contest
from benchmarks.problem import Problem
from benchmarks.report import Options, Section

CONTEST = Contest(
    Problem("poisson", rows=50_000, numeric=20),
    targets={"glum": 2, "statsmodels": 10},
    others=("glum-tight", "glum-fit", "sklearn", "pyfixest", "R"),
)


def run(options: Options) -> list[Section]:
    return [CONTEST.run(options)]
