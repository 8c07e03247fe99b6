"""Slopes: how the mean, or eta, changes with a numeric variable, through every term that uses it.

With the columns X(x) of a row as a function of the variable,

    d mu / d x         = mu'(eta) eta',            eta' = (dX / dx) theta
    d (d mu / d x) / d theta = mu''(eta) eta' X + mu'(eta) dX / dx

dX / dx is that of the columns, found once and free of theta, so that the delta method is exact in theta. Where the
variable enters as itself, alone or multiplied by others, dX / dx = X(1) - X(0) exactly; inside of code, as in
poly(x, 3) or log(x), it is a difference of five nodes, good to about 1e-10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from torchglm.design.columns import Columns
from torchglm.design.environment import names_in
from torchglm.design.schema import Categorical
from torchglm.errors import OptionError
from torchglm.inference.effects.stencil import nodes
from torchglm.inference.effects.table import groups_by, labelled, row_table, weighted_means
from torchglm.inference.effects.variables import Variable, chosen, numbers_of, variables_of
from torchglm.inference.jacobian import Jacobian
from torchglm.inference.prediction.predict import check_scale
from torchglm.inference.rows import EvaluatedRows
from torchglm.inference.setting import Setting
from torchglm.inference.wald import errors_of, wald_columns


@dataclass(frozen=True)
class Base:
    """The rows as they are: eta, and the first two derivatives of the response in it."""

    eta: Tensor
    first: Tensor
    second: Tensor | None  # None where the first is one


@dataclass(frozen=True)
class Slope:
    """(rows,) d eta / d x, and the settings with their weights that it is made of: columns with the variable only."""

    value: Tensor
    columns: tuple[Columns, ...]
    weights: tuple[Tensor, ...]


def slopes(
    rows: EvaluatedRows,
    reference: EvaluatedRows,
    names: list[str] | None,
    by: Any,
    scale: str,
    level: float,
    average: bool,
) -> pd.DataFrame:
    """Average slopes, one row a variable and group, or one a row of the data.

    `reference` holds the rows whose range and spread of a variable set the steps of its differences.
    Raises: OptionError for a variable with levels, and where there is no numeric one; UnknownNameError.
    """
    check_scale(scale)
    variables = _numeric(rows, names)
    theta, covariance = rows.theta, rows.record.defined_covariance
    base = _base(rows, scale)
    labels, groups = groups_by(rows, by)
    tables = []
    for variable in variables:
        slope = _slope(rows, reference, variable.name, theta)
        value = base.first * slope.value
        columns, factors = slope.columns, tuple(base.first * weight for weight in slope.weights)
        if base.second is not None:
            columns, factors = (*columns, rows.setting.columns), (*factors, base.second * slope.value)
        jacobian = Jacobian(columns, factors, len(theta))
        term = {"term": variable.name}
        if average:
            estimate = weighted_means(value, rows.weights, groups)
            error = errors_of(jacobian.averages(rows.weights, groups), covariance)
            tables.append(labelled(term, labels, wald_columns(rows.record, estimate, error, level)))
        else:
            tables.append(row_table(rows, term, wald_columns(rows.record, value, jacobian.errors(covariance), level)))
    return pd.concat(tables, ignore_index=average)


def _numeric(rows: EvaluatedRows, names: list[str] | None) -> list[Variable]:
    if names is None:
        found = [v for v in variables_of(rows).values() if v.levels is None and not _coded_from(rows, v.name)]
        if not found:
            raise OptionError("The formula has no numeric variable, so there is no slope. Ask for comparisons().")
        return found
    found = list(chosen(rows, names).values())
    for variable in found:
        coded = "" if variable.levels is not None else _coded_from(rows, variable.name)
        if variable.levels is not None:
            shown = ", ".join(repr(level) for level in variable.levels[:6])
            raise OptionError(
                f"{variable.name!r} has levels ({shown}), so it has no slope. "
                f"Ask for comparisons(fit, {variable.name!r})."
            )
        if coded:
            raise OptionError(
                f"{variable.name!r} has no slope: {coded!r} makes levels of it. "
                f"Ask for comparisons(fit, {{{variable.name!r}: (low, high)}})."
            )
    return found


def _coded_from(rows: EvaluatedRows, name: str) -> str:
    """The code that makes levels of a numeric variable; empty for none."""
    schema = rows.record.schema
    made = [f.text for f in schema.parsed.factors if name in names_in(f)]
    return next((text for text in made if isinstance(schema.factors[text], Categorical)), "")


def _base(rows: EvaluatedRows, scale: str) -> Base:
    eta = rows.setting.eta(rows.theta)
    if scale == "link":
        return Base(eta, torch.ones_like(eta), None)
    link = rows.record.family.link
    return Base(eta, link.derivative(eta), link.second_derivative(eta))


def _slope(rows: EvaluatedRows, reference: EvaluatedRows, name: str, theta: Tensor) -> Slope:
    steps = _exact_steps(rows) if _enters_as_itself(rows, name) else _difference_steps(rows, reference, name)
    value = torch.zeros(rows.rows, dtype=torch.float64)
    kept, weights = [], []
    for x, weight in steps:
        setting = _with_variable_only(rows.changed({name: x}), rows, name)
        value += weight * setting.eta(theta)
        kept.append(setting.columns)
        weights.append(weight)
    return Slope(value, tuple(kept), tuple(weights))


def _enters_as_itself(rows: EvaluatedRows, name: str) -> bool:
    """Whether every term and the offset are linear in the variable."""
    record = rows.record
    used = [f for f in record.factors if name in names_in(f)]
    exposed = record.exposure is not None and record.exposure.factor in used
    return not exposed and all(f.kind == "lookup" for f in used)


def _exact_steps(rows: EvaluatedRows) -> list[tuple[Any, Tensor]]:
    one = torch.ones(rows.rows, dtype=torch.float64)
    return [(1.0, one), (0.0, -one)]


def _difference_steps(rows: EvaluatedRows, reference: EvaluatedRows, name: str) -> list[tuple[Any, Tensor]]:
    x, seen = numbers_of(rows, name), numbers_of(reference, name)
    low, high = min(float(x.min()), float(seen.min())), max(float(x.max()), float(seen.max()))
    return list(nodes(x, low, high, float(seen.std(correction=0))))


def _with_variable_only(setting: Setting, rows: EvaluatedRows, name: str) -> Setting:
    """The setting without the columns of terms that do not use the variable: they cancel in a difference."""
    schema = rows.record.schema
    using = [t.label for t in schema.parsed.terms if any(name in names_in(f) for f in t.factors if f.kind != "literal")]
    names = {column for label in using for column in schema.term_names[label]}
    columns = setting.columns
    kept = torch.tensor([column in names for column in schema.names])[columns.positions]
    fewer = columns.restricted(kept)
    return Setting(_placed(fewer, columns.positions[kept]), setting.offset, setting.rows)


def _placed(columns: Columns, positions: Tensor) -> Columns:
    return Columns(columns.constant, columns.dense, columns.coded, positions)
