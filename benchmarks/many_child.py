"""One contestant of many small models: `python -m benchmarks.many_child PLACE FOLDER`."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Plan, clock
from benchmarks.data import make_frame
from benchmarks.memory import peak
from benchmarks.problem import Problem

Answer = tuple[np.ndarray, np.ndarray]  # coefficients and standard errors (models, p)


def grouped(task: dict[str, Any]) -> tuple[str, pd.DataFrame]:
    """A formula, and a frame whose column `group` names the model of each row."""
    problem = Problem(task["family"], rows=task["models"] * task["rows"], numeric=task["columns"])
    frame = make_frame(problem)
    frame["group"] = np.repeat(np.arange(task["models"]), task["rows"])
    return problem.formula, frame


def wide(task: dict[str, Any]) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """A right-hand side, a frame of its columns, and one of negative binomial responses."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.normal(size=(task["rows"], task["columns"] - 1)))
    x.columns = [f"x{k}" for k in x]
    slopes = 0.3 * rng.normal(size=(x.shape[1], task["models"]))
    mean = np.exp(1.0 + 0.7 * rng.normal(size=task["models"]) + x.to_numpy() @ slopes)
    theta = np.exp(0.7 + 0.7 * rng.normal(size=task["models"]))
    counts = rng.poisson(mean * rng.gamma(theta, 1.0 / theta, size=mean.shape))
    return " + ".join(x), x, pd.DataFrame(counts, columns=[f"gene{k}" for k in range(task["models"])])


def ours_by(task: dict[str, Any]) -> Callable[[], Answer]:
    from torchglm import glm

    formula, frame = grouped(task)

    def fit() -> Answer:
        fits = glm(formula, frame, task["family"], by="group")
        return fits.params.to_numpy(), fits.bse.to_numpy()

    return fit


def formulas_by(task: dict[str, Any]) -> Callable[[], Answer]:
    import statsmodels.formula.api as smf

    formula, frame = grouped(task)
    some = frame[frame["group"] < task["part"]]

    def fit() -> Answer:
        fits = [smf.glm(formula, rows, family=family_of(task)).fit() for _, rows in some.groupby("group")]
        return np.stack([one.params for one in fits]), np.stack([one.bse for one in fits])

    return fit


def arrays_by(task: dict[str, Any]) -> Callable[[], Answer]:
    import statsmodels.api as sm

    _, frame = grouped(task)
    some = frame[frame["group"] < task["part"]]
    columns = [name for name in frame if name not in ("y", "group")]

    def fit() -> Answer:
        x, y, n = np.column_stack([np.ones(len(some)), some[columns]]), some["y"].to_numpy(), task["rows"]
        starts = range(0, len(some), n)
        fits = [sm.GLM(y[k : k + n], x[k : k + n], family=family_of(task)).fit() for k in starts]
        return np.stack([one.params for one in fits]), np.stack([one.bse for one in fits])

    return fit


def family_of(task: dict[str, Any]) -> Any:
    import statsmodels.api as sm

    return {"poisson": sm.families.Poisson, "binomial": sm.families.Binomial}[task["family"]]()


def ours_responses(task: dict[str, Any]) -> Callable[[], Answer]:
    from torchglm import negative_binomial

    right, frame, counts = wide(task)

    def fit() -> Answer:
        fits = negative_binomial(f"~ {right}", frame, responses=counts, information="joint")
        return fits.params.to_numpy(), fits.bse.to_numpy()

    return fit


def formulas_responses(task: dict[str, Any]) -> Callable[[], Answer]:
    import statsmodels.formula.api as smf

    right, frame, counts = wide(task)

    def fit() -> Answer:
        some = counts.iloc[:, : task["part"]]
        fits = [smf.negativebinomial(f"y ~ {right}", frame.assign(y=some[name])).fit(**QUIETLY) for name in some]
        return np.stack([one.params[:-1] for one in fits]), np.stack([one.bse[:-1] for one in fits])

    return fit


def arrays_responses(task: dict[str, Any]) -> Callable[[], Answer]:
    import statsmodels.api as sm

    _, frame, counts = wide(task)

    def fit() -> Answer:
        x = np.column_stack([np.ones(len(frame)), frame])
        some = counts.iloc[:, : task["part"]].to_numpy().T
        fits = [sm.NegativeBinomial(y, x).fit(**QUIETLY) for y in some]
        return np.stack([one.params[:-1] for one in fits]), np.stack([one.bse[:-1] for one in fits])

    return fit


QUIETLY: dict[str, Any] = {"disp": 0, "maxiter": 200}
CONTESTANTS = {
    "by": (ours_by, formulas_by, arrays_by),
    "responses": (ours_responses, formulas_responses, arrays_responses),
}


def main(place: str, folder: str) -> int:
    warnings.filterwarnings("ignore")
    home = Path(folder)
    task = json.loads((home / "task.json").read_text())
    fit = CONTESTANTS[task["kind"]][int(place)](task)
    if place == "0":
        seconds, answer = clock(fit, Plan(task["repeats"]))
    else:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # of fits so small more threads make slower ones
            seconds, answer = clock(fit, Plan(min(task["repeats"], 3)))
    params, bse = answer  # type: ignore[misc]
    np.savez(home / f"{place}.npz", params=params, bse=bse)
    print(json.dumps({"seconds": seconds, "models": len(params), "peak": peak()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
