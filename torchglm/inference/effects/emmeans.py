"""Estimated marginal means: eta on a balanced grid of all levels, averaged over the levels not asked for.

Numeric variables stand at their means, the offset at its mean over the rows, and every combination of the other
factors' levels counts the same. Each mean is linear in theta, L theta + offset; the response scale is its image.

Source: R's emmeans with cov.keep = 0 (Searle, Speed & Milliken 1980, "Population marginal means in the linear model").
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchglm.design.environment import names_in
from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.inference.aliasing import combinations
from torchglm.inference.effects.grid import asked_values, crossed
from torchglm.inference.effects.marginal_means import MarginalMeans
from torchglm.inference.effects.table import names_of
from torchglm.inference.effects.variables import mean_of, variables_of
from torchglm.inference.estimate import Estimate
from torchglm.inference.jacobian import Groups, Jacobian
from torchglm.inference.prediction.predict import check_scale
from torchglm.inference.record import Record
from torchglm.inference.rows import EvaluatedRows, rows_of_data

TOUCHED = 1e-6  # a share of a combination that the fit cannot tell; below it is rounding


def marginal_means(
    rows: EvaluatedRows,
    estimate: Estimate | None,
    specs: Any,
    by: Any,
    at: Any,
    offset: float | None,
    scale: str,
    level: float,
) -> MarginalMeans:
    """The means of every combination of the variables that `specs` and `by` name.

    Raises: OptionError, UnknownNameError, LevelError.
    """
    check_scale(scale)
    names, groups = _names(specs, by)
    record = rows.record
    values = _values(rows, at)
    for name in (*names, *groups):
        if name not in values:
            raise UnknownNameError(f"{name!r} is no variable of the fit. {did_you_mean(name, values)}")
    wanted = (*reversed(groups), *reversed(names))  # the first name varies fastest
    rest = [name for name in values if name not in wanted]
    frame = crossed("The grid", {name: values[name] for name in (*wanted, *rest)})
    grid = rows_of_data(record, frame, _no_offset(record, len(frame)), "The grid")
    if grid.kept is not None:
        raise OptionError("A transform of the formula is not defined at the means of the variables. Give at=.")
    cells = len(frame) // int(np.prod([len(values[name]) for name in rest]))
    codes = torch.arange(len(frame)) // (len(frame) // cells)
    matrix, offsets = _averaged(grid, rows, Groups(codes, cells), at, offset)
    labels = frame.iloc[:: len(frame) // cells].reset_index(drop=True)[[*names, *groups]]
    matrix[~_estimable(record, estimate, matrix)] = torch.nan
    means = MarginalMeans(record, labels, groups, matrix, offsets, scale, level)
    return replace(means, note=_note(rows, means, values))


def _names(specs: Any, by: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names asked for and those of the groups: of "a", ["a", "b"], "a * b" or "a | b"."""
    groups = [] if by is None else names_of("by", by)
    if isinstance(specs, str):
        left, bar, right = specs.partition("|")
        specs = [name for name in re.split(r"[\s*:+~]+", left) if name]
        groups += [name for name in re.split(r"[\s*:+]+", right) if name]
        if bar and not groups:
            raise OptionError("specs= names nothing after |.")
    names = [name for name in names_of("specs", specs) if name not in groups]
    if not names:
        raise OptionError("specs= names nothing beside the groups.")
    return tuple(names), tuple(dict.fromkeys(groups))


def _values(rows: EvaluatedRows, at: Any) -> dict[str, list[Any]]:
    """The values of every variable in the grid: those of `at`, else all levels, or the mean."""
    given = {} if at is None else asked_values(rows, "at", at)
    return {
        name: given[name]
        if name in given
        else [mean_of(rows, name)]
        if variable.levels is None
        else list(variable.levels)
        for name, variable in variables_of(rows, offsets=True).items()
    }


def _no_offset(record: Record, rows: int) -> dict[str, Any]:
    """Zeros and ones in place of an offset or exposure that was an array."""
    arrays = {extra.role for extra in record.extras if extra.factor is None}
    return {role: np.full(rows, 1.0 if role == "exposure" else 0.0) for role in arrays}


def _averaged(
    grid: EvaluatedRows, rows: EvaluatedRows, groups: Groups, at: Any, offset: float | None
) -> tuple[Tensor, Tensor]:
    """L (means, p), and the offset (means,): the number given, that of the grid where `at` sets it, else the mean."""
    setting = grid.setting
    one = torch.ones(grid.rows, dtype=torch.float64)
    matrix = Jacobian((setting.columns,), (one,), len(rows.theta)).averages(None, groups)
    if offset is not None:
        return matrix, torch.full((groups.count,), float(offset), dtype=torch.float64)
    used = {name for factor in rows.record.offset_factors for name in names_in(factor)}
    if at is not None and used & set(at):
        assert grid.offset is not None
        return matrix, groups.sum(grid.offset) / groups.sum(one)
    if rows.offset is None:
        return matrix, torch.zeros(groups.count, dtype=torch.float64)
    weights = torch.ones_like(rows.offset) if rows.weights is None else rows.weights
    mean = rows.offset.dot(weights) / weights.sum()
    return matrix, mean.expand(groups.count)


def _estimable(record: Record, estimate: Estimate | None, matrix: Tensor) -> Tensor:
    """(means,) True where L theta is the same for every theta that fits the rows equally well.

    Without the data of the fit, a mean that uses an aliased column counts as not estimable.
    """
    aliased = torch.isnan(record.numbers.theta)
    if not bool(aliased.any()):
        return torch.ones(len(matrix), dtype=torch.bool)
    if estimate is None:
        return (matrix[:, aliased] == 0.0).all(1)
    places, shares = combinations(estimate)
    zero = -shares  # combinations of columns that are zero in every row
    zero[places, torch.arange(len(places))] = 1.0
    return ((matrix @ zero).abs() <= TOUCHED * (matrix.abs() @ zero.abs())).all(1)


def _note(rows: EvaluatedRows, means: MarginalMeans, values: dict[str, list[Any]]) -> str:
    """What the table does not show: over what was averaged, where numeric variables and the offset stand, the scale."""
    rest = [name for name in variables_of(rows) if name not in means.labels]
    over = [name for name in rest if len(values[name]) > 1]
    single = [(name, values[name][0]) for name in rest if len(values[name]) == 1]
    fixed = [f"{name} = {v:.6g}" if isinstance(v, float) else f"{name} = {v}" for name, v in single]
    offsets = means.offset.unique()
    if len(offsets) == 1 and (rows.offset is not None or bool(offsets[0] != 0)):
        fixed.append(f"offset = {float(offsets[0]):.6g}")
    lines = [f"Averaged, with equal weights, over the levels of {', '.join(over)}."] if over else []
    lines += [f"At {', '.join(fixed)}."] if fixed else []
    shown = "response" if means.scale == "response" else rows.record.family.link.name
    lines.append(f"On the {shown} scale, intervals of level {means.level:g}.")
    if bool(torch.isnan(means.matrix).any()):
        lines.append("NaN: not estimable, because of aliased coefficients.")
    return "\n".join(lines)
