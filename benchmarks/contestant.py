from __future__ import annotations

import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.memory import available_bytes, peak, settle
from benchmarks.problem import Problem

WARM_UP_BELOW = 3.0


@dataclass(frozen=True)
class Answer:
    """Coefficients and standard errors under the names of the contestant; no errors is an empty array."""

    names: list[str]
    params: np.ndarray
    bse: np.ndarray


@dataclass(frozen=True)
class Measured:
    seconds: list[float]
    before: int
    peak: int
    answer: Answer


class Refused(Exception):
    """A contestant that does not run, and why."""


class Contestant(ABC):
    """A program that fits GLMs. `fit` is timed, all else is not."""

    package: str
    remark: str = ""

    @abstractmethod
    def check(self, problem: Problem) -> None:
        """Nothing, where the contestant has the model and the memory. Raises: Refused."""

    @abstractmethod
    def fit(self, problem: Problem, frame: pd.DataFrame) -> object:
        """The fit with everything up to standard errors computed."""

    @abstractmethod
    def answer(self, fitted: object) -> Answer: ...

    def summary(self, fitted: object) -> str:
        raise Refused("has no printed summary")

    def measure(self, problem: Problem, make: Callable[[Problem], pd.DataFrame], plan: Plan) -> Measured:
        """Seconds, memory and answer on the data that `make` builds, after a tiny fit, neither timed nor weighed."""
        action = self.fit_and_print if plan.summary else self.fit
        tiny = problem.tiny()
        action(tiny, make(tiny))
        frame = make(problem)
        before = settle()
        seconds, fitted = clock(lambda: action(problem, frame), plan)
        return Measured(seconds, before, peak(), self.answer(fitted))

    def fit_and_print(self, problem: Problem, frame: pd.DataFrame) -> object:
        fitted = self.fit(problem, frame)
        self.summary(fitted)
        return fitted


@dataclass(frozen=True)
class Plan:
    """How often to fit: `repeats` times, fewer once `budget` seconds are spent; and whether the summary is printed."""

    repeats: int = 5
    budget: float = 60.0
    summary: bool = False


def clock(action: Callable[[], object], plan: Plan) -> tuple[list[float], object]:
    """Seconds of each run, and the last result. The first run of a fast contestant is a warm-up and is left out."""
    first, result = stopwatch(action)
    seconds = [] if first < WARM_UP_BELOW and plan.repeats > 1 else [first]
    while len(seconds) < plan.repeats and (not seconds or sum(seconds) + seconds[-1] < plan.budget):
        del result  # two fits at a time would count twice in the peak
        lap, result = stopwatch(action)
        seconds.append(lap)
    return seconds, result


def stopwatch(action: Callable[[], object]) -> tuple[float, object]:
    gc.collect()
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def require_memory(problem: Problem, copies: float) -> None:
    """Nothing. Raises: Refused, where this many copies of the written-out model matrix exceed the free memory."""
    need = copies * problem.design_bytes
    if need > 0.8 * available_bytes():
        raise Refused(
            f"not run: its model matrix alone is {problem.design_bytes / 1e9:,.1f} GB, about {need / 1e9:,.0f} GB with "
            f"its working copies; {available_bytes() / 1e9:,.0f} GB are free"
        )
