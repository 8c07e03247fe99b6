from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant, Measured, Plan, Refused, require_memory
from benchmarks.data import TWEEDIE_POWER
from benchmarks.problem import Problem

FOLDER = Path(__file__).parent
FAMILIES = {
    "poisson": "poisson()",
    "binomial": "binomial()",
    "gamma": 'Gamma("log")',
    "tweedie": f"statmod::tweedie(var.power = {TWEEDIE_POWER}, link.power = 0)",
    "negative_binomial": "MASS::negative.binomial(1)",
}


class R(Contestant):
    """R's glm() and summary(), timed and weighed inside R; the data reach it as plain binary columns."""

    package = "R"
    remark = "glm() and summary(), timed inside R"

    def check(self, problem: Problem) -> None:
        if shutil.which("Rscript") is None:
            raise Refused("not installed")
        require_memory(problem, copies=5)

    def fit(self, problem: Problem, frame: pd.DataFrame) -> object:
        raise NotImplementedError("measured as a whole, inside R")

    def answer(self, fitted: object) -> Answer:
        raise NotImplementedError("measured as a whole, inside R")

    def measure(self, problem: Problem, make: Callable[[Problem], pd.DataFrame], plan: Plan) -> Measured:
        with tempfile.TemporaryDirectory(prefix="benchmark-r-") as name:
            home = Path(name)
            write_columns(problem, make(problem), home)
            (home / "problem.R").write_text(settings(problem, plan))
            run_script("glm.R", home)
            return read_back(home)


def run_script(script: str, home: Path) -> None:
    """Nothing: the script leaves its numbers in `home`. Raises: Refused, with what R said."""
    command = ["Rscript", "--vanilla", str(FOLDER / script), str(home), str(FOLDER)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise Refused("failed: " + " ".join(ran.stderr.split())[-200:])


def write_columns(problem: Problem, frame: pd.DataFrame, home: Path) -> None:
    for name in [*problem.numeric_names, "y", *(["exposure"] if problem.exposure else [])]:
        frame[name].to_numpy().astype(np.float64).tofile(home / f"{name}.double")
    for name in problem.factor_names:
        factor: Any = frame[name].cat
        (factor.codes.to_numpy().astype(np.int32) + 1).tofile(home / f"{name}.codes")
        (home / f"{name}.levels").write_text("\n".join(factor.categories) + "\n")


def settings(problem: Problem, plan: Plan) -> str:
    doubles = [*problem.numeric_names, "y", *(["exposure"] if problem.exposure else [])]
    offset = " + offset(log(exposure))" if problem.exposure else ""
    return "\n".join(
        [
            f"rows <- {problem.rows}",
            f"doubles <- c({', '.join(map(repr, doubles))})",
            f"factors <- c({', '.join(map(repr, problem.factor_names))})",
            f"formula <- {problem.formula}{offset}",
            f"family <- {FAMILIES.get(problem.family, 'NULL')}",
            f"dispersion <- {'NULL' if problem.has_dispersion else '1'}",
            f"repeats <- {plan.repeats}",
            f"budget <- {plan.budget}",
            f"print_summary <- {'TRUE' if plan.summary else 'FALSE'}",
            "",
        ]
    )


def read_back(home: Path) -> Measured:
    seconds = [float(line) for line in (home / "seconds.txt").read_text().split()]
    before, top = (1024 * int(line) for line in (home / "memory.txt").read_text().split())
    names = (home / "names.txt").read_text().splitlines()
    errors = home / "bse.bin"
    answer = Answer(names, np.fromfile(home / "params.bin"), np.fromfile(errors) if errors.exists() else np.empty(0))
    return Measured(seconds, before, top, answer)
