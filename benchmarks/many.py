"""Many small models: ours in one call, against loops of statsmodels' fits, each contestant in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import ROOT
from benchmarks.report import Options, Section, megabytes, number

OURS, FORMULAS, ARRAYS = "torchglm", "statsmodels, formulas", "statsmodels, arrays"
COLUMNS = ["contestant", "models", "runs", "seconds", "ratio to us", "must be", "peak MB", "coefficients", "SEs"]
LEGEND = [
    "seconds: median, from data frame to coefficients and standard errors of all models; where fewer are fitted, "
    "seconds are scaled up to all of them. Peak: resident memory of the process, data included.",
    "coefficients: max |b - b'| / SE'; SEs: max |SE / SE' - 1|; over the models of both, the prime is torchglm.",
]


@dataclass(frozen=True)
class Task:
    """`models` models of `rows` rows and `columns` numeric columns each; `part`: how many a loop fits of them."""

    kind: str  # "by" or "responses"
    family: str
    models: int
    rows: int
    columns: int
    part: int

    def quick(self) -> Task:
        return Task(self.kind, self.family, self.models // 20, self.rows, self.columns, max(self.part // 10, 10))


def compete(task: Task, remarks: Mapping[str, str], must: float, options: Options) -> Section:
    """The table of a task. The loop of formulas does the same from the same frame: it must take `must` times ours."""
    task = task.quick() if options.quick else task
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        home = Path(name)
        (home / "task.json").write_text(json.dumps({**asdict(task), "repeats": options.plan().repeats}))
        found = {who: measured(who, home) for who in (OURS, FORMULAS, ARRAYS)}
        answers = {who: dict(np.load(home / f"{place}.npz")) for place, who in enumerate(found)}
    ours = statistics.median(found[OURS]["seconds"])
    lines, ratios = [], {}
    for who, ran in found.items():
        seconds = statistics.median(ran["seconds"]) * task.models / ran["models"]
        ratios[who] = seconds / ours
        apart, errors = difference(answers[who], answers[OURS])
        cells = [who, f"{ran['models']:,}", str(len(ran["seconds"])), number(seconds)]
        cells += ["1" if who == OURS else number(ratios[who]), f">= {must:g}" if who == FORMULAS else ""]
        lines.append([*cells, megabytes(ran["peak"]), number(apart, 2), number(errors, 2)])
    fate = "reached" if ratios[FORMULAS] >= must else f"missed by a factor of {must / ratios[FORMULAS]:.2f}"
    verdict = f"{must:g} x a loop of statsmodels' fits: {fate} ({number(ratios[FORMULAS])} x)"
    heading = (
        f"{task.kind}: {task.models:,} {task.family} models, {task.rows} rows x {task.columns} numeric columns each"
    )
    notes = [f"{who}: {remark}" for who, remark in remarks.items()]
    return Section(heading, COLUMNS, lines, [*LEGEND, *notes, verdict])


def measured(who: str, home: Path) -> dict:
    place = (OURS, FORMULAS, ARRAYS).index(who)
    command = [sys.executable, "-m", "benchmarks.many_child", str(place), str(home)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{who} failed: {ran.stderr[-2000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def difference(theirs: dict[str, np.ndarray], ours: dict[str, np.ndarray]) -> tuple[float, float]:
    if theirs is ours:
        return float("nan"), float("nan")
    count = len(theirs["params"])
    params, bse = ours["params"][:count], ours["bse"][:count]
    both = np.isfinite(theirs["bse"]) & np.isfinite(bse)
    apart = np.abs(theirs["params"] - params) / bse
    return float(apart[both].max()), float(np.abs(theirs["bse"] / bse - 1.0)[both].max())
