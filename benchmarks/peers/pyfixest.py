from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant, Refused
from benchmarks.problem import Problem


class Pyfixest(Contestant):
    """Factors are absorbed, so only the slopes of the numeric columns are compared."""

    package = "pyfixest"
    remark = "vcov='iid' without small-sample factors; factors, if any, are absorbed and only slopes compared"

    def check(self, problem: Problem) -> None:
        if problem.family not in ("poisson", "binomial"):
            raise Refused(f"has no {problem.family} family")
        if problem.levels and not problem.numeric:
            raise Refused("absorbs factors: no coefficients would be left")

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        from pyfixest.estimation import feglm, fepois
        from pyfixest.utils.utils import ssc

        bare = ssc(k_adj=False, G_adj=False)
        formula = "y ~ " + " + ".join(problem.numeric_names)
        if problem.levels:
            formula += " | " + " + ".join(problem.factor_names)
        if problem.family == "binomial":
            fitted = feglm(formula, frame, family="logit", vcov="iid", ssc=bare, copy_data=False, store_data=False)
        else:
            data = frame.assign(log_exposure=np.log(frame["exposure"])) if problem.exposure else frame
            offset = "log_exposure" if problem.exposure else None
            fitted = fepois(formula, data, vcov="iid", ssc=bare, offset=offset, copy_data=False, store_data=False)
        return fitted.coef(), fitted.se()

    def answer(self, fitted: Any) -> Answer:
        params, bse = fitted
        return Answer(list(params.index), np.asarray(params), np.asarray(bse))
