"""Which values of a variable are compared: levels, steps, and spreads of a numeric one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from torchglm.errors import OptionError, did_you_mean
from torchglm.inference.effects.variables import Variable, mean_of, number_given, numbers_of
from torchglm.inference.rows import EvaluatedRows
from torchglm.numerics.weighted_quantiles import quantiles

PAIRS: dict[str, Callable[[tuple[Any, ...]], list[tuple[Any, Any]]]] = {
    "reference": lambda levels: [(level, levels[0]) for level in levels[1:]],
    "pairwise": lambda levels: [(high, low) for low, high in itertools.combinations(levels, 2)],
    "sequential": lambda levels: [(high, low) for low, high in itertools.pairwise(levels)],
}
SPREADS = ("sd", "2sd", "iqr", "minmax")


@dataclass(frozen=True)
class Contrast:
    """A high value of a variable and a low one: a value, (rows,) values, or None for those of the rows."""

    high: Any
    low: Any
    names: tuple[str, str]

    def label(self, form: str) -> str:
        """As the table names it."""
        return form.format(high=self.names[0], low=self.names[1])


def contrasts_of(rows: EvaluatedRows, variable: Variable, choice: Any) -> list[Contrast]:
    """The pairs of values that a choice asks for; None is every level against the first, or a step of one.

    Raises: OptionError for a choice that the variable has not; LevelError.
    """
    if variable.levels is not None:
        pairs = _level_pairs(variable, variable.levels, choice)
        return [Contrast(high, low, (str(high), str(low))) for high, low in pairs]
    return [_numeric_contrast(rows, variable.name, choice)]


def _level_pairs(variable: Variable, levels: tuple[Any, ...], choice: Any) -> list[tuple[Any, Any]]:
    if isinstance(choice, list | tuple) and len(choice) == 2:
        low, high = (variable.level(value) for value in choice)
        return [(high, low)]
    name = "reference" if choice is None else choice
    if not isinstance(name, str) or name not in PAIRS:
        raise OptionError(
            f"{variable.name!r} has levels: they are compared by {', '.join(map(repr, PAIRS))} or as a pair "
            f"(low, high); got {choice!r}. {did_you_mean(name, PAIRS) if isinstance(name, str) else ''}".strip()
        )
    pairs = PAIRS[name](levels)
    if not pairs:
        raise OptionError(f"{variable.name!r} has one level only, {levels[0]!r}: there is nothing to compare it with.")
    return pairs


def _numeric_contrast(rows: EvaluatedRows, name: str, choice: Any) -> Contrast:
    if isinstance(choice, str):
        if choice not in SPREADS:
            raise OptionError(
                f"{name!r} is numeric: it is compared over a step, a pair (low, high), or one of "
                f"{', '.join(map(repr, SPREADS))}; got {choice!r}."
            )
        low, high = _spread(rows, name, choice)
        return Contrast(high, low, (f"{high:g}", f"{low:g}"))
    if isinstance(choice, list | tuple):
        if len(choice) != 2:
            raise OptionError(f"{name!r} is numeric: a pair (low, high) has two values; got {choice!r}.")
        low, high = (number_given("variables", name, value) for value in choice)
        return Contrast(high, low, (f"{high:g}", f"{low:g}"))
    step = number_given("variables", name, 1.0 if choice is None else choice)
    return Contrast(numbers_of(rows, name) + step, None, (f"({name} + {step:g})", name))


def _spread(rows: EvaluatedRows, name: str, choice: str) -> tuple[float, float]:
    """The ends of a spread of the values: half a standard deviation either side of the mean, and so on."""
    x = numbers_of(rows, name)
    weights = torch.ones_like(x) if rows.weights is None else rows.weights
    if choice == "minmax":
        return float(x.min()), float(x.max())
    if choice == "iqr":
        low, high = quantiles(x.numpy(), weights.numpy(), np.array([0.25, 0.75]))
        return float(low), float(high)
    mean = mean_of(rows, name)
    sd = float(((x - mean).square().dot(weights) / (weights.sum() - 1.0)).sqrt())
    half = sd / 2.0 if choice == "sd" else sd
    return mean - half, mean + half
