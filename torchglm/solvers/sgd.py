"""SGD: minibatches under any torch.optim optimizer, averaged, then polished to the maximum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchglm.errors import DomainError
from torchglm.objective.objective import Objective
from torchglm.solvers.solver import Solver, State
from torchglm.solvers.start import Start, intercept_theta

OptimizerFactory = Callable[[list[Tensor]], torch.optim.Optimizer]


@dataclass(frozen=True)
class SGD(Solver, name="sgd"):
    """Stochastic gradient descent on the mean negative log-likelihood of standardised coefficients.

    optimizer       "sgd" (with momentum), "adam", any torch.optim class, or a function of the parameter list
    learning_rate   None: the first of 1, 1/2, 1/4, ... that lowers the loss of a trial batch over 20 steps
    average         the last half of the epochs is averaged (Polyak & Juditsky 1992), which the end starts from

    Coefficients are divided by the root of the information's diagonal, so that column scales change nothing.
    What comes out is polished by `irls`, so that estimates and standard errors are those of the maximum.
    """

    optimizer: str | type[torch.optim.Optimizer] | OptimizerFactory = "sgd"
    learning_rate: float | None = None
    momentum: float = 0.9
    batch_rows: int = 1024
    epochs: int = 5
    average: bool = True
    seed: int = 0

    def init(self, objective: Objective, start: Start) -> State:
        """All epochs: the state after them."""
        theta = start.given if start.given is not None else intercept_theta(objective, start.family)
        diagonal = objective.diagonal(theta).diagonal
        scale = torch.where(diagonal > 0, diagonal / objective.design.n, 1.0).rsqrt()
        rate = self.learning_rate or self._find_rate(objective, theta, scale)
        parameter = (theta / scale).requires_grad_(True)
        optimizer = self._make(parameter, rate)
        mean, count = torch.zeros_like(theta), 0
        for epoch in range(self.epochs):
            objective.meter.passes += 1
            for batch in objective.design.minibatches(self.batch_rows, self.seed + epoch):
                self._descend(objective.on(batch), parameter, scale, optimizer)
                if self.average and 2 * epoch >= self.epochs:
                    count += 1
                    mean += (parameter.detach() - mean) / count
        theta = (mean if count else parameter.detach()) * scale
        slope = objective.slope(theta)
        if not bool(torch.isfinite(theta).all()):
            raise DomainError(f"SGD diverged at learning rate {rate}. Give a smaller learning_rate.")
        return State(theta, slope, None, torch.zeros_like(theta), 0.0)

    def step(self, objective: Objective, state: State) -> State:
        """The state itself: the epochs are done, and what is left is polishing."""
        return state

    @staticmethod
    def _descend(batch: Objective, parameter: Tensor, scale: Tensor, optimizer: torch.optim.Optimizer) -> float:
        slope = batch.slope(parameter.detach() * scale)
        parameter.grad = slope.gradient * scale / batch.design.n
        optimizer.step()
        return slope.value / batch.design.n

    def _make(self, parameter: Tensor, rate: float) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD([parameter], lr=rate, momentum=self.momentum)
        if self.optimizer == "adam":
            return torch.optim.Adam([parameter], lr=rate)
        if isinstance(self.optimizer, type):
            return self.optimizer([parameter], lr=rate)  # type: ignore[call-arg]
        assert callable(self.optimizer)
        return self.optimizer([parameter])

    def _find_rate(self, objective: Objective, theta: Tensor, scale: Tensor) -> float:
        """The largest rate of 1, 1/2, ... whose 20 trial steps end lower than they began, halved for safety."""
        trial = next(iter(objective.design.minibatches(max(self.batch_rows, 1024), self.seed)))
        batch = objective.on(trial)
        before = batch.slope(theta).value
        rate = 1.0
        for _ in range(30):
            parameter = (theta / scale).requires_grad_(True)
            optimizer = self._make(parameter, rate)
            for _ in range(20):
                self._descend(batch, parameter, scale, optimizer)
            after = batch.slope(parameter.detach() * scale).value
            if after < before:
                return rate / 4.0
            rate /= 2.0
        raise DomainError("SGD found no learning rate that lowers the loss. Give learning_rate, or start=.")
