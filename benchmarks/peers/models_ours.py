from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant
from benchmarks.problem import Problem


class Ours(Contestant):
    package = "torchglm"

    def check(self, problem: Problem) -> None:
        pass

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        fitted = function_of(problem)(problem.formula, frame)
        return fitted, fitted.params, fitted.bse

    def answer(self, fitted: Any) -> Answer:
        _, params, bse = fitted
        return Answer(list(params.index), np.asarray(params), np.asarray(bse))


def function_of(problem: Problem) -> Any:
    from torchglm.classes import multinomial, ordinal
    from torchglm.counts import zero_inflated
    from torchglm.negative_binomial import negative_binomial

    functions = (negative_binomial, ordinal, multinomial, zero_inflated)
    return next(function for function in functions if function.__name__ == problem.family)
