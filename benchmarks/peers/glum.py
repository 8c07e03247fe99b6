from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant
from benchmarks.data import TWEEDIE_POWER
from benchmarks.problem import Problem

FAMILIES = {
    "poisson": "poisson",
    "binomial": "binomial",
    "gamma": "gamma",
    "tweedie": f"tweedie ({TWEEDIE_POWER})",
    "negative_binomial": "negative.binomial (1.0)",
}


def regress(problem: Problem, frame: pd.DataFrame, gradient_tol: float | None = None) -> tuple[Any, np.ndarray | None]:
    from glum import GeneralizedLinearRegressor

    offset = np.log(frame["exposure"].to_numpy()) if problem.exposure else None
    link = "logit" if problem.family == "binomial" else "log"
    model = GeneralizedLinearRegressor(
        formula=problem.formula,
        family=FAMILIES[problem.family],
        link=link,
        alpha=0.0,
        drop_first=True,
        gradient_tol=gradient_tol,
    )
    return model.fit(frame, offset=offset), offset


def names_of(model: Any) -> list[str]:
    return ["Intercept", *model.feature_names_]


class Glum(Contestant):
    """SEs are model-based, with phi = 1 where the family has none: glum's default estimates it for a Poisson too."""

    package = "glum"
    gradient_tol: float | None = None
    remark = "fit and standard errors; its surplus factor sqrt(n / (n - p)) on the SEs is divided out before comparing"

    def check(self, problem: Problem) -> None:
        pass

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        model, offset = regress(problem, frame, self.gradient_tol)
        phi = None if problem.has_dispersion else 1.0
        bse = model.std_errors(frame, offset=offset, robust=False, dispersion=phi)
        return model, np.asarray(bse), len(frame)

    def answer(self, fitted: Any) -> Answer:
        model, bse, rows = fitted
        params = np.concatenate([[model.intercept_], model.coef_])
        return Answer(names_of(model), params, bse * np.sqrt((rows - params.size) / rows))


class GlumTight(Glum):
    remark = "the same with gradient_tol = 1e-8 in place of its default of 1e-4"
    gradient_tol = 1e-8


class GlumFit(Contestant):
    package = "glum"
    remark = "coefficients only"

    def check(self, problem: Problem) -> None:
        pass

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        model, _ = regress(problem, frame)
        return model

    def answer(self, fitted: Any) -> Answer:
        return Answer(names_of(fitted), np.concatenate([[fitted.intercept_], fitted.coef_]), np.empty(0))
