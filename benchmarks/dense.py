"""A plain Poisson regression: many rows, a few numeric columns."""

from __future__ import annotations

from benchmarks.contest import Contest
from benchmarks.problem import Problem
from benchmarks.report import Options, Section

CONTEST = Contest(
    Problem("poisson", rows=1_000_000, numeric=20),
    targets={"statsmodels": 80, "glum": 12, "R": 50},
    others=("glum-tight", "glum-fit", "sklearn", "pyfixest"),
    beyond_mb=60,
)


def run(options: Options) -> list[Section]:
    return [CONTEST.run(options)]
