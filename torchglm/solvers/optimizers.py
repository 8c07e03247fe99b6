"""Optimizers of SGD: torch's by name, class or function, update functions of the user's own, and schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from torchglm.errors import OptionError, UnknownNameError, did_you_mean

OptimizerFactory = Callable[[list[Tensor]], torch.optim.Optimizer]
Update = Callable[[Tensor, Tensor, float], Tensor]
Schedule = Callable[[torch.optim.Optimizer], Any]
NAMES = ("sgd", "adam")


class UpdateOptimizer(torch.optim.Optimizer):
    """An optimizer whose step is a function: theta, its gradient and the learning rate -> the next theta."""

    def __init__(self, parameters: list[Tensor], lr: float, update: Update) -> None:
        super().__init__(parameters, {"lr": lr})
        self.update = update

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Nothing; every parameter is replaced."""
        for group in self.param_groups:
            for parameter in group["params"]:
                now = parameter.detach().clone(), parameter.grad.clone(), float(group["lr"])
                try:
                    new = self.update(*now)
                except (RuntimeError, TypeError) as error:
                    raise OptionError(f"update= failed, called as update(theta, gradient, rate): {error}") from error
                if not isinstance(new, Tensor) or new.shape != parameter.shape:
                    what = f"shape {tuple(new.shape)}" if isinstance(new, Tensor) else repr(new)
                    raise OptionError(
                        f"update= returns the next coefficients, of shape {tuple(parameter.shape)}; got {what}."
                    )
                parameter.copy_(new)


def optimizer_of(
    given: str | type[torch.optim.Optimizer] | OptimizerFactory, parameter: Tensor, rate: float, momentum: float
) -> torch.optim.Optimizer:
    """The optimizer of one parameter vector.

    Raises: OptionError where a function returns something else.
    """
    if given == "sgd":
        return torch.optim.SGD([parameter], lr=rate, momentum=momentum)
    if given == "adam":
        return torch.optim.Adam([parameter], lr=rate)
    if isinstance(given, type):
        try:
            return given([parameter], lr=rate)  # type: ignore[call-arg]
        except (TypeError, ValueError) as error:
            raise OptionError(f"optimizer={given.__name__} takes no vector of coefficients: {error}") from error
    assert callable(given)
    made = given([parameter])
    if not isinstance(made, torch.optim.Optimizer):
        raise OptionError(f"optimizer= is a function that returns a torch.optim optimizer; it returned {made!r}.")
    _refuse_closures(type(made))
    return made


def _refuse_closures(kind: type) -> None:
    if issubclass(kind, torch.optim.LBFGS):
        raise OptionError('optimizer=LBFGS needs more than minibatch gradients. Say solver="lbfgs".')


def schedule_of(given: Schedule | None, optimizer: torch.optim.Optimizer) -> Any:
    """The scheduler of an optimizer, or None.

    Raises: OptionError where the function returns none.
    """
    if given is None:
        return None
    wanted = (
        "schedule= is a function from the optimizer to a torch.optim.lr_scheduler, such as "
        "lambda optimizer: StepLR(optimizer, 10)"
    )
    try:
        made = given(optimizer)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{wanted}; of the optimizer alone it fails: {error}.") from error
    if not isinstance(made, torch.optim.lr_scheduler.LRScheduler):
        raise OptionError(f"{wanted}; it returned {made!r}.")
    return made


def advance(schedule: Any, loss: float) -> None:
    """Nothing; the scheduler takes its step. The loss is for one that waits for a plateau."""
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        schedule.step(loss)
    else:
        schedule.step()


def check_optimizer(given: Any) -> None:
    """Nothing, for a name, a class of torch.optim or a function.

    Raises: OptionError, UnknownNameError.
    """
    if isinstance(given, str):
        if given not in NAMES:
            raise UnknownNameError(f"There is no optimizer {given!r}. {did_you_mean(given, NAMES)}")
    elif isinstance(given, type):
        if not issubclass(given, torch.optim.Optimizer):
            raise OptionError(f"optimizer= is a class of torch.optim; {given.__name__} is none.")
        _refuse_closures(given)
    elif not callable(given):
        raise OptionError(f"optimizer= is a name, a class of torch.optim or a function; got {given!r}.")
