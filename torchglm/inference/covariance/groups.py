"""Groups of rows: clusters, or the years of a panel, as integer codes over the rows of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.keys import read_key
from torchglm.design.numbers import row_label
from torchglm.errors import DataError, OptionError
from torchglm.inference.estimate import Estimate
from torchglm.objective.objective import Objective


@dataclass(frozen=True)
class RowGroups:
    """Which of `count` groups each row of the design is in: `codes` (n,) int64."""

    label: str
    codes: Tensor
    count: int

    def crossed(self, other: RowGroups) -> RowGroups:
        """The groups of rows that share both, those that there are."""
        pairs, codes = torch.unique(self.codes * other.count + other.codes, return_inverse=True)
        return RowGroups(f"{self.label} x {other.label}", codes, len(pairs))


def read_values(estimate: Estimate, role: str, given: Any) -> tuple[str, pd.Series]:
    """The label of a key and its values over the rows of the design.

    Raises: UnknownNameError, DataError, OptionError; DataError where a row of the fit has none.
    """
    prepared = estimate.prepared
    label, values = read_key(role, given, prepared.source, prepared.caller)
    rows = prepared.used_of(np.arange(len(values)))
    used = values.iloc[rows]
    missing = used.isna().to_numpy()
    if missing.any():
        row = row_label(prepared.index, int(rows[missing.argmax()]))
        hint = (
            f"Fit with glm(..., cluster={given!r}), which leaves such rows out."
            if role == "cluster" and isinstance(given, str)
            else "Leave such rows out of the fit with subset=."
        )
        raise DataError(f"{role}={label} is missing in row {row} of the fit ({missing.sum()} row(s) in all). {hint}")
    return label, used


def used_label(estimate: Estimate, row: int) -> str:
    """The data's label of a row of the design, as a message shows it."""
    prepared = estimate.prepared
    return row_label(prepared.index, int(prepared.used_of(np.arange(len(prepared.index)))[row]))


def require_one_process(objective: Objective, what: str) -> None:
    """Nothing, where all rows are here.

    Raises: OptionError on several processes, each of which would number its own rows from zero.
    """
    world = objective.design.ranks.world
    if world > 1:
        raise OptionError(f"{what} looks at rows across the data, which {world} processes share. Use one process.")


def grouped(estimate: Estimate, role: str, label: str, values: pd.Series) -> RowGroups:
    """The groups of equal values, their codes in the order of the values.

    Raises: DataError where there is one group only; OptionError on several processes.
    """
    require_one_process(estimate.objective, f"{role}={label}")
    try:
        codes, levels = pd.factorize(values, sort=True)
    except TypeError:  # values of several types have no order; as groups they need none
        codes, levels = pd.factorize(values)
    if len(levels) < 2:
        raise DataError(
            f"{role}={label} is the same in every row of the fit: {str(levels[0])!r}. With one group there is nothing "
            "to tell its variance from."
        )
    return RowGroups(
        label, torch.from_numpy(codes.astype(np.int64)).to(estimate.objective.design.y.device), len(levels)
    )


def every_crossing(ways: Sequence[RowGroups]) -> list[tuple[int, RowGroups]]:
    """Every set of ways crossed, with the sign of its share: + of one or three, - of two or four ways.

    Source: Cameron, Gelbach & Miller (2011), equation 2.13.
    """
    out = []
    for size in range(1, len(ways) + 1):
        for chosen in combinations(ways, size):
            crossed = chosen[0]
            for other in chosen[1:]:
                crossed = crossed.crossed(other)
            out.append((1 if size % 2 else -1, crossed))
    return out
