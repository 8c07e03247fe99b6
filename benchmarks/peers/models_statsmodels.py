from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant, require_memory
from benchmarks.problem import Problem

MOST_STEPS = 1_000  # far above the 35 that some of its models stop at


class Statsmodels(Contestant):
    package = "statsmodels"
    remark = (
        "smf.negativebinomial, OrderedModel, smf.mnlogit and ZeroInflatedPoisson, by Newton's method where that is its "
        f"default (mnlogit), else by BFGS with as many as {MOST_STEPS:,} steps"
    )

    def check(self, problem: Problem) -> None:
        require_memory(problem, copies=6)

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        fitted = FITS[problem.family](problem, frame)
        return problem, fitted, fitted.params, fitted.bse

    def answer(self, fitted: Any) -> Answer:
        problem, result, params, bse = fitted
        return ANSWERS[problem.family](result, params, bse)


def negative_binomial(problem: Problem, frame: pd.DataFrame) -> Any:
    import statsmodels.formula.api as smf

    return smf.negativebinomial(problem.formula, frame).fit(method="bfgs", maxiter=MOST_STEPS, disp=0)


def ordinal(problem: Problem, frame: pd.DataFrame) -> Any:
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    formula = problem.formula.replace("~ ", "~ 0 + ")
    return OrderedModel.from_formula(formula, frame, distr="logit").fit(method="bfgs", maxiter=MOST_STEPS, disp=0)


def multinomial(problem: Problem, frame: pd.DataFrame) -> Any:
    import statsmodels.formula.api as smf

    return smf.mnlogit(problem.formula, frame).fit(disp=0)


def zero_inflated(problem: Problem, frame: pd.DataFrame) -> Any:
    from statsmodels.discrete.count_model import ZeroInflatedPoisson

    x = frame[problem.numeric_names].copy()
    x.insert(0, "Intercept", 1.0)
    return ZeroInflatedPoisson(frame["y"], x, exog_infl=x).fit(method="bfgs", maxiter=MOST_STEPS, disp=0)


def with_log_theta(result: Any, params: pd.Series, bse: pd.Series) -> Answer:
    """alpha = 1 / theta as log(theta)."""
    alpha = params["alpha"]
    values = np.append(params.drop("alpha"), -np.log(alpha))
    errors = np.append(bse.drop("alpha"), bse["alpha"] / alpha)
    return Answer([*params.index.drop("alpha"), "log(theta)"], values, errors)


def with_cuts(result: Any, params: pd.Series, bse: pd.Series) -> Answer:
    """The first cut and the logs of their differences as cuts."""
    slopes, count = result.model.k_vars, result.model.k_levels - 1
    steps = np.exp(params.to_numpy()[slopes + 1 :])
    cuts = params.to_numpy()[slopes] + np.concatenate([[0.0], np.cumsum(steps)])
    jacobian = np.tril(np.ones((count, count))) * np.concatenate([[1.0], steps])
    covariance = np.asarray(result.cov_params())[slopes:, slopes:]
    errors = np.sqrt(np.diag(jacobian @ covariance @ jacobian.T))
    names = [*params.index[:slopes], *(f"{k}|{k + 1}" for k in range(count))]
    return Answer(names, np.append(params[:slopes], cuts), np.append(bse[:slopes], errors))


def by_class(result: Any, params: pd.DataFrame, bse: pd.DataFrame) -> Answer:
    names = [f"{place + 1}:{name}" for place in range(params.shape[1]) for name in params.index]
    return Answer(names, params.to_numpy().T.ravel(), bse.to_numpy().T.ravel())


def by_part(result: Any, params: pd.Series, bse: pd.Series) -> Answer:
    zeros = "inflate_"
    given = [str(name) for name in params.index]
    names = ["zero_" + name.removeprefix(zeros) if name.startswith(zeros) else "count_" + name for name in given]
    return Answer(names, params.to_numpy(), bse.to_numpy())


FITS = {
    "negative_binomial": negative_binomial,
    "ordinal": ordinal,
    "multinomial": multinomial,
    "zero_inflated": zero_inflated,
}
ANSWERS = {
    "negative_binomial": with_log_theta,
    "ordinal": with_cuts,
    "multinomial": by_class,
    "zero_inflated": by_part,
}
