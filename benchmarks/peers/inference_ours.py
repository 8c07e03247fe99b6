from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Measured, Plan
from benchmarks.memory import peak, settle
from benchmarks.problem import Problem
from benchmarks.worker import Worker, errors, named, with_firms

PASS = "pass"
SHORT_RUNS = 10  # runs of a few milliseconds for each repeat asked for


class Ours(Worker):
    package = "torchglm"

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        from torchglm import glm

        fit = glm(problem.formula, data=frame, family=problem.family)
        assert fit.bse.notna().all()  # what is computed late is computed here
        assert fit.deviance > 0
        return fit

    def do(self, fitted: Any) -> Any:
        if self.work == "influence":
            return fitted.influence()
        if self.work == "profile":
            return fitted.conf_int(method="profile").T
        if self.work == "bootstrap":
            return fitted.bootstrap(self.replicates)
        return covariance(fitted, self.work)

    def answer(self, fitted: Any) -> Answer:
        if self.work == "influence":
            return named(fitted.drop(columns="is_influential"))
        if self.work == "bootstrap":
            return named(fitted.bse.to_frame().T)
        return named(fitted) if self.work == "profile" else errors(fitted)


class Costs(Ours):
    """Seconds of each covariance and of a gradient-and-curvature pass, median and least, in turns in one process."""

    def __post_init__(self) -> None:
        self.remark = "a pass is objective.quadratic at the estimate: value, gradient and expected curvature"

    def measure(self, problem: Problem, make: Callable[[Problem], pd.DataFrame], plan: Plan) -> Measured:
        fitted = self.fit(problem, with_firms(make(problem)))
        estimate, kinds = fitted.estimate, self.work.split(",")
        works: dict[str, Callable[[], object]] = {
            PASS: lambda: estimate.objective.quadratic(estimate.solution.theta),
            **{kind: lambda kind=kind: covariance(fitted, kind) for kind in kinds},
        }
        before = settle()
        laps = in_turns(works, SHORT_RUNS * plan.repeats)
        table = np.array([[statistics.median(laps[name]), min(laps[name])] for name in works])
        return Measured(laps[PASS], before, peak(), Answer(list(works), table, np.empty(0)))


def covariance(fit: Any, kind: str) -> pd.DataFrame:
    cluster = "firm" if kind == "cluster" else None
    return fit.with_covariance(kind, cluster=cluster).cov_params()


def in_turns(works: Mapping[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Seconds of each run of each work, all works once a round; the first round is a warm-up."""
    laps: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(1 + runs):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            laps[name].append(time.perf_counter() - start)
    return {name: found[1:] for name, found in laps.items()}
