"""SGD: minibatches under any torch.optim optimizer, averaged, then polished to the maximum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from torchglm.errors import DomainError, OptionError, UnknownNameError, did_you_mean
from torchglm.objective.objective import Objective
from torchglm.solvers.solver import Solver, State
from torchglm.solvers.start import Start, intercept_theta

OptimizerFactory = Callable[[list[Tensor]], torch.optim.Optimizer]
NAMES = ("sgd", "adam")
TRIAL_STEPS = 20


@dataclass(frozen=True)
class _Epochs:
    """What an epoch takes over from those before it. Parameter and optimizer move: one run goes on from a state."""

    parameter: Tensor  # (p,) theta / scale
    optimizer: torch.optim.Optimizer
    scale: Tensor
    rate: float
    mean: Tensor  # (p,) of the parameter over `count` steps
    count: int = 0
    done: int = 0


@dataclass(frozen=True)
class SGD(Solver, name="sgd"):
    """Stochastic gradient descent on the mean negative log-likelihood of standardised coefficients.

    optimizer       "sgd" (with momentum), "adam", a torch.optim class, or a function of the parameter list
    learning_rate   None: a quarter of the first of 1, 1/2, 1/4, ... that lowers the loss of a trial batch over 20 steps
    average         the last half of the epochs is averaged (Polyak & Juditsky 1992), which the end starts from

    Coefficients are divided by the root of the information's diagonal, so that column scales change nothing.
    A step is an epoch, and does not count against max_steps. What comes out is polished by `irls`, so that
    estimates and standard errors are those of the maximum.
    Raises: OptionError, UnknownNameError for options that mean nothing.
    """

    optimizer: str | type[torch.optim.Optimizer] | OptimizerFactory = "sgd"
    learning_rate: float | None = None
    momentum: float = 0.9
    batch_rows: int = 1024
    epochs: int = 5
    average: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _check_optimizer(self.optimizer)
        rate = self.learning_rate
        if rate is not None and not (_is_number(rate) and 0.0 < rate < math.inf):
            raise OptionError(f"learning_rate= is a positive number, or None to find one; got {rate!r}.")
        if rate is not None and self._is_made_by_user:
            raise OptionError("learning_rate= has no effect on a function: the optimizer that it returns has its own.")
        if not (_is_number(self.momentum) and 0.0 <= self.momentum < 1.0):
            raise OptionError(f"momentum= is at least 0 and less than 1; got {self.momentum!r}.")
        for name in ("batch_rows", "epochs"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"{name}= is a positive whole number; got {value!r}.")

    @property
    def _is_made_by_user(self) -> bool:
        return not isinstance(self.optimizer, str | type)

    @property
    def planned_steps(self) -> int:
        return self.epochs

    def init(self, objective: Objective, start: Start) -> State:
        """The start, the scale of the coefficients there, and an optimizer."""
        theta = start.given if start.given is not None else intercept_theta(objective, start.family)
        found = objective.diagonal(theta)
        scale = torch.where(found.diagonal > 0, found.diagonal / objective.design.n, 1.0).rsqrt()
        rate = self._rate(objective, theta, scale)
        parameter = (theta / scale).requires_grad_(True)
        memory = _Epochs(parameter, self._make(parameter, rate), scale, rate, torch.zeros_like(theta))
        return State(theta, found, None, torch.zeros_like(theta), math.inf, memory=memory)

    def step(self, objective: Objective, state: State) -> State:
        """The state after one more epoch; how far it is from the maximum is not known until the last one."""
        memory = self._epoch(objective, state.memory)
        theta = (memory.mean if memory.count else memory.parameter.detach()) * memory.scale
        if not bool(torch.isfinite(theta).all()):
            raise DomainError(f"SGD diverged at learning rate {memory.rate}. Give a smaller learning_rate.")
        left = math.inf if memory.done < self.epochs else 0.0  # 0: certify, and polish
        return State(theta, objective.slope(theta), None, torch.zeros_like(theta), left, memory=memory)

    def _epoch(self, objective: Objective, memory: _Epochs) -> _Epochs:
        """Every row once."""
        objective.meter.passes += 1
        mean, count = memory.mean, memory.count
        averaged = self.average and 2 * memory.done >= self.epochs
        for batch in objective.design.minibatches(self.batch_rows, self.seed + memory.done):
            self._descend(objective.on(batch), memory.parameter, memory.scale, memory.optimizer)
            if averaged:
                count += 1
                mean = mean + (memory.parameter.detach() - mean) / count
        return replace(memory, mean=mean, count=count, done=memory.done + 1)

    @staticmethod
    def _descend(batch: Objective, parameter: Tensor, scale: Tensor, optimizer: torch.optim.Optimizer) -> None:
        parameter.grad = batch.slope(parameter.detach() * scale).gradient * scale / batch.design.n
        optimizer.step()

    def _make(self, parameter: Tensor, rate: float) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD([parameter], lr=rate, momentum=self.momentum)
        if self.optimizer == "adam":
            return torch.optim.Adam([parameter], lr=rate)
        if isinstance(self.optimizer, type):
            return self.optimizer([parameter], lr=rate)  # type: ignore[call-arg]
        assert callable(self.optimizer)
        made = self.optimizer([parameter])
        if not isinstance(made, torch.optim.Optimizer):
            raise OptionError(f"optimizer= is a function that returns a torch.optim optimizer; it returned {made!r}.")
        return made

    def _rate(self, objective: Objective, theta: Tensor, scale: Tensor) -> float:
        """The learning rate: the user's, or a found one."""
        if self.learning_rate is not None:
            return self.learning_rate
        return math.nan if self._is_made_by_user else self._find_rate(objective, theta, scale)

    def _find_rate(self, objective: Objective, theta: Tensor, scale: Tensor) -> float:
        """A quarter, for safety, of the largest of 1, 1/2, ... whose trial steps end lower than they began."""
        trial = next(iter(objective.design.minibatches(max(self.batch_rows, 1024), self.seed)))
        batch = objective.on(trial)
        before = batch.slope(theta).value
        rate = 1.0
        for _ in range(30):
            parameter = (theta / scale).requires_grad_(True)
            optimizer = self._make(parameter, rate)
            for _ in range(TRIAL_STEPS):
                self._descend(batch, parameter, scale, optimizer)
            after = batch.slope(parameter.detach() * scale).value
            if after < before:
                return rate / 4.0
            rate /= 2.0
        raise DomainError("SGD found no learning rate that lowers the loss. Give learning_rate, or start=.")


def _check_optimizer(given: Any) -> None:
    if isinstance(given, str):
        if given not in NAMES:
            raise UnknownNameError(f"There is no optimizer {given!r}. {did_you_mean(given, NAMES)}")
    elif isinstance(given, type):
        if not issubclass(given, torch.optim.Optimizer):
            raise OptionError(f"optimizer= is a class of torch.optim; {given.__name__} is none.")
        if issubclass(given, torch.optim.LBFGS):
            raise OptionError('optimizer=LBFGS needs more than minibatch gradients. Say solver="lbfgs".')
    elif not callable(given):
        raise OptionError(f"optimizer= is a name, a class of torch.optim or a function; got {given!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
