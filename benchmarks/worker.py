from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant, Measured, Plan, clock
from benchmarks.memory import peak, settle
from benchmarks.problem import Problem

REPLICATES = 1_000
FIRM_ROWS = 100


@dataclass
class Worker(Contestant):
    """A program that is asked for one work after its fit. `do` is timed; the fit is not.

    part  how many replicates or parameters are computed, where not all; the seconds are then scaled up to all
    """

    work: str
    part: int | None = None
    remarks: ClassVar[dict[str, str]] = {}

    def __post_init__(self) -> None:
        self.remark = self.remarks.get(self.work, "")

    def check(self, problem: Problem) -> None:
        pass

    @abstractmethod
    def do(self, fitted: object) -> object:
        """The work on a fit, computed anew at each call."""

    def measure(self, problem: Problem, make: Callable[[Problem], pd.DataFrame], plan: Plan) -> Measured:
        tiny = problem.tiny()
        self.do(self.fit(tiny, with_firms(make(tiny))))
        fitted = self.fit(problem, with_firms(make(problem)))
        before = settle()
        seconds, result = clock(lambda: self.do(fitted), plan)
        highest = peak()
        return Measured([self.scale(problem) * lap for lap in seconds], before, highest, self.answer(result))

    @property
    def replicates(self) -> int:
        return self.part or REPLICATES

    def scale(self, problem: Problem) -> float:
        """The whole work over what is computed of it."""
        whole = problem.width if self.work == "profile" else REPLICATES
        return whole / self.part if self.part else 1.0


def with_firms(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column of clusters beside, of about 100 rows each in no order."""
    codes = np.random.default_rng(len(frame)).integers(max(len(frame) // FIRM_ROWS, 2), size=len(frame))
    return frame.assign(firm=codes)


def named(frame: pd.DataFrame) -> Answer:
    """What a table holds, a name a column."""
    return Answer([str(name) for name in frame.columns], frame.to_numpy().T, np.empty(0))


def errors(covariance: pd.DataFrame) -> Answer:
    """Standard errors, under the names of the coefficients."""
    root = pd.DataFrame([np.sqrt(np.diag(covariance))], columns=covariance.columns)
    return named(root)
