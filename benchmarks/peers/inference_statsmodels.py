from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Refused, require_memory
from benchmarks.peers.statsmodels import family_of
from benchmarks.problem import Problem
from benchmarks.worker import Worker, errors, named

REMARKS = {
    "HC3": "its HC3 of a GLM is HC0: the leverages are left out; computed without a refit",
    "cluster": "computed without a refit; the differences are those after its factor (n - 1) / (n - p) is taken out",
    "influence": "hat values, studentized residuals, Cook's distances and dfbetas, which are scaled by the standard "
    "errors of the whole fit; hat values and Cook's distances are compared",
    "bootstrap": "a loop of sm.GLM(y, X).fit() on arrays whose rows are drawn with replacement",
}


class Statsmodels(Worker):
    package = "statsmodels"
    remarks = REMARKS

    def check(self, problem: Problem) -> None:
        if self.work == "profile":
            raise Refused("has no profile intervals")
        require_memory(problem, copies=6)

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        import statsmodels.api as sm

        x = frame[problem.numeric_names].assign(Intercept=1.0)
        fitted = sm.GLM(frame["y"], x, family=family_of(problem)).fit(tol=1e-12)
        return fitted, frame["firm"].to_numpy(), problem

    def do(self, fitted: Any) -> Any:
        result, firm, problem = fitted
        if self.work == "influence":
            found = result.get_influence()
            return found.hat_matrix_diag, found.cooks_distance, found.resid_studentized, found.dfbetas
        if self.work == "bootstrap":
            return bootstrap(result, problem, self.replicates)
        groups = {"groups": firm} if self.work == "cluster" else None
        return sandwich(result, self.work, groups)

    def answer(self, fitted: Any) -> Answer:
        if self.work == "influence":
            hat, (cook, _), *_ = fitted
            return named(pd.DataFrame({"leverage": np.asarray(hat), "cooks_distance": np.asarray(cook)}))
        if self.work == "bootstrap":
            return named(fitted.std().to_frame().T)
        covariance, n = fitted
        p = len(covariance)
        return errors(covariance * ((n - p) / (n - 1) if self.work == "cluster" else 1.0))


class OneThread(Statsmodels):
    """The same with one thread for the linear algebra: small fits can be faster with it."""

    def __post_init__(self) -> None:
        self.remark = "the same with one thread for the linear algebra"

    def do(self, fitted: Any) -> Any:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return super().do(fitted)


def sandwich(result: Any, kind: str, options: dict[str, Any] | None) -> tuple[pd.DataFrame, int]:
    """A robust covariance of a fit that is there already, and the number of rows."""
    from statsmodels.genmod.generalized_linear_model import GLMResults

    plain = result._results
    args = plain.model, plain.params, plain.normalized_cov_params, plain.scale
    robust = GLMResults(*args, cov_type=kind, cov_kwds=options)
    names = result.params.index
    return pd.DataFrame(robust.cov_params(), index=names, columns=names), int(result.nobs)


def bootstrap(result: Any, problem: Problem, replicates: int) -> pd.DataFrame:
    """Coefficients, a row a replicate."""
    import statsmodels.api as sm

    x, y = result.model.exog, result.model.endog
    rng = np.random.default_rng(1)
    out = np.empty((replicates, x.shape[1]))
    for row in out:
        drawn = rng.integers(len(y), size=len(y))
        row[:] = sm.GLM(y[drawn], x[drawn], family=family_of(problem)).fit().params
    return pd.DataFrame(out, columns=result.params.index)
