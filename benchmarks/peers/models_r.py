from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks.contestant import Answer, Contestant, Measured, Plan, Refused, require_memory
from benchmarks.peers.r import read_back, run_script, settings, write_columns
from benchmarks.problem import Problem


class R(Contestant):
    """The model inside R; `peers/models.R` says how each is fitted there."""

    package = "R"
    remark = (
        "MASS::glm.nb, MASS::polr and nnet::multinom with Hess = TRUE (maxit = 1000) and pscl::zeroinfl, with summary()"
    )

    def check(self, problem: Problem) -> None:
        if shutil.which("Rscript") is None:
            raise Refused("not installed")
        require_memory(problem, copies=8)

    def fit(self, problem: Problem, frame: pd.DataFrame) -> object:
        raise NotImplementedError("measured as a whole, inside R")

    def answer(self, fitted: object) -> Answer:
        raise NotImplementedError("measured as a whole, inside R")

    def measure(self, problem: Problem, make: Callable[[Problem], pd.DataFrame], plan: Plan) -> Measured:
        with tempfile.TemporaryDirectory(prefix="benchmark-r-") as name:
            home = Path(name)
            write_columns(problem, make(problem), home)
            (home / "problem.R").write_text(settings(problem, plan) + f"model <- {problem.family!r}\n")
            run_script("models.R", home)
            return read_back(home)
