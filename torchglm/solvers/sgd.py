"""SGD: minibatches under any torch.optim optimizer, averaged, then polished to the maximum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from torchglm.errors import DomainError, OptionError
from torchglm.objective.objective import Objective, Slope
from torchglm.solvers.epochs import Callback, Epoch, RowMetric, check_metrics, functions_of, means_of, stops
from torchglm.solvers.optimizers import (
    OptimizerFactory,
    Schedule,
    Update,
    UpdateOptimizer,
    advance,
    check_optimizer,
    optimizer_of,
    schedule_of,
)
from torchglm.solvers.solver import Solver, State
from torchglm.solvers.standard import Standard, settled, standard_at
from torchglm.solvers.start import Start

TRIAL_STEPS, MOST_TRIAL_STEPS = 20, 200


@dataclass(frozen=True)
class _Run:
    """What an epoch takes over from those before it. Parameter and optimizer move: one run goes on from a state."""

    parameter: Tensor  # (p,) standardised
    optimizer: torch.optim.Optimizer
    schedule: Any
    standard: Standard
    rate: float
    metrics: dict[str, RowMetric]
    mean: Tensor  # (p,) of the parameter over `count` steps
    count: int = 0
    history: list[Epoch] = field(default_factory=list)


@dataclass(frozen=True)
class SGD(Solver, name="sgd"):
    """Stochastic gradient descent on the mean negative log-likelihood of standardised coefficients.

    optimizer       "sgd" (with momentum), "adam", a torch.optim class, or a function of the parameter list
    learning_rate   None: a quarter of the first of 1, 1/2, 1/4, ... that lowers the loss of 1,024 rows in trial steps
    average         the last half of the epochs is averaged (Polyak & Juditsky 1992), which the end starts from
    seed            of the order of the rows
    update          instead of an optimizer: a function of (coefficients, gradient, learning rate) that returns the next
                    coefficients
    schedule        a function from the optimizer to a torch.optim.lr_scheduler; it steps every "epoch" or "batch"
    metrics         "accuracy", "mse", "mae", functions of (y, mean) with one number a row, or a list: in the trace
    callbacks       functions of the list of epochs so far; the search ends after one that returns True
    polish          False: the answer is where the epochs end, short of the maximum, and the fit is not converged

    Columns are centred and scaled under the information at the start, so that their units change nothing; optimizer
    and update see the coefficients of those columns.
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
    update: Update | None = None
    schedule: Schedule | None = None
    schedule_every: str = "epoch"
    metrics: str | RowMetric | Sequence[str | RowMetric] = ()
    callbacks: Callback | Sequence[Callback] = field(default=(), compare=False)  # what they show may be one rank's
    polish: bool = True

    def __post_init__(self) -> None:
        check_optimizer(self.optimizer)
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
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise OptionError(f"seed= is a whole number from 0 up; got {self.seed!r}.")
        self._check_functions()
        check_metrics(self.metrics)

    def _check_functions(self) -> None:
        for name in ("average", "polish"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name}= is True or False; got {getattr(self, name)!r}.")
        for name in ("update", "schedule"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise OptionError(f"{name}= is a function; got {getattr(self, name)!r}.")
        if self.update is not None and self.optimizer != "sgd":
            raise OptionError("update= and optimizer= both say what a step is: give one of them.")
        if self.update is not None and self.learning_rate is None:
            raise OptionError("update= needs learning_rate=: trial steps would move what the function remembers.")
        if self.schedule_every not in ("epoch", "batch"):
            raise OptionError(f'schedule_every= is "epoch" or "batch"; got {self.schedule_every!r}.')
        for callback in self._callbacks:
            if not callable(callback):
                raise OptionError(f"callbacks= are functions of the list of epochs; got {callback!r}.")

    @property
    def _is_made_by_user(self) -> bool:
        return not isinstance(self.optimizer, str | type)

    @property
    def _callbacks(self) -> tuple[Callback, ...]:
        return tuple(self.callbacks) if isinstance(self.callbacks, Sequence) else (self.callbacks,)

    @property
    def planned_steps(self) -> int:
        return self.epochs

    @property
    def polishes(self) -> bool:
        return self.polish

    def init(self, objective: Objective, start: Start) -> State:
        """The start, the columns as standardised there, and an optimizer."""
        metrics = functions_of(self.metrics, objective.likelihood)
        theta = start.given if start.given is not None else settled(objective, start.flat(objective))
        found = objective.diagonal(theta)
        standard = standard_at(objective, theta, found.diagonal)
        rate = self._rate(objective, theta, standard)
        parameter = standard.of(theta).requires_grad_(True)
        optimizer = self._make(parameter, rate)
        schedule = schedule_of(self.schedule, optimizer)
        memory = _Run(parameter, optimizer, schedule, standard, rate, metrics, torch.zeros_like(theta))
        return self._state(objective, memory, theta, found)

    def step(self, objective: Objective, state: State) -> State:
        """The state after one more epoch; how far it is from the maximum is not known until the last one."""
        memory = self._epoch(objective, state.memory)
        theta = memory.standard.theta(memory.mean if memory.count else memory.parameter.detach())
        slope = objective.slope(theta) if bool(torch.isfinite(theta).all()) else None
        if slope is None or not math.isfinite(slope.value):
            raise DomainError(
                f"SGD diverged at learning rate {_rate_of(memory.optimizer)} in epoch {len(memory.history)}: "
                f"the loss is {math.nan if slope is None else slope.value}. Give a smaller learning_rate."
            )
        if memory.schedule is not None and self.schedule_every == "epoch":
            advance(memory.schedule, slope.value)
        return self._state(objective, memory, theta, slope)

    def _state(self, objective: Objective, memory: _Run, theta: Tensor, slope: Slope) -> State:
        """The state after an epoch, which the callbacks are shown."""
        found = means_of(objective, theta, memory.metrics)
        number, rate = len(memory.history), _rate_of(memory.optimizer)
        shown = objective.layout.to_user(theta).cpu()
        history = [*memory.history, Epoch(number, slope.value, rate, shown, found)]
        asked = [callback(list(history)) for callback in self._callbacks]
        over = number >= self.epochs or any(stops(answer) for answer in asked)
        left = 0.0 if over else math.inf  # 0: certify, and polish
        notes = {"step_in_se": math.inf, "epoch": number, "learning_rate": rate, **found}  # how far, nobody knows yet
        memory = replace(memory, history=history)
        return State(theta, slope, None, torch.zeros_like(theta), left, memory=memory, notes=notes)

    def _epoch(self, objective: Objective, memory: _Run) -> _Run:
        """Every row once."""
        objective.meter.passes += 1
        mean, count, done = memory.mean, memory.count, len(memory.history) - 1
        averaged = self.average and 2 * done >= self.epochs
        for batch in objective.design.minibatches(self.batch_rows, self.seed + done):
            loss = self._descend(objective.on(batch), memory.parameter, memory.standard, memory.optimizer)
            if memory.schedule is not None and self.schedule_every == "batch":
                advance(memory.schedule, loss)
            if averaged:
                count += 1
                mean = mean + (memory.parameter.detach() - mean) / count
        return replace(memory, mean=mean, count=count)

    @staticmethod
    def _descend(batch: Objective, parameter: Tensor, standard: Standard, optimizer: torch.optim.Optimizer) -> float:
        """The loss of the batch before the step."""
        slope = batch.slope(standard.theta(parameter.detach()))
        parameter.grad = standard.gradient(slope.gradient) / batch.design.n
        try:
            optimizer.step()
        except (RuntimeError, TypeError) as error:
            raise OptionError(f"The optimizer {type(optimizer).__name__} takes no such step: {error}") from error
        return slope.value / batch.design.n

    def _make(self, parameter: Tensor, rate: float) -> torch.optim.Optimizer:
        if self.update is not None:
            return UpdateOptimizer([parameter], rate, self.update)
        return optimizer_of(self.optimizer, parameter, rate, self.momentum)

    def _rate(self, objective: Objective, theta: Tensor, standard: Standard) -> float:
        """The learning rate: the user's, or a found one."""
        if self.learning_rate is not None:
            return self.learning_rate
        return math.nan if self._is_made_by_user else self._find_rate(objective, theta, standard)

    def _find_rate(self, objective: Objective, theta: Tensor, standard: Standard) -> float:
        """A quarter, for safety, of the largest of 1, 1/2, ... whose trial steps end lower than they began."""
        trial = objective.on(next(iter(objective.design.minibatches(max(self.batch_rows, 1024), self.seed))))
        batches = [objective.on(rows) for rows in trial.design.minibatches(self.batch_rows, self.seed)]
        steps = max(TRIAL_STEPS, min(len(batches), MOST_TRIAL_STEPS))
        before = trial.slope(theta).value
        rate = 1.0
        for _ in range(30):
            parameter = standard.of(theta).requires_grad_(True)
            optimizer = self._make(parameter, rate)
            for step in range(steps):
                self._descend(batches[step % len(batches)], parameter, standard, optimizer)
            after = trial.slope(standard.theta(parameter.detach())).value
            if after <= before + 1e-6 * abs(before):  # a start at the maximum cannot be bettered
                return rate / 4.0
            rate /= 2.0
        raise DomainError("SGD found no learning rate that lowers the loss. Give learning_rate, or start=.")


def _rate_of(optimizer: torch.optim.Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
