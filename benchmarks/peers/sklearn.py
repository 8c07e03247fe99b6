from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant, Refused
from benchmarks.data import TWEEDIE_POWER
from benchmarks.problem import Problem


def estimator(problem: Problem) -> Any:
    from sklearn.linear_model import GammaRegressor, LogisticRegression, PoissonRegressor, TweedieRegressor

    makers = {
        "poisson": lambda: PoissonRegressor(alpha=0.0, solver="newton-cholesky"),
        "binomial": lambda: LogisticRegression(C=np.inf, solver="newton-cholesky"),
        "gamma": lambda: GammaRegressor(alpha=0.0, solver="newton-cholesky"),
        "tweedie": lambda: TweedieRegressor(power=TWEEDIE_POWER, link="log", alpha=0.0, solver="newton-cholesky"),
    }
    return makers[problem.family]()


class Sklearn(Contestant):
    """No formula and no standard errors: columns go in as the frame holds them."""

    package = "scikit-learn"
    remark = "newton-cholesky, alpha = 0; no formula, no standard errors"

    def check(self, problem: Problem) -> None:
        if problem.family == "negative_binomial":
            raise Refused("has no negative binomial")
        if problem.levels:
            raise Refused("has no formula: no factors")

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        return problem, estimator(problem).fit(frame[problem.numeric_names], frame["y"])

    def answer(self, fitted: Any) -> Answer:
        problem, model = fitted
        params = np.concatenate([np.ravel(model.intercept_), np.ravel(model.coef_)])
        return Answer(["Intercept", *problem.numeric_names], params, np.empty(0))
