"""What is known after an epoch of SGD: loss, metrics, coefficients; and when to stop early."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.families.likelihood import Likelihood
from torchglm.families.mean import MeanModel
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import Objective


@dataclass(frozen=True)
class Epoch:
    """An epoch that is over; number 0 is the start.

    loss           of all rows: negative log-likelihood at phi = 1, summed, up to a constant, as in `fit.trace`
    learning_rate  that it ended with
    theta          (p,) the coefficients, formula's order
    """

    number: int
    loss: float
    learning_rate: float
    theta: Tensor
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """Loss, learning rate and metrics, by name."""
        return {"loss": self.loss, "learning_rate": self.learning_rate, **self.metrics}


COLUMNS = ("step", "loss", "step_in_se", "step_size", "passes", "seconds", "epoch", "learning_rate")  # of the trace
Callback = Callable[[list[Epoch]], Any]
RowMetric = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class EarlyStopping:
    """A callback of SGD that ends the search: at a target, or after epochs without an improvement.

    monitor     "loss", or the name of a metric
    patience    so many epochs in a row without a new best value; None: only the target counts
    min_change  the least change that is an improvement
    target      stop as soon as the value is as good as this
    mode        "min" or "max": what is good; None: "max" for accuracy, else "min"

    Raises: OptionError for options that mean nothing.
    """

    monitor: str = "loss"
    patience: int | None = 3
    min_change: float = 0.0
    target: float | None = None
    mode: str | None = None

    def __post_init__(self) -> None:
        if self.mode not in (None, "min", "max"):
            raise OptionError(f'mode= is "min", "max" or None; got {self.mode!r}.')
        if self.patience is None and self.target is None:
            raise OptionError("EarlyStopping needs patience= or target=.")
        bad = isinstance(self.patience, bool) or not isinstance(self.patience, int | None)
        if bad or (self.patience is not None and self.patience < 1):
            raise OptionError(f"patience= is a positive whole number of epochs, or None; got {self.patience!r}.")
        if not 0.0 <= self.min_change < math.inf:
            raise OptionError(f"min_change= is a number from 0 up; got {self.min_change!r}.")

    def __call__(self, history: list[Epoch]) -> bool:
        """Whether to stop after these epochs.

        Raises: UnknownNameError for a metric that is not recorded.
        """
        known = history[-1].values
        if self.monitor not in known:
            raise UnknownNameError(f"There is no metric {self.monitor!r}. {did_you_mean(self.monitor, known)}")
        largest_is_best = self.mode == "max" or (self.mode is None and self.monitor == "accuracy")
        sign = -1.0 if largest_is_best else 1.0
        values = [sign * epoch.values[self.monitor] for epoch in history]
        if self.target is not None and values[-1] <= sign * self.target:
            return True
        return self.patience is not None and self._since_best(values) >= self.patience

    def _since_best(self, values: list[float]) -> int:
        """The epochs since the last improvement."""
        best, at = values[0], 0
        for number, value in enumerate(values):
            if value < best - self.min_change:
                best, at = value, number
        return len(values) - 1 - at


def squared_error(y: Tensor, mean: Tensor) -> Tensor:
    """(rows,) the squared distance of response and mean."""
    return (y - mean) ** 2


def absolute_error(y: Tensor, mean: Tensor) -> Tensor:
    """(rows,) their distance."""
    return (y - mean).abs()


def accuracy(y: Tensor, mean: Tensor) -> Tensor:
    """(rows,) 1 where the likeliest class is the response, else 0; of a proportion, the share that is.

    Shapes: mean (rows,) of a probability, or (rows, classes).
    """
    if mean.dim() == 2:
        return (mean.argmax(1) == y).to(mean.dtype)
    return torch.where(mean > 0.5, y, 1.0 - y)


METRICS: dict[str, RowMetric] = {"accuracy": accuracy, "mse": squared_error, "mae": absolute_error}


def check_metrics(given: Any) -> None:
    """Nothing, for names and functions.

    Raises: OptionError, UnknownNameError.
    """
    for one in metrics_in(given):
        if isinstance(one, str):
            if one not in METRICS:
                raise UnknownNameError(f"There is no metric {one!r}. {did_you_mean(one, METRICS)}")
        elif not callable(one):
            raise OptionError(f"metrics= are names ({', '.join(METRICS)}) or functions of (y, mean); got {one!r}.")


def metrics_in(given: str | RowMetric | Sequence[str | RowMetric]) -> tuple[Any, ...]:
    """One or several, as a tuple."""
    return tuple(given) if isinstance(given, Sequence) and not isinstance(given, str) else (given,)


def functions_of(given: Any, likelihood: Likelihood) -> dict[str, RowMetric]:
    """The metrics by name.

    Raises: OptionError for one that the model has no use for.
    """
    found = {}
    for one in metrics_in(given):
        if one == "accuracy" and not _has_classes(likelihood):
            raise OptionError('metrics="accuracy" is for models of classes: binomial, multinomial, ordinal.')
        if one in ("mse", "mae") and _has_probabilities(likelihood):
            raise OptionError(
                f'metrics="{one}" needs a mean, which classes do not have: take "accuracy", or a function of their '
                "codes y (rows,) and the probabilities (rows, classes)."
            )
        name = one if isinstance(one, str) else getattr(one, "__name__", "metric").strip("<>")
        found[_unused(name, found)] = METRICS.get(one, one)
    return found


def _unused(name: str, found: dict[str, RowMetric]) -> str:
    """The name, numbered where it is another metric's or a column of the trace, as two lambdas have one."""
    taken = {*found, *COLUMNS}
    return next(each for each in (name, *(f"{name}_{k}" for k in range(2, len(taken) + 3))) if each not in taken)


def stops(answer: Any) -> bool:
    """Whether what a callback returned is True: Python's, numpy's or torch's."""
    truth = isinstance(answer, bool | np.bool_) or (isinstance(answer, Tensor) and answer.dtype == torch.bool)
    return truth and bool(answer)


def _has_classes(likelihood: Likelihood) -> bool:
    if isinstance(likelihood, MeanModel):
        return likelihood.family.mean_domain.upper == 1.0
    return _has_probabilities(likelihood)


def _has_probabilities(likelihood: Likelihood) -> bool:
    """Whether there are classes, of which `mean` gives the probability of each."""
    z = torch.zeros(1, len(likelihood.predictors), dtype=torch.float64)
    return "class" in likelihood.predictions(z)


def means_of(objective: Objective, theta: Tensor, metrics: dict[str, RowMetric]) -> dict[str, float]:
    """The weighted mean of every metric over the rows at theta: one pass, none where there are no metrics.

    Raises: OptionError for a function that returns anything but one number a row.
    """
    if not metrics:
        return {}
    raw = objective.raw(theta)

    def row_sums(block: Block) -> Sums:
        mean = objective.likelihood.mean(objective.predictors(block, raw))
        w = block.y.new_ones(block.rows) if block.weight is None else block.weight
        sums = {"weight": w.sum()}
        for name, metric in metrics.items():
            values = metric(block.y, mean)
            if not isinstance(values, Tensor) or values.shape != block.y.shape:
                what = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else repr(values)
                raise OptionError(
                    f"The metric {name!r} returns one number a row, shape {tuple(block.y.shape)}; got {what}."
                )
            sums[f"metric {name}"] = values.to(torch.float64).dot(w)
        return Sums(sums)

    sums = objective.sum(row_sums)
    return {name: float(sums[f"metric {name}"] / sums["weight"]) for name in metrics}
