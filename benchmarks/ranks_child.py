"""One of the processes that fit a problem together: `python -m benchmarks.ranks_child FOLDER`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.data import make_frame
from benchmarks.problem import Problem
from torchglm import Fit, glm
from torchglm.numerics.ranks import Ranks


def main(home: Path) -> None:
    torch.set_num_threads(1)
    asked = json.loads((home / "request.json").read_text())
    given = asked["problem"]
    problem = Problem(**{**given, "levels": tuple(given["levels"])})
    ranks, frame = Ranks.current(), make_frame(problem)
    fitted(problem.tiny(), make_frame(problem.tiny()))
    seconds = []
    for _ in range(asked["repeats"]):
        ranks.gather(None, "beginning together")
        began = time.perf_counter()
        fit = fitted(problem, frame)
        seconds.append(time.perf_counter() - began)
    sent = counted(problem, frame)
    if ranks.rank == 0:
        facts = {"seconds": seconds, "passes": fit.record.facts.passes, "bytes": sent}
        answer = {**facts, "params": fit.params.tolist(), "bse": fit.bse.tolist()}
        (home / "ran.json").write_text(json.dumps(answer))


def fitted(problem: Problem, frame: object) -> Fit:
    fit = glm(problem.formula, frame, problem.family)
    str(fit.summary())
    return fit


def counted(problem: Problem, frame: object) -> list[int]:
    """The bytes of every sum over the processes of one fit."""
    sent: list[int] = []
    plain = Ranks.all_sum

    def counting(self: Ranks, flat: Tensor, doing: str = "") -> Tensor:
        if self.world > 1:
            sent.append(8 * flat.numel())
        return plain(self, flat, doing)

    Ranks.all_sum = counting  # type: ignore[method-assign]
    try:
        fitted(problem, frame)
    finally:
        Ranks.all_sum = plain  # type: ignore[method-assign]
    return sent


if __name__ == "__main__":
    main(Path(sys.argv[1]))
