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

import torch

torch.set_num_threads(1)
sys.path.insert(0, str(Path(__file__).parent))

import cases  # noqa: E402

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


def in_reading(rank: int) -> None:
    """Data that are bad on the second rank only."""
    data = cases.DATA.assign(count=cases.DATA["count"] - 1.0 * rank)
    tg.glm("count ~ a + no_such_column" if rank else "count ~ a", data, "poisson")


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
        "other data": raised(lambda: tg.glm("count ~ a", other, "poisson")),
        "other formula": raised(lambda: tg.glm("count ~ a" if rank else "count ~ b", cases.DATA, "poisson")),
        "groups": raised(lambda: tg.glm("count ~ a", cases.DATA, "poisson", by="year")),
        "other call": raised(lambda: Ranks.current().gather(1, "this" if rank else "that")),
    }
    began = time.perf_counter()
    answer = {"found": found, "shares": shares, "refused": refused, "errors": errors}
    (folder / f"{rank}.json").write_text(json.dumps(answer))
    errors["killed"] = raised(lambda: killed(rank, folder))
    answer["seconds"] = time.perf_counter() - began
    (folder / f"{rank}.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
