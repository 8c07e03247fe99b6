"""Call: how a fit was asked for, beside its formula, its data and the arguments of its rows."""

from __future__ import annotations

from collections.abc import Callable
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
    again: Callable[..., Any] | None = None  # what fits the call instead of fit_parsed(), with its arguments
