from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant, require_memory
from benchmarks.data import TWEEDIE_POWER
from benchmarks.problem import Problem


def family_of(problem: Problem) -> Any:
    import statsmodels.api as sm

    log = sm.families.links.Log()
    makers = {
        "poisson": lambda: sm.families.Poisson(),
        "binomial": lambda: sm.families.Binomial(),
        "gamma": lambda: sm.families.Gamma(link=log),
        "tweedie": lambda: sm.families.Tweedie(var_power=TWEEDIE_POWER, link=log),
        "negative_binomial": lambda: sm.families.NegativeBinomial(alpha=1.0),
    }
    return makers[problem.family]()


class Statsmodels(Contestant):
    package = "statsmodels"

    def check(self, problem: Problem) -> None:
        require_memory(problem, copies=4)

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        import statsmodels.formula.api as smf

        exposure = frame["exposure"] if problem.exposure else None
        fitted = smf.glm(problem.formula, data=frame, family=family_of(problem), exposure=exposure).fit()
        return fitted, fitted.params, fitted.bse

    def answer(self, fitted: Any) -> Answer:
        _, params, bse = fitted
        return Answer(list(params.index), np.asarray(params), np.asarray(bse))

    def summary(self, fitted: Any) -> str:
        return str(fitted[0].summary())
