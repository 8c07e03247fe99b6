"""A progress bar for long fits at a terminal; nothing for short ones, nor where nobody looks."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from torch import Tensor

SHORT = 2.0  # seconds without a bar

Trace = list[dict[str, float]]
Watch = Callable[[Trace, Tensor], None]


class Bar:
    """Watches a run: a tqdm bar of steps once it has lasted `SHORT` seconds."""

    def __init__(self) -> None:
        self.bar: Any = None

    def __call__(self, trace: Trace, theta: Tensor) -> None:
        last = trace[-1]
        if self.bar is None:
            if last["seconds"] < SHORT or not sys.stderr.isatty():
                return
            from tqdm import tqdm

            self.bar = tqdm(desc="fitting", unit=" steps", leave=False, initial=len(trace) - 1)
        self.bar.set_postfix_str(_distance(last))
        self.bar.update(1)

    def close(self) -> None:
        """Nothing; the line of the bar is cleared, if there was one."""
        if self.bar is not None:
            self.bar.close()


class Count:
    """Watches work of a known size: a tqdm bar once it has lasted `SHORT` seconds."""

    def __init__(self, what: str, total: int, unit: str = "it") -> None:
        self.what, self.total, self.unit = what, total, unit
        self.began, self.done = time.perf_counter(), 0
        self.bar: Any = None

    def __enter__(self) -> Count:
        return self

    def __call__(self, more: int) -> None:
        self.done += more
        if self.bar is None and time.perf_counter() - self.began > SHORT and sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(
                desc=self.what,
                total=self.total,
                unit=self.unit,
                unit_scale=True,
                leave=False,
                initial=self.done - more,
            )
        if self.bar is not None:
            self.bar.update(more)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


def _distance(last: dict[str, float]) -> str:
    """What is known of the way still to go: a solver that cannot tell shows its loss."""
    if math.isfinite(last["step_in_se"]):
        return f"next step {last['step_in_se']:.1e} standard errors"
    return f"loss {last['loss']:.8g}"
