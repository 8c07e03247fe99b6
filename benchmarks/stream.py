"""Data larger than memory: is a streamed fit as fast as reading, and does its memory stay where it is?"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness import ROOT
from benchmarks.report import RESULTS, Options, Section, megabytes, number
from benchmarks.stream_child import FORMULA, LIMIT, NUMERIC

ROWS = (1_000_000, 5_000_000, 20_000_000, 50_000_000)
PIECE, GROUP = 1_000_000, 500_000  # rows of a file, and of its row groups
READING = 2  # passes over the files: levels, then everything used
MUST_PEAK, MUST_TIME, MUST_PASSES = 1e9, 3.0, 8

Measured = dict[str, float]


def run(options: Options) -> list[Section]:
    sizes = tuple(rows // 20 for rows in ROWS) if options.quick else ROWS
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder, found = Path(name), {}
        for before, rows in zip((0, *sizes), sizes, strict=False):
            write(folder, before, rows, min(PIECE, sizes[0]))
            repeats = options.plan().repeats if rows < sizes[-1] else min(options.plan().repeats, 3)
            found[rows] = tuple(measured(what, folder, repeats) for what in ("scan", "fit"))
        shutil.rmtree(folder, ignore_errors=True)
    return [section(found, options)]


def write(folder: Path, before: int, rows: int, piece: int) -> None:
    """Nothing; rows before..rows as files of `piece` rows, the same whatever the piece they are made in."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    beta = np.linspace(-0.1, 0.1, len(NUMERIC))
    regions = np.array([f"region {k:02d}" for k in range(20)])
    kinds = np.array([f"kind {k}" for k in range(6)])
    for start in range(before, rows, piece):
        rng = np.random.default_rng(start)
        x = rng.normal(size=(len(NUMERIC), piece))
        region, kind = rng.integers(0, 20, piece), rng.integers(0, 6, piece)
        y = rng.poisson(np.exp(-0.5 + beta @ x + 0.02 * region - 0.05 * kind))
        columns = {"y": y, **dict(zip(NUMERIC, x, strict=True)), "region": regions[region], "kind": kinds[kind]}
        pq.write_table(pa.table(columns), folder / f"{start:010d}.parquet", row_group_size=GROUP)


def measured(what: str, folder: Path, repeats: int) -> Measured:
    """The run of median seconds, with the largest memory of all runs."""
    command = [sys.executable, "-m", "benchmarks.stream_child", what, str(folder)]
    runs = []
    for _ in range(repeats):
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if ran.returncode:
            raise RuntimeError(f"{what} failed: {ran.stderr[-2000:]}")
        runs.append(json.loads(ran.stdout.splitlines()[-1]))
    middle = statistics.median_low(one["seconds"] for one in runs)
    return {**next(one for one in runs if one["seconds"] == middle), "peak": max(one["peak"] for one in runs)}


def section(found: dict[int, tuple[Measured, ...]], options: Options) -> Section:
    lines = []
    for rows, (scan, fit) in found.items():
        passes = READING + fit["passes"]
        share = fit["seconds"] / (scan["seconds"] * passes)
        cells = [f"{rows:,}", number(scan["seconds"]), number(fit["seconds"]), f"{passes:g}", number(share)]
        lines.append([*cells, number(1e9 * fit["seconds"] / rows), megabytes(fit["peak"])])
    titles = ["rows", "scan s", "fit s", "passes", "fit / (scan x passes)", "ns a row", "peak MB"]
    rows = list(found)
    _, fit = found[rows[-1]]
    passes = READING + fit["passes"]
    share = fit["seconds"] / (found[rows[-1]][0]["seconds"] * passes)
    slope = np.polyfit(np.log(rows), np.log([found[n][1]["seconds"] for n in rows]), 1)[0]
    peaks = [found[n][1]["peak"] for n in rows]
    remarks = [
        "scan: pyarrow decodes the columns used, once, in batches of 131,072 rows. fit: from the path to standard "
        "errors; its passes are two over the files and the rest over the encoded columns on disk. peak: resident "
        f"memory of the whole process, Python and torch included, with memory_limit={LIMIT!r}.",
        f"peak under {MUST_PEAK / 1e9:g} GB: {fate(fit['peak'] < MUST_PEAK)} ({megabytes(fit['peak'])} MB)",
        f"at most {MUST_TIME:g}x the scan times the passes: {fate(share <= MUST_TIME)} ({number(share)})",
        f"at most {MUST_PASSES} passes: {fate(passes <= MUST_PASSES)} ({passes:g})",
        f"seconds grow as n^{slope:.2f}; the largest peak is {max(peaks) / min(peaks):.2f} times the smallest",
    ]
    if options.save:
        remarks.append(f"![growth]({draw(found, RESULTS / 'stream-growth.png').name})")
    return Section(f"{FORMULA}, poisson, in Parquet files of a million rows", titles, lines, remarks)


def fate(reached: bool) -> str:
    return "reached" if reached else "missed"


def draw(found: dict[int, tuple[Measured, ...]], path: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = sorted(found)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    left.loglog(rows, [found[n][1]["seconds"] for n in rows], marker="o", label="fit")
    left.loglog(rows, [found[n][0]["seconds"] for n in rows], marker="o", label="one scan")
    guide = np.array([rows[0], rows[-1]])
    left.loglog(guide, found[rows[-1]][1]["seconds"] * guide / rows[-1], color="grey", linestyle=":", label="slope 1")
    right.semilogx(rows, [found[n][1]["peak"] / 1e6 for n in rows], marker="o")
    left.set(xlabel="rows", ylabel="seconds")
    right.set(xlabel="rows", ylabel="peak MB", ylim=(0, None))
    left.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
