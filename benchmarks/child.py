"""One contestant on one problem, in a process of its own: `python -m benchmarks.child REQUEST.json`."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

from benchmarks.contestant import Measured, Plan, Refused
from benchmarks.data import make_frame
from benchmarks.peers import load
from benchmarks.problem import Problem


def run(request: dict) -> Measured:
    problem = Problem(**{**request["problem"], "levels": tuple(request["problem"]["levels"])})
    try:
        contestant = load(request["contestant"])
        contestant.check(problem)
        return contestant.measure(problem, make_frame, Plan(**request["plan"]))
    except ModuleNotFoundError as error:
        raise Refused(f"not installed ({error})") from error


def write(measured: Measured, home: Path) -> None:
    answer = measured.answer
    np.savez(home / "answer.npz", names=np.array(answer.names), params=answer.params, bse=answer.bse)
    numbers = {"seconds": measured.seconds, "before": measured.before, "peak": measured.peak}
    (home / "numbers.json").write_text(json.dumps(numbers))


def main(path: str) -> int:
    warnings.filterwarnings("ignore")
    request = Path(path)
    try:
        write(run(json.loads(request.read_text())), request.parent)
    except Refused as refusal:
        (request.parent / "refused.txt").write_text(str(refusal))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
