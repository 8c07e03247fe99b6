from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant
from benchmarks.data import THETA, TWEEDIE_POWER
from benchmarks.problem import Problem


def family_of(problem: Problem) -> Any:
    from torchglm.families import Gamma, NegativeBinomial, Tweedie

    families = {
        "gamma": Gamma(link="log"),
        "tweedie": Tweedie(power=TWEEDIE_POWER, link="log"),
        "negative_binomial": NegativeBinomial(theta=THETA, link="log"),
    }
    return families.get(problem.family, problem.family)


class Ours(Contestant):
    package = "torchglm"

    def check(self, problem: Problem) -> None:
        pass

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        from torchglm import glm

        exposure = "exposure" if problem.exposure else None
        fitted = glm(problem.formula, data=frame, family=family_of(problem), exposure=exposure)
        return fitted, fitted.params, fitted.bse

    def answer(self, fitted: Any) -> Answer:
        _, params, bse = fitted
        return Answer(list(params.index), np.asarray(params), np.asarray(bse))

    def summary(self, fitted: Any) -> str:
        return str(fitted[0].summary())
