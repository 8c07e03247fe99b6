"""What a check is: a question to a fit, whose answer is a number with a verdict in words."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from torchglm.design.among_ranks import of_own
from torchglm.design.weights import Probability
from torchglm.diagnostics.influence import Influence
from torchglm.diagnostics.rows import Rows, spread, used_rows
from torchglm.inference.estimate import Estimate
from torchglm.inference.prediction.distribution import COUNTS
from torchglm.inference.record import Record
from torchglm.numerics.registry import Registry

FEWEST = 5.0  # observations a coefficient below which fitted means follow their rows
LEVEL = 0.05  # p-values below it are a concern

CHECKS: Registry[Check] = Registry("check")


@dataclass(frozen=True)
class Finding:
    """What a check found. `number` is what the page shows, `verdict` says it in words, `advice` what to do.

    `p` is NaN where there is no test; `details` holds the numbers behind the verdict.
    """

    title: str
    number: str
    statistic: float
    p: float
    verdict: str
    concern: bool
    advice: str = ""
    details: pd.DataFrame | None = None

    @property
    def ok(self) -> bool:
        """Whether there is nothing to worry about."""
        return not self.concern

    def __str__(self) -> str:
        head = f"{self.title}: {self.verdict} ({self.number})."
        return f"{head} {self.advice}" if self.concern and self.advice else head


class Check(ABC):
    """A question to a fit.

    One of your own is a frozen dataclass with `run`, registered by `class Mine(Check, name="mine")`; `fit.check()` then
    asks it too.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        if name is not None:
            cls.name = name
            CHECKS.add(name, cls)

    @abstractmethod
    def run(self, subject: Subject) -> Finding | str:
        """The finding, or a phrase that says why the check does not apply to this fit."""


@dataclass(frozen=True, eq=False)
class Subject:
    """The fit that is checked: its record and estimate, and what several checks need, found once."""

    record: Record
    estimate: Estimate
    seed: int = 0

    @cached_property
    def influence(self) -> Influence:
        """Measures of influence."""
        return Influence(self.record, self.estimate)

    @cached_property
    def rows(self) -> Rows:
        """The rows as arrays: one pass."""
        return used_rows(self.estimate)

    @cached_property
    def copies(self) -> np.ndarray:
        """(rows of the data,) how many observations each row stands for; NaN in dropped rows."""
        own = of_own(self.estimate.objective.design, torch.from_numpy(self.rows.copies))
        return self.everywhere(pd.Series(spread(self.estimate, own).numpy())).to_numpy()

    def everywhere(self, measure: pd.Series) -> pd.Series:
        """One value a row of the data, NaN in rows of other ranks -> those of all ranks, which ask for it together."""
        found = self.estimate.objective.design.everywhere([measure.to_numpy()])
        return measure if len(found) == 1 else pd.Series(np.fmax.reduce(found), measure.index, name=measure.name)

    @property
    def is_sampled(self) -> bool:
        """Whether the weights are sampling weights, under which no row's distribution is the family's."""
        return isinstance(self.estimate.prepared.weights, Probability)

    @cached_property
    def is_perfect(self) -> bool:
        """Whether separation is complete: while one row lies on the wrong side it alone adds 2 w log 2 to D."""
        deviance = self.record.numbers.totals.deviance
        return bool(self.record.facts.infinite) and deviance < math.log(2.0) * float(self.rows.w.min())

    @property
    def no_distribution(self) -> str:
        """Why the rows cannot be taken for draws from the family at its fitted means; empty where they can."""
        family = self.estimate.family
        if self.estimate.n < FEWEST * self.estimate.rank:
            return f"fewer than {FEWEST:g} observations a coefficient"
        if self.is_perfect:
            return "separation is complete"
        if self.is_sampled:
            return "rows under sampling weights are not draws from the family"
        if family.name in COUNTS and bool((self.rows.w != 1.0).any()):
            return "a count with precision weights has no distribution"
        return ""


def p_text(p: float) -> str:
    """A p-value in a line of text."""
    if math.isnan(p):
        return "no p"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
