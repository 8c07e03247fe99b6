"""Comparisons: the mean, or eta, at one value of a variable against that at another, the rest as it is.

Both are averaged over the rows first, and then compared: a ratio is one of averages. Row by row they are compared in
each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.inference.effects.contrast_values import Contrast, contrasts_of
from torchglm.inference.effects.table import groups_by, labelled, row_table, weighted_means
from torchglm.inference.effects.variables import Variable
from torchglm.inference.jacobian import Groups, Jacobian
from torchglm.inference.prediction.predict import check_scale
from torchglm.inference.rows import EvaluatedRows
from torchglm.inference.setting import Setting
from torchglm.inference.wald import errors_of, wald_columns

Comparison = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Kind:
    """A comparison of high with low, as its label reads, and its value where they are equal."""

    compare: Comparison
    label: str
    null: float


KINDS = {
    "difference": Kind(lambda high, low: high - low, "{high} - {low}", 0.0),
    "ratio": Kind(lambda high, low: high / low, "{high} / {low}", 1.0),
    "lift": Kind(lambda high, low: (high - low) / low, "({high} - {low}) / {low}", 0.0),
}


class Compared(NamedTuple):
    """A comparison's value, and its derivatives in high and low."""

    value: Tensor
    in_high: Tensor
    in_low: Tensor


def compared(compare: Comparison, high: Tensor, low: Tensor) -> Compared:
    """The comparison of each pair, its derivatives by autograd."""
    with torch.enable_grad():
        ends = [end.detach().requires_grad_(True) for end in (high, low)]
        value = compare(*ends)
        in_high, in_low = torch.autograd.grad(value.sum(), ends, allow_unused=True, materialize_grads=True)
    return Compared(value.detach(), in_high, in_low)


def kind_of(given: Any) -> Kind:
    """The kind of that name, or one made of a function of (high, low).

    Raises: UnknownNameError.
    """
    if isinstance(given, FunctionType):
        return Kind(given, "{high}, {low}", 0.0)
    if given not in KINDS:
        raise UnknownNameError(f"There is no kind of comparison {given!r}. {did_you_mean(str(given), KINDS)}")
    return KINDS[given]


def comparisons(
    rows: EvaluatedRows,
    asked: Mapping[Variable, Any],
    kind: Any,
    by: Any,
    scale: str,
    level: float,
    average: bool,
) -> pd.DataFrame:
    """Each variable's comparisons, a row a comparison and group, or one a row of the data.

    Raises: OptionError, UnknownNameError, LevelError.
    """
    check_scale(scale)
    how = kind_of(kind)
    if not asked:
        raise OptionError("The formula has no variable, so there is nothing to compare.")
    labels, groups = groups_by(rows, by)
    covariance, tables = rows.record.defined_covariance, []
    for variable, choice in asked.items():
        outcomes = _Outcomes(rows, variable.name, scale, groups)
        for contrast in contrasts_of(rows, variable, choice):
            about = {"term": variable.name, "contrast": contrast.label(how.label)}
            if average:
                estimate, error = _of_averages(outcomes, contrast, how, covariance)
                tables.append(labelled(about, labels, wald_columns(rows.record, estimate, error, level, how.null)))
            else:
                estimate, error = _of_rows(outcomes, contrast, how, covariance)
                tables.append(row_table(rows, about, wald_columns(rows.record, estimate, error, level, how.null)))
    return pd.concat(tables, ignore_index=average)


class _Outcome(NamedTuple):
    """The rows' means under a setting, and their derivatives in eta."""

    setting: Setting
    mean: Tensor
    slope: Tensor


class _Outcomes:
    """What a variable's values lead to, each found once."""

    def __init__(self, rows: EvaluatedRows, name: str, scale: str, groups: Groups):
        self.rows, self.name, self.scale, self.groups = rows, name, scale, groups
        self.averaged: dict[Any, tuple[Tensor, Tensor]] = {}

    def at(self, value: Any) -> _Outcome:
        """The rows with that value of the variable; None for the one they have."""
        rows = self.rows
        setting = rows.setting if value is None else rows.changed({self.name: value})
        eta = setting.eta(rows.theta)
        if self.scale == "link":
            return _Outcome(setting, eta, torch.ones_like(eta))
        family = rows.record.family
        return _Outcome(setting, family.mean(eta), family.link.derivative(eta))

    def average(self, value: Any) -> tuple[Tensor, Tensor]:
        """(groups,) averages, and their derivatives (groups, p)."""
        key = id(value) if isinstance(value, Tensor) else value
        if key not in self.averaged:
            setting, mean, slope = self.at(value)
            jacobian = Jacobian((setting.columns,), (slope,), len(self.rows.theta))
            found = weighted_means(mean, self.rows.weights, self.groups)
            self.averaged[key] = found, jacobian.averages(self.rows.weights, self.groups)
        return self.averaged[key]


def _of_averages(outcomes: _Outcomes, contrast: Contrast, how: Kind, covariance: Tensor) -> tuple[Tensor, Tensor]:
    high, in_high = outcomes.average(contrast.high)
    low, in_low = outcomes.average(contrast.low)
    found = compared(how.compare, high, low)
    derivatives = found.in_high[:, None] * in_high + found.in_low[:, None] * in_low
    return found.value, errors_of(derivatives, covariance)


def _of_rows(outcomes: _Outcomes, contrast: Contrast, how: Kind, covariance: Tensor) -> tuple[Tensor, Tensor]:
    high, low = outcomes.at(contrast.high), outcomes.at(contrast.low)
    found = compared(how.compare, high.mean, low.mean)
    factors = (found.in_high * high.slope, found.in_low * low.slope)
    columns = (high.setting.columns, low.setting.columns)
    return found.value, Jacobian(columns, factors, len(outcomes.rows.theta)).errors(covariance)
