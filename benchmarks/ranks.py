"""How much faster are two processes than one, each with one thread, on the same rows?"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness import ROOT, TIME_LIMIT
from benchmarks.problem import Problem
from benchmarks.report import Options, Section, number

MUST = 1.8
WORLDS = (1, 2)
PROBLEMS = (
    Problem("poisson", rows=4_000_000, numeric=20),
    Problem("binomial", rows=4_000_000, numeric=10, levels=(5, 12, 50, 200)),
)
COLUMNS = [
    "processes",
    "runs",
    "seconds",
    "times faster",
    "passes",
    "all-reduces",
    "KB sent a fit",
    "KB of the largest",
    "coefficients",
    "SEs",
]


@dataclass(frozen=True)
class Ran:
    """What the first of some processes measured; `bytes` are those of every sum over the processes of one fit."""

    seconds: list[float]
    passes: int
    bytes: list[int]
    params: list[float]
    bse: list[float]


def run(options: Options) -> list[Section]:
    return [section(problem.quick() if options.quick else problem, options) for problem in PROBLEMS]


def section(problem: Problem, options: Options) -> Section:
    found = {world: together(world, problem, 2 if options.quick else options.repeats) for world in WORLDS}
    one = found[1]
    lines = [line(world, ran, one) for world, ran in found.items()]
    ratio = middle(one) / middle(found[2])
    remarks = [
        "seconds: median, from data frame to printed summary; every process has one thread and holds the frame, and "
        "all begin together.",
        "coefficients: max |b - b'| / max(|b'|, SE'); SEs: max |SE / SE' - 1|; the prime is one process.",
        f"at least {MUST} times faster: {'reached' if ratio >= MUST else 'missed'} ({number(ratio)} x)",
    ]
    return Section(problem.describe(), COLUMNS, lines, remarks)


def line(world: int, ran: Ran, one: Ran) -> list[str]:
    scale = [max(abs(b), se) for b, se in zip(one.params, one.bse, strict=True)]
    params = max(abs(a - b) / s for a, b, s in zip(ran.params, one.params, scale, strict=True))
    bse = max(abs(a / b - 1.0) for a, b in zip(ran.bse, one.bse, strict=True))
    return [
        str(world),
        str(len(ran.seconds)),
        number(middle(ran)),
        number(middle(one) / middle(ran)),
        str(ran.passes),
        str(len(ran.bytes)),
        number(sum(ran.bytes) / 1e3),
        number(max(ran.bytes, default=0) / 1e3),
        f"{params:.0e}",
        f"{bse:.0e}",
    ]


def middle(ran: Ran) -> float:
    return statistics.median(ran.seconds)


def together(world: int, problem: Problem, repeats: int) -> Ran:
    """What `world` processes measured, started as torchrun starts them."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, socket.socket() as asked:
        home = Path(name)
        (home / "request.json").write_text(json.dumps({"problem": asdict(problem), "repeats": repeats}))
        asked.bind(("127.0.0.1", 0))
        port = asked.getsockname()[1]
        asked.close()
        ranks = [subprocess.Popen(command(home), cwd=ROOT, env=environment(rank, world, port)) for rank in range(world)]
        try:
            statuses = [process.wait(TIME_LIMIT) for process in ranks]
        finally:
            for process in ranks:
                process.kill()
        if any(statuses):
            raise RuntimeError(f"{world} processes ended with {statuses}")
        return Ran(**json.loads((home / "ran.json").read_text()))


def command(home: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.ranks_child", str(home)]


def environment(rank: int, world: int, port: int) -> dict[str, str]:
    torchrun = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
    named = {name: str(value) for name, value in torchrun.items()}
    return {**os.environ, **named, "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
