"""Step control: the full step, or the best of all shorter ones from one pass."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchglm.objective.objective import Objective, Slope

HALVINGS = 12
EXTRA_HALVINGS = 40
SLACK = 1e-13  # of |value|: a sum over blocks is not more exact, and a rise below it is no rise


def descends(value: float, before: float) -> bool:
    """Whether `value` is finite and no higher than `before`, but for rounding."""
    return math.isfinite(value) and value <= before + SLACK * max(abs(before), 1.0)


def shorter(objective: Objective, theta: Tensor, step: Tensor, before: Slope) -> float | None:
    """The share of `step` with the lowest value among 1/2, 1/4, ..., all in one pass; None where none descends.

    Far outside the domain twelve halvings can be too few, so that one more pass tries the much shorter ones.
    """
    for first, last in ((1, HALVINGS), (HALVINGS + 1, EXTRA_HALVINGS)):
        shares = 0.5 ** torch.arange(first, last + 1, dtype=torch.float64, device=theta.device)
        values = objective.values(theta[:, None] + step[:, None] * shares).nan_to_num(nan=math.inf)
        best = int(values.argmin())
        if math.isfinite(float(values[best])) and float(values[best]) < before.value:
            return float(shares[best])
    return None
