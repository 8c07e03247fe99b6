"""Do time and memory grow no faster than the rows?"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness import Outcome, compete
from benchmarks.memory import available_bytes
from benchmarks.peers import OURS
from benchmarks.problem import Problem
from benchmarks.report import RESULTS, Options, Section, megabytes, number

ROWS = (10_000, 31_623, 100_000, 316_228, 1_000_000, 3_162_278, 10_000_000)
COLUMNS = (5, 20, 50, 200)
LARGEST_FRAME = 4 << 30
# Below, fixed costs bend the line: only the largest part of the sizes tells the exponent.
SLOPE_SIZES = 5


def run(options: Options) -> list[Section]:
    rows = tuple(count // 20 for count in ROWS[2:-2]) if options.quick else ROWS
    columns = COLUMNS[:2] if options.quick else COLUMNS
    return [section(name, rows, columns, options) for name in options.peers or (OURS,)]


def section(name: str, rows: tuple[int, ...], columns: tuple[int, ...], options: Options) -> Section:
    sizes = [(count, width) for width in columns for count in rows if fits(count, width)]
    outcomes = {
        size: compete(name, Problem("poisson", rows=size[0], numeric=size[1]), options.plan()) for size in sizes
    }
    done = {size: outcome for size, outcome in outcomes.items() if outcome.measured}
    lines = [line(size, outcome) for size, outcome in done.items()]
    remarks = [f"n = {n:,}, p = {p}: {o.why}" for (n, p), o in outcomes.items() if not o.measured]
    remarks += [slope(done, width) for width in columns]
    if done:
        folder = RESULTS if options.save else Path(tempfile.mkdtemp(prefix="benchmark-"))
        plot = draw(done, folder / f"growth-{name}.png")
        remarks.append(f"![growth]({plot.name})" if options.save else f"plot: {plot}")
    heading = f"{name}: poisson, numeric columns, seconds and memory beyond the frame against the rows"
    titles = ["p", "rows", "seconds", "ns per row and column", "beyond frame MB", "frame MB"]
    return Section(heading, titles, lines, remarks)


def fits(rows: int, columns: int) -> bool:
    """True where the frame keeps under 4 GB and under a third of the free memory."""
    return 8 * rows * (columns + 1) <= min(LARGEST_FRAME, available_bytes() // 3)


def line(size: tuple[int, int], outcome: Outcome) -> list[str]:
    n, p = size
    each = 1e9 * outcome.seconds / (n * p)
    frame = megabytes(8 * n * (p + 1))
    return [str(p), f"{n:,}", number(outcome.seconds), number(each), megabytes(outcome.beyond), frame]


def slope(done: dict[tuple[int, int], Outcome], width: int) -> str:
    """The exponents of n in seconds and in memory, by least squares on logs."""
    found = [(n, o.seconds, max(o.beyond, 1)) for (n, p), o in done.items() if p == width]
    points = sorted(found)[-SLOPE_SIZES:]
    if len(points) < 2:
        return f"p = {width}: too few sizes for a slope"
    log_n, log_s, log_b = np.log(np.array(points)).T
    time, memory = (float(np.polyfit(log_n, values, 1)[0]) for values in (log_s, log_b))
    since = f"n from {points[0][0]:,}"
    return f"p = {width}: seconds grow as n^{time:.2f}, memory beyond the frame as n^{memory:.2f} ({since})"


def draw(done: dict[tuple[int, int], Outcome], path: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for width in sorted({p for _, p in done}):
        sizes = sorted(n for n, p in done if p == width)
        left.loglog(sizes, [done[n, width].seconds for n in sizes], marker="o", label=f"p = {width}")
        right.semilogx(sizes, [done[n, width].beyond / 1e6 for n in sizes], marker="o", label=f"p = {width}")
    guide = np.array([min(n for n, _ in done), max(n for n, _ in done)])
    at = max(done, key=lambda size: math.prod(size))
    left.loglog(guide, done[at].seconds * guide / at[0], color="grey", linestyle=":", label="slope 1")
    left.set(xlabel="rows", ylabel="seconds")
    right.set(xlabel="rows", ylabel="MB beyond the frame")
    left.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
