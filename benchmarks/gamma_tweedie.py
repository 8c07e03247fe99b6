"""Positive and zero-inflated amounts: gamma and Tweedie regressions with a log link."""

from __future__ import annotations

from benchmarks.contest import Contest
from benchmarks.problem import Problem
from benchmarks.report import Options, Section

TARGETS = {"statsmodels": 40, "glum": 6}
CONTESTS = [
    Contest(Problem(family, rows=1_000_000, numeric=20), TARGETS, others=("glum-tight", "glum-fit", "sklearn", "R"))
    for family in ("gamma", "tweedie")
]


def run(options: Options) -> list[Section]:
    return [contest.run(options) for contest in CONTESTS]
