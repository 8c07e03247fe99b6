"""A model a group: ten thousand regressions in one call, against loops over the groups."""

from __future__ import annotations

from benchmarks.many import ARRAYS, FORMULAS, Task, compete
from benchmarks.report import Options, Section

MUST = 100.0
TASKS = tuple(Task("by", family, 10_000, 200, 5, 500) for family in ("poisson", "binomial"))
REMARKS = {
    FORMULAS: "smf.glm(formula, rows).fit() for every group of frame.groupby().",
    ARRAYS: "sm.GLM(y, X).fit() on slices of arrays made once, without a formula or names.",
}


def run(options: Options) -> list[Section]:
    return [compete(task, REMARKS, MUST, options) for task in TASKS]
