from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.contestant import Answer, Contestant, Refused
from benchmarks.problem import Problem

ROWS = 8_192


class Passes(Contestant):
    """Two passes of plain torch over the frame: the gradient at zero, then gradient and curvature there."""

    package = "torch"
    remark = "a gradient pass and a gradient + curvature pass, blocks of 8,192 rows gathered into one scratch buffer"
    separate = False

    def check(self, problem: Problem) -> None:
        if problem.family != "poisson" or problem.levels:
            raise Refused("is written out for a Poisson regression on numeric columns")

    def fit(self, problem: Problem, frame: pd.DataFrame) -> Any:
        import torch

        columns = self.columns(problem, frame)
        y = torch.from_numpy(frame["y"].to_numpy())
        beta = torch.zeros(problem.width, dtype=torch.float64)
        block, weighted = (torch.ones(problem.width, ROWS, dtype=torch.float64) for _ in range(2))
        gradient = torch.zeros_like(beta)
        curvature = torch.zeros(problem.width, problem.width, dtype=torch.float64)
        for wanted in (False, True):
            gradient.zero_()
            for start in range(0, len(y), ROWS):
                stop = min(start + ROWS, len(y))
                x = gather(columns, block[:, : stop - start], start, stop)
                mu = torch.mv(x.T, beta).exp_()
                gradient.addmv_(x, mu - y[start:stop])
                if wanted:
                    curvature.addmm_(torch.mul(x, mu, out=weighted[:, : stop - start]), x.T)
        return gradient, curvature

    def columns(self, problem: Problem, frame: pd.DataFrame) -> list[Any]:
        """Tensors that lie where the frame lies: all columns as one, or one for each."""
        import torch

        if self.separate:
            return [torch.from_numpy(frame[name].to_numpy())[None] for name in problem.numeric_names]
        together = frame[problem.numeric_names].to_numpy()
        if not np.shares_memory(together, frame[problem.numeric_names[0]].to_numpy()):
            raise Refused("the columns of the frame do not lie side by side")
        return [torch.from_numpy(together.T)]

    def answer(self, fitted: Any) -> Answer:
        return Answer([], np.empty(0), np.empty(0))


class SeparatePasses(Passes):
    remark = "the same, each column of the frame gathered on its own"
    separate = True


def gather(columns: list[Any], block: Any, start: int, stop: int) -> Any:
    """The block with its rows filled in below the intercept's row of ones."""
    row = 1
    for column in columns:
        block[row : row + len(column)].copy_(column[:, start:stop])
        row += len(column)
    return block
