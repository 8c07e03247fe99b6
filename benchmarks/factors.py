"""Claim counts with an exposure: five factors, some with rare levels, beside a few numeric columns."""

from __future__ import annotations

from benchmarks.contest import Contest
from benchmarks.problem import Problem
from benchmarks.report import Options, Section

CONTEST = Contest(
    Problem("poisson", rows=1_000_000, numeric=5, levels=(5, 12, 50, 200, 1000), exposure=True),
    targets={"glum": 6},
    others=("glum-tight", "glum-fit", "pyfixest", "statsmodels", "R"),
)


def run(options: Options) -> list[Section]:
    return [CONTEST.run(options)]
