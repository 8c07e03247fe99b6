from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Measured, Plan, Refused, require_memory
from benchmarks.peers.r import read_back, run_script, settings, write_columns
from benchmarks.problem import Problem
from benchmarks.worker import Worker, with_firms

REMARKS = {
    "HC3": "sandwich::vcovHC(fit)",
    "cluster": "sandwich::vcovCL(fit)",
    "influence": "influence.measures(fit)",
    "profile": "confint(fit), which interpolates the profile",
    "bootstrap": "a loop of glm.fit on rows of the model matrix drawn with replacement",
}


class R(Worker):
    """The work inside R; `peers/inference.R` says how each is done there."""

    package = "R"
    remarks = REMARKS

    def check(self, problem: Problem) -> None:
        if shutil.which("Rscript") is None:
            raise Refused("not installed")
        require_memory(problem, copies=12)

    def fit(self, problem: Problem, frame: pd.DataFrame) -> object:
        raise NotImplementedError("measured as a whole, inside R")

    def do(self, fitted: object) -> object:
        raise NotImplementedError("measured as a whole, inside R")

    def answer(self, fitted: object) -> Answer:
        raise NotImplementedError("measured as a whole, inside R")

    def measure(self, problem: Problem, make: Callable[[Problem], pd.DataFrame], plan: Plan) -> Measured:
        with tempfile.TemporaryDirectory(prefix="benchmark-r-") as name:
            home = Path(name)
            frame = with_firms(make(problem))
            write_columns(problem, frame, home)
            frame["firm"].to_numpy().astype(np.float64).tofile(home / "firm.double")
            extra = f'doubles <- c(doubles, "firm")\nwork <- {self.work!r}\npart <- {self.part or self.replicates}\n'
            (home / "problem.R").write_text(settings(problem, plan) + extra)
            run_script("inference.R", home)
            found = read_back(home)
        seconds = [self.scale(problem) * lap for lap in found.seconds]
        names, values = found.answer.names, found.answer.params
        # One column a name, written column by column.
        answer = Answer(names, values.reshape(len(names), -1), np.empty(0))
        return Measured(seconds, found.before, found.peak, answer)
