"""A model a response: five thousand negative binomials over one design in one call, against loops over them."""

from __future__ import annotations

from benchmarks.many import ARRAYS, FORMULAS, Task, compete
from benchmarks.report import Options, Section

MUST = 50.0
TASK = Task("responses", "negative binomial", 5_000, 500, 6, 300)
REMARKS = {
    FORMULAS: "smf.negativebinomial(formula, frame).fit() for every response; its default, BFGS.",
    ARRAYS: "sm.NegativeBinomial(y, X).fit() on arrays made once, without a formula or names.",
}


def run(options: Options) -> list[Section]:
    return [compete(TASK, REMARKS, MUST, options)]
