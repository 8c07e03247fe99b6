"""A logistic regression with more columns."""

from __future__ import annotations

from benchmarks.contest import Contest
from benchmarks.problem import Problem
from benchmarks.report import Options, Section

CONTEST = Contest(
    Problem("binomial", rows=1_000_000, numeric=50),
    targets={"statsmodels": 40, "glum": 6},
    others=("glum-tight", "glum-fit", "sklearn", "pyfixest", "R"),
)


def run(options: Options) -> list[Section]:
    return [CONTEST.run(options)]
