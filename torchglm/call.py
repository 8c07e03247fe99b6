"""Call: how a fit was asked for, beside its formula, its data and the arguments of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from torchglm.solvers.solver import Solver, Stop

KEEP: Any = type("Keep", (), {"__repr__": lambda self: "KEEP"})()  # of update(): as it was


@dataclass(frozen=True)
class Call:
    """The arguments of glm() that update() keeps, as they were given. `covariance` is that of the first fit."""

    solver: str | Solver | type[Solver]
    covariance: Any
    dispersion: str | float | None
    stop: Stop
    device: str | torch.device
    dtype: str | torch.dtype
    penalty: Any = None
    checkpoint: Any = None  # the path of the file of a running fit; a fit that is done keeps none
    again: Callable[..., Any] | None = None  # what fits the call instead of fit_parsed(), with its arguments
    remake: Remake | None = None  # of a model of several linear predictors: how it is asked for


@dataclass(frozen=True)
class Remake:
    """How a model of several linear predictors was asked for: a function, and what it was given.

    ask        what makes of these arguments, and of a Request, a Call and a start, the model
    arguments  by name, "formula" among them; `formulas` are those that are formulas without a response
    """

    ask: Callable[..., Any]
    arguments: Mapping[str, Any]
    formulas: tuple[str, ...] = ()
