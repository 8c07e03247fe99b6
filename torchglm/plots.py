"""Plots of fits, with matplotlib (`pip install "torchglm[plots]"`): each returns its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from torchglm.design.sources import open_source
from torchglm.errors import DataError, OptionError, UnknownNameError, did_you_mean
from torchglm.fit import Fit
from torchglm.vector_fit import VectorFit

GRID = 200  # points a side of a decision boundary


def plot_trace(fit: Fit | VectorFit, columns: str | Sequence[str] = "loss", *, ax: Any = None) -> Any:
    """The axes with a line for each column of `fit.trace` against the step, an epoch of SGD; polishing is dotted.

    Raises: UnknownNameError for a column that the trace lacks; OptionError without matplotlib.
    """
    ax = _axes(ax)
    trace, columns = fit.trace, [columns] if isinstance(columns, str) else list(columns)
    epochs = np.count_nonzero(trace["epoch"].notna()) if "epoch" in trace else len(trace)
    for name in columns:
        if name not in trace:
            raise UnknownNameError(f"The trace has no column {name!r}. {did_you_mean(name, list(trace.columns))}")
        (line,) = ax.plot(trace["step"][:epochs], trace[name][:epochs], marker=".", label=name)
        if epochs < len(trace):
            rest = slice(epochs - 1, None)
            ax.plot(trace["step"][rest], trace[name][rest], ":", color=line.get_color())
    ax.set_xlabel("epoch" if "epoch" in trace else "step")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_ylabel(columns[0] if len(columns) == 1 else "")
    if len(columns) > 1:
        ax.legend()
    return ax


def plot_decision_boundary(
    fit: Fit | VectorFit, data: Any, x1: str, x2: str, *, at: Mapping[str, Any] | None = None, ax: Any = None
) -> Any:
    """The axes with the classes that a fit predicts over the plane of two numeric columns, and the rows of `data`.

    fit  binomial: the boundary is where the probability is 1/2; multinomial, ordinal: where the likeliest class changes
    at   values of the other columns that the formula uses

    Raises: OptionError for a fit without classes, for one column twice, for columns that nothing is said of, and
    without matplotlib; DataError for a column that is not numeric; UnknownNameError.
    """
    if x1 == x2:
        raise OptionError(f"A plane has two columns: x1 and x2 are both {x1!r}.")
    source = open_source(data)
    plane = {name: _numbers(source.column(name), name) for name in (x1, x2)}
    ends = [_ends(values) for values in plane.values()]
    one, two = np.meshgrid(*(np.linspace(low, high, GRID) for low, high in ends))
    grid = pd.DataFrame({x1: one.ravel(), x2: two.ravel()})
    for name, value in (at or {}).items():
        grid[name] = value
    response = fit.record.facts.response
    labels = _labels(fit)
    regions = _predicted(fit, grid)
    codes = _codes(source.column(response), labels)
    ax = _axes(ax)
    colors = [f"C{k}" for k in range(len(labels))]
    levels = np.arange(-0.5, len(labels))
    ax.contourf(one, two, regions.reshape(one.shape), levels=levels, colors=colors, alpha=0.2)
    for k, label in enumerate(labels):
        rows = codes == k
        ax.scatter(plane[x1][rows], plane[x2][rows], s=12, label=str(label), color=colors[k])
    ax.set_xlabel(x1)
    ax.set_ylabel(x2)
    ax.legend(title=response)
    return ax


def _labels(fit: Fit | VectorFit) -> tuple[Any, ...]:
    """The classes, in order."""
    if isinstance(fit, VectorFit):
        labels = fit.classes
    else:
        labels = fit.record.facts.response_levels or ((0, 1) if fit.family.mean_domain.upper == 1.0 else ())
    if not labels:
        raise OptionError("A decision boundary is for models of classes: binomial, multinomial, ordinal.")
    return tuple(labels)


def _predicted(fit: Fit | VectorFit, grid: pd.DataFrame) -> np.ndarray:
    """The code of the class of every point."""
    try:
        if isinstance(fit, VectorFit):
            return np.asarray(fit.predict(grid, kind="class").cat.codes)
        return (np.asarray(fit.predict(grid)) > 0.5).astype(int)
    except UnknownNameError as error:
        raise OptionError(f"{error} A column that is not of the plane gets its value by at={{name: value}}.") from error


def _codes(response: pd.Series, labels: tuple[Any, ...]) -> np.ndarray:
    """The code of the class of every row; -1 for none."""
    if labels == (0, 1):
        numbers = np.asarray(response, dtype=float)
        return np.where(np.isnan(numbers), -1, numbers > 0.5)
    return np.asarray(pd.Categorical(response, categories=list(labels)).codes)


def _numbers(column: pd.Series, name: str) -> np.ndarray:
    if not pd.api.types.is_numeric_dtype(column.dtype):
        raise DataError(f"The column {name!r} of a decision boundary is numeric; it holds {column.dtype}.")
    return column.to_numpy(dtype=float)


def _ends(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis: the data's, and a little more."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _axes(ax: Any) -> Any:
    """The axes given, or new ones."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise OptionError('Plots need matplotlib: pip install "torchglm[plots]".') from error
    return pyplot.subplots()[1] if ax is None else ax
