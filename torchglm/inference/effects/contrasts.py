"""Contrasts of k estimates by name, as rows of weights with their labels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError, did_you_mean
from torchglm.inference.hypotheses.constraints import combination_text


@dataclass(frozen=True)
class Contrasts:
    """Weights (contrasts, k), and each row's two sides for a label; `all_pairs` where every pair is there once.

    A side that is empty leaves its label as the other one is.
    """

    weights: Tensor
    sides: tuple[tuple[str, str], ...]
    all_pairs: bool = False

    def labels(self, sign: str) -> list[str]:
        """As a table names them: "a - b", or "a / b" where the sign is "/"."""
        return [f"{left} {sign} {right}" if right else left for left, right in self.sides]


Pairs = list[tuple[int, int]]
PAIRED: dict[str, Callable[[int], Pairs]] = {
    "pairwise": lambda k: list(itertools.combinations(range(k), 2)),
    "reverse pairwise": lambda k: [(b, a) for b in range(k) for a in range(b)],
    "reference": lambda k: [(b, 0) for b in range(1, k)],
    "sequential": lambda k: [(b + 1, b) for b in range(k - 1)],
}
METHODS = (*PAIRED, "mean")


def contrasts_by(method: Any, names: list[str]) -> Contrasts:
    """The contrasts of a name, a dict of weights by label, or a matrix with one column an estimate.

    pairwise          each against each, first - second; "reverse pairwise" the other way round
    reference         each against the first
    sequential        each against the one before
    mean              each against the mean of all

    Raises: OptionError for another name, for a matrix of another width, and for weights that do not add up to zero.
    """
    k = len(names)
    if isinstance(method, str):
        if method in PAIRED:
            pairs = PAIRED[method](k)
            weights = torch.zeros(len(pairs), k, dtype=torch.float64)
            for row, (plus, minus) in zip(weights, pairs, strict=True):
                row[plus], row[minus] = 1.0, -1.0
            sides = tuple((names[plus], names[minus]) for plus, minus in pairs)
            return Contrasts(weights, sides, "pairwise" in method)
        if method == "mean":
            weights = torch.eye(k, dtype=torch.float64) - 1.0 / k
            return Contrasts(weights, tuple((name, "mean") for name in names))
        raise OptionError(f"There are no contrasts {method!r}. {did_you_mean(method, METHODS)}")
    return _given(method, names)


def _given(method: Any, names: list[str]) -> Contrasts:
    if isinstance(method, Mapping):
        labels, table = list(map(str, method)), list(method.values())
    elif isinstance(method, pd.DataFrame):
        labels, table = list(map(str, method.index)), method.to_numpy()
    else:
        labels, table = [], method
    try:
        matrix = np.atleast_2d(np.array(table, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise OptionError(f"Contrasts are a name, a dict of weights by label, or a matrix; got {method!r}.") from error
    if matrix.ndim != 2 or matrix.shape[1] != len(names) or not len(matrix) or not np.isfinite(matrix).all():
        raise OptionError(
            f"Contrasts have one finite weight for each of the {len(names)} estimates ({', '.join(names[:6])}); "
            f"got shape {matrix.shape}."
        )
    for row in matrix:
        if abs(row.sum()) > 1e-8 * np.abs(row).sum():
            raise OptionError(f"The weights of a contrast add up to zero; those of {row.tolist()} to {row.sum():g}.")
    labels = labels or [combination_text(row, names) for row in matrix]
    return Contrasts(torch.from_numpy(matrix), tuple((label, "") for label in labels))
