"""One rank: `python worker.py FOLDER` answers every case, then the faults, and writes what it found to FOLDER/RANK."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent))

import cases  # noqa: E402
from formulaic.transforms.contrasts import SumContrasts  # noqa: E402

import torchglm as tg  # noqa: E402
from torchglm import checkpoint  # noqa: E402
from torchglm.errors import DataError, TorchGLMError  # noqa: E402
from torchglm.numerics.ranks import Ranks  # noqa: E402
from torchglm.numerics.sums import Sums  # noqa: E402


def raised(what: Callable[[], Any]) -> list[str]:
    try:
        what()
    except TorchGLMError as error:
        return [type(error).__name__, str(error), *getattr(error, "__notes__", [])]
    return []


def of_its_own(rank: int) -> None:
    """A pass in which the second rank alone finds something wrong in its rows."""

    def row_sums(block: Any) -> Sums:
        if rank == 1 and block.rows:
            raise DataError(f"row {block.start} is bad")
        return Sums({"one": torch.ones(3, dtype=torch.float64)})

    fit = tg.glm("count ~ a", cases.DATA, "poisson")
    fit.estimate.objective.design.sum(row_sums)


def before_a_sum(rank: int) -> None:
    """A block in which the second rank fails before it comes to the sum that the first one waits in."""
    design = tg.glm("count ~ a", cases.DATA, "poisson").estimate.objective.design
    with design.ranks.together("reading"):
        if rank == 1:
            raise DataError("rank 1 reads nothing")
        design.sum(lambda block: Sums({"rows": torch.tensor(float(block.rows), dtype=torch.float64)}))


def in_reading(rank: int) -> None:
    """Data that are bad on the second rank only."""
    data = cases.DATA.assign(count=cases.DATA["count"] - 1.0 * rank)
    tg.glm("count ~ a + no_such_column" if rank else "count ~ a", data, "poisson")


def _pick(rank: int, *each: Any) -> Any:
    return each[rank]


FIT = ("count ~ a + g", cases.DATA)
OTHER: dict[str, Callable[[int], Any]] = {  # what differs from rank to rank
    "family": lambda rank: tg.glm(*FIT, family=_pick(rank, "poisson", "gaussian")),
    "link": lambda rank: tg.glm(*FIT, "poisson", _pick(rank, "log", "sqrt")),
    "solver": lambda rank: tg.glm(*FIT, "poisson", solver=_pick(rank, "irls", "lbfgs")),
    "seed": lambda rank: tg.glm(*FIT, "poisson", solver=tg.SGD(seed=rank)),
    "start": lambda rank: tg.glm(*FIT, "poisson", start=[0.5, 0.0, 0.0, 0.01 * rank]),
    "stop": lambda rank: tg.glm(*FIT, "poisson", max_steps=50 + rank),
    "contrasts": lambda rank: tg.glm(*FIT, "poisson", contrasts=_pick(rank, None, {"g": SumContrasts()})),
    "subset": lambda rank: tg.glm(*FIT, "poisson", subset=np.arange(400) != 300 + rank),
    "missing": lambda rank: tg.glm("count ~ b", cases.DATA, "poisson", missing=_pick(rank, "drop", "raise")),
    "covariance": lambda rank: tg.glm(*FIT, "poisson", covariance=_pick(rank, "HC0", "HC1")),
    "dispersion": lambda rank: tg.glm(*FIT, "poisson", dispersion=_pick(rank, 1.0, "pearson")),
    "cluster": lambda rank: tg.glm(*FIT, "poisson", cluster=(np.arange(400) + 100 * rank) % 7),
    "cluster of another size": lambda rank: tg.glm(*FIT, "poisson", cluster=np.arange(400) % (7 + rank)),
    "model": lambda rank: tg.ordinal("grade ~ a", cases.DATA, link=_pick(rank, "logit", "probit")),
}


def files_of(folder: Path) -> dict[str, Callable[[int], Any]]:
    """What differs where ranks read Parquet files: which, in which order, and what is made of them."""
    paths = [folder / f"part {k}.parquet" for k in range(4)]

    def shifted(rank: int) -> Any:
        shift = 1.0 + rank  # noqa: F841 (the formula uses it)
        return tg.glm("count ~ I(a * shift)", tg.stream(paths), "poisson")

    return {
        "files of its own": lambda rank: tg.glm("count ~ a", tg.stream(paths[2 * rank : 2 * rank + 2]), "poisson"),
        "order of files": lambda rank: tg.glm("count ~ a", tg.stream(paths[:: 1 - 2 * rank]), "poisson"),
        "formula of a stream": lambda rank: tg.glm(f"count ~ {'ab'[rank]}", tg.stream(paths), "poisson"),
        "weights of a stream": lambda rank: tg.glm(
            "count ~ a", tg.stream(paths), "poisson", weights=_pick(rank, "w", "w + 1")
        ),
        "variable of a stream": shifted,
        "family of a stream": lambda rank: tg.glm(
            "count ~ a", tg.stream(paths), _pick(rank, "poisson", "quasipoisson")
        ),
    }


def killed(rank: int, folder: Path) -> None:
    """A fit whose second rank dies in the middle."""
    write = checkpoint.Checkpoint._write
    steps = []

    def dying(self: Any, trace: Any, theta: Any) -> None:
        write(self, trace, theta)
        steps.append(len(trace))
        if rank == 1 and len(steps) == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.Checkpoint._write = dying
    tg.glm(f"count ~ {cases.RIGHT}", cases.DATA, "poisson", solver="lbfgs", checkpoint=folder / "running")


def main(folder: Path) -> None:
    rank = Ranks.current().rank
    every = cases.EXACT | cases.ALONE | cases.SOLVERS
    found = {name: answer() for name, answer in every.items()}
    with cases.in_shares():
        shares = {name: every[name]() for name in cases.IN_SHARES}
        refused = {name: raised(cases.ALONE[name]) for name in cases.ALONE}
    other = cases.DATA.assign(a=cases.DATA["a"] * (1.0 + rank))
    errors = {
        "pass": raised(lambda: of_its_own(rank)),
        "reading": raised(lambda: in_reading(rank)),
        "reading before a sum": raised(lambda: before_a_sum(rank)),
        "other data": raised(lambda: tg.glm("count ~ a", other, "poisson")),
        "other formula": raised(lambda: tg.glm("count ~ a" if rank else "count ~ b", cases.DATA, "poisson")),
        "groups": raised(lambda: tg.glm("count ~ a", cases.DATA, "poisson", by="year")),
        "other call": raised(lambda: Ranks.current().gather(1, "this" if rank else "that")),
    }
    errors |= {f"other {name}": raised(lambda call=call: call(rank)) for name, call in OTHER.items()}
    errors |= {f"other {name}": raised(lambda call=call: call(rank)) for name, call in files_of(folder).items()}
    began = time.perf_counter()
    answer = {"found": found, "shares": shares, "refused": refused, "errors": errors}
    (folder / f"{rank}.json").write_text(json.dumps(answer))
    errors["killed"] = raised(lambda: killed(rank, folder))
    answer["seconds"] = time.perf_counter() - began
    (folder / f"{rank}.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
