"""What a GPU does with ten times the work of the other tables, against our own two processor cores in the same run.

Needs a CUDA device, and of packages only those of torchglm itself. It touches no network.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks import dense, factors, wide_factors
from benchmarks.data import make_frame
from benchmarks.peers.ours import family_of
from benchmarks.problem import Problem
from benchmarks.report import Options, Section, number
from torchglm import glm
from torchglm.design.design import Design
from torchglm.objective.objective import Objective

TIMES = 10
MUST = 20.0
CORES = 2
GROUPS, GROUP_ROWS, GROUP_COLUMNS = 100_000, 200, 5
COPIED = 1 << 30
FITS = [
    *("work", "CPU, s", "GPU, s", "times faster", "must be", "of it upload, s", "passes", "GPU MB"),
    *("coefficients", "SEs"),
]
PASSES = ["pass", "bytes, MB", "ms", "GB/s", "of copy bandwidth"]


@dataclass(frozen=True)
class Work:
    """Something to fit: a frame, and what is asked for."""

    name: str
    frame: pd.DataFrame
    fit: Callable[[str], Any]  # of a device


def run(options: Options) -> list[Section]:
    if not torch.cuda.is_available():
        return [Section("gpu: not run, torch finds no CUDA device here", FITS, [], [])]
    return measured(torch.device("cuda"), options)


def measured(device: torch.device, options: Options) -> list[Section]:
    """The tables of a device. Any device will do, so that the script itself can be tried without a GPU."""
    glm("y ~ x", {"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 3.0]}, "poisson", device=device)  # its first use takes long
    repeats = 2 if options.quick else options.repeats
    rows, passes = [], []
    for problem in (dense.CONTEST.problem, factors.CONTEST.problem, wide_factors.CONTEST.problem):
        problem = problem.quick() if options.quick else replace(problem, rows=TIMES * problem.rows)
        work = regression(problem)
        theirs, row = compared(work, device, repeats)
        rows.append(row)
        passes += passes_of(work.name, theirs.estimate, device, repeats)
        del work, theirs
    rows.append(compared(groups(GROUPS // (200 if options.quick else 1)), device, repeats)[1])
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return [
        Section(
            f"gpu, {name}: from data frame to standard errors",
            FITS,
            rows,
            [
                f"CPU: {CORES} threads, the median of {min(repeats, 2)} fits; GPU: that of {repeats}, fed by "
                f"{torch.get_num_threads()} threads. One fit of each before is not counted.",
                "upload: the columns from the frame's memory to the device, measured by itself.",
                "coefficients: max |b - b'| / SE'; SEs: max |SE / SE' - 1|; the prime is the CPU's.",
            ],
        ),
        Section(
            "gpu: one pass over the rows",
            PASSES,
            passes,
            [
                "bytes: every column of the design once. Vectors of one number a row that a pass writes and reads "
                "again on its way are not counted, so that all of the bandwidth is out of reach.",
                f"copy bandwidth: {copy_bandwidth(device) / 1e9:,.0f} GB/s on the device, "
                f"{upload_bandwidth(device) / 1e9:,.1f} GB/s from pinned host memory to it, measured here. "
                "`streamed` passes leave the rows in host memory; their share is of the second.",
            ],
        ),
    ]


def regression(problem: Problem) -> Work:
    frame = make_frame(problem)
    exposure = "exposure" if problem.exposure else None

    def fit(device: str) -> Any:
        return glm(problem.formula, frame, family_of(problem), exposure=exposure, device=device)

    return Work(problem.describe(), frame, fit)


def groups(count: int) -> Work:
    """A Poisson regression a group."""
    problem = Problem("poisson", rows=count * GROUP_ROWS, numeric=GROUP_COLUMNS)
    frame = make_frame(problem)
    frame["group"] = np.repeat(np.arange(count), GROUP_ROWS)

    def fit(device: str) -> Any:
        return glm(problem.formula, frame, "poisson", by="group", device=device)

    return Work(f"by: {count:,} poisson fits of {GROUP_ROWS} rows x {GROUP_COLUMNS} numeric columns", frame, fit)


def compared(work: Work, device: torch.device, repeats: int) -> tuple[Any, list[str]]:
    """The fit of the CPU, and a line of the first table."""
    threads = torch.get_num_threads()
    torch.set_num_threads(CORES)
    theirs, slow = timed(lambda: work.fit("cpu"), torch.device("cpu"), min(repeats, 2))
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ours, fast = timed(lambda: work.fit(str(device)), device, repeats)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else float("nan")
    one = getattr(theirs, "estimate", None)  # of many fits there is none
    upload = float("nan")
    if one is not None:
        upload = timed(lambda: one.objective.design.to(device), device, repeats)[1]
    apart = np.nanmax(np.abs(np.asarray(ours.params - theirs.params)) / np.asarray(theirs.bse))
    errors = np.nanmax(np.abs(np.asarray(ours.bse / theirs.bse) - 1.0))
    return theirs, [
        work.name,
        number(slow),
        number(fast),
        number(slow / fast),
        f">= {MUST:g}",
        number(upload),
        str(ours.passes) if one is not None else "-",
        number(peak / 1e6),
        number(apart, 2),
        number(errors, 2),
    ]


def passes_of(name: str, estimate: Any, device: torch.device, repeats: int) -> list[list[str]]:
    """The lines of the second table: passes over the rows on the device, and over rows that stay with the host."""
    held, theta = estimate.objective.design, estimate.solution.theta.to(device)
    there = Objective(held.to(device), estimate.objective.likelihood)
    inside, across = copy_bandwidth(device), upload_bandwidth(device)
    lines = [
        line(f"{name}: gradient", there.design, lambda: there.slope(theta), device, repeats, inside),
        line(f"{name}: curvature", there.design, lambda: there.quadratic(theta), device, repeats, inside),
    ]
    if estimate.objective.layout.columns[0].dense.width > 10:
        rough = replace(there, precision="tf32")
        lines.append(line("the same in tf32", there.design, lambda: rough.quadratic(theta), device, repeats, inside))
    streamed = replace(there, design=held.streamed(device))
    lines.append(line("gradient, streamed", held, lambda: streamed.slope(theta), device, repeats, across))
    return lines


def line(
    name: str, design: Design, work: Callable[[], Any], device: torch.device, repeats: int, bandwidth: float
) -> list[str]:
    seconds = timed(work, device, max(repeats, 5))[1]
    rate = design.bytes / seconds
    return [name, number(design.bytes / 1e6), number(1e3 * seconds), number(rate / 1e9), f"{rate / bandwidth:.0%}"]


def timed(work: Callable[[], Any], device: torch.device, repeats: int) -> tuple[Any, float]:
    """What the work returns, and the median of its seconds; the first time is not counted."""
    seconds, found = [], None
    for _ in range(repeats + 1):
        found = None  # the memory of one is free before the next begins
        synchronize(device)
        began = time.perf_counter()
        found = work()
        synchronize(device)
        seconds.append(time.perf_counter() - began)
    return found, statistics.median(seconds[1:])


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def copy_bandwidth(device: torch.device) -> float:
    """Bytes a second that a copy on the device reads and writes."""
    size = COPIED if device.type == "cuda" else COPIED >> 6
    source, target = (torch.ones(size // 8, dtype=torch.float64, device=device) for _ in range(2))
    return 2 * size / timed(lambda: target.copy_(source), device, 10)[1]


def upload_bandwidth(device: torch.device) -> float:
    """Bytes a second from pinned host memory to the device."""
    size = COPIED if device.type == "cuda" else COPIED >> 6
    source = torch.ones(size // 8, dtype=torch.float64, pin_memory=device.type == "cuda")
    target = torch.empty(size // 8, dtype=torch.float64, device=device)
    return size / timed(lambda: target.copy_(source, non_blocking=True), device, 10)[1]
