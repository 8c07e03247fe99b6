from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.contestant import Answer, Measured, Plan
from benchmarks.problem import Problem

ROOT = Path(__file__).resolve().parents[1]
TIME_LIMIT = 3600


@dataclass(frozen=True)
class Outcome:
    """What became of one contestant: its measurements, or why there are none."""

    contestant: str
    measured: Measured | None
    why: str = ""

    @property
    def seconds(self) -> float:
        return statistics.median(self.measured.seconds) if self.measured else float("nan")

    @property
    def beyond(self) -> int:
        """Bytes that the fit took on top of the frame and the imports."""
        return self.measured.peak - self.measured.before if self.measured else 0


@dataclass(frozen=True)
class Differences:
    """Largest differences from the reference: of coefficients over its max(|b|, SE), of SEs over its SE."""

    params: float
    bse: float


def compete(contestant: str, problem: Problem, plan: Plan, limit: int = TIME_LIMIT) -> Outcome:
    """The outcome of one contestant, run in a fresh process that is stopped after `limit` seconds."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        home = Path(name)
        request = {"contestant": contestant, "problem": asdict(problem), "plan": asdict(plan)}
        (home / "request.json").write_text(json.dumps(request))
        command = [sys.executable, "-m", "benchmarks.child", str(home / "request.json")]
        try:
            ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return Outcome(contestant, None, f"stopped after {limit:,} s")
        return read(contestant, home, ran)


def read(contestant: str, home: Path, ran: subprocess.CompletedProcess[str]) -> Outcome:
    if (home / "refused.txt").exists():
        return Outcome(contestant, None, (home / "refused.txt").read_text())
    if ran.returncode < 0:
        return Outcome(contestant, None, f"killed by signal {-ran.returncode} (9: out of memory, most likely)")
    if ran.returncode > 0:
        return Outcome(contestant, None, "failed: " + (ran.stderr.strip().splitlines() or ["no message"])[-1])
    numbers = json.loads((home / "numbers.json").read_text())
    with np.load(home / "answer.npz") as saved:
        answer = Answer([str(name) for name in saved["names"]], saved["params"], saved["bse"])
    return Outcome(contestant, Measured(answer=answer, **numbers))


def compare(answer: Answer, reference: Answer) -> Differences:
    """How far an answer is from the reference, over the coefficients that both have; NaN where there are none."""
    theirs = {plain(name): position for position, name in enumerate(answer.names)}
    ours = {plain(name): position for position, name in enumerate(reference.names)}
    shared = [name for name in ours if name in theirs]
    at, to = [theirs[name] for name in shared], [ours[name] for name in shared]
    if not shared or not reference.bse.size:
        return Differences(float("nan"), float("nan"))
    scale = np.maximum(np.abs(reference.params[to]), reference.bse[to])
    params = float(np.max(np.abs(answer.params[at] - reference.params[to]) / scale))
    if not answer.bse.size:
        return Differences(params, float("nan"))
    return Differences(params, float(np.max(np.abs(answer.bse[at] / reference.bse[to] - 1.0))))


def plain(name: str) -> str:
    """One spelling for `C(f1)[T.L01]`, `f1[L01]`, `f1L01`, and for every intercept."""
    return re.sub(r"C\(|[()\[\]]|T\.", "", name).replace("intercept", "Intercept")
