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

from torchglm.design.design import Design
from torchglm.design.keys import read_key
from torchglm.design.numbers import row_label
from torchglm.errors import DataError
from torchglm.inference.estimate import Estimate
from torchglm.numerics.described import described


@dataclass(frozen=True)
class RowGroups:
    """Which of `count` groups each row of the design is in: `codes` (n,) int64."""

    label: str
    codes: Tensor
    count: int

    def crossed(self, other: RowGroups, design: Design) -> RowGroups:
        """The groups of rows that share both, those that there are."""
        pairs, codes = torch.unique(self.codes * other.count + other.codes, return_inverse=True)
        if design.shares is not None:
            every = torch.unique(torch.cat(design.everywhere([pairs.cpu()]))).to(pairs.device)
            pairs, codes = every, torch.searchsorted(every, pairs)[codes]
        return RowGroups(f"{self.label} x {other.label}", codes, len(pairs))


def read_values(estimate: Estimate, role: str, given: Any) -> tuple[str, pd.Series]:
    """The label of a key and its values over the rows of the design.

    Raises: UnknownNameError, DataError, OptionError; DataError where a row of the fit has none.
    """
    prepared = estimate.prepared
    label, values = read_key(role, given, prepared.source, prepared.caller)
    rows = prepared.used_of(np.arange(len(values)))
    used = values.iloc[rows]
    ranks = prepared.design.ranks
    if ranks.world > 1:
        ranks.agree({role: described(used if prepared.design.shares is None else given)})
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


def grouped(estimate: Estimate, role: str, label: str, values: pd.Series) -> RowGroups:
    """The groups of equal values, their codes in the order of the values.

    Raises: DataError where there is one group only.
    """
    codes, levels = _factorized(values)
    design = estimate.objective.design
    if design.shares is not None:  # a group may have rows on several ranks, which number it alike
        _, every = _factorized(pd.Series(design.everywhere(list(levels))))
        codes, levels = every.get_indexer(levels)[codes], every
    if len(levels) < 2:
        raise DataError(
            f"{role}={label} is the same in every row of the fit: {str(levels[0])!r}. With one group there is nothing "
            "to tell its variance from."
        )
    return RowGroups(label, torch.from_numpy(codes.astype(np.int64)).to(estimate.objective.design.device), len(levels))


def _factorized(values: pd.Series) -> tuple[np.ndarray, pd.Index]:
    try:
        codes, levels = pd.factorize(values, sort=True)
    except TypeError:  # values of several types have no order; as groups they need none
        codes, levels = pd.factorize(values)
    return codes, pd.Index(levels)


def every_crossing(ways: Sequence[RowGroups], design: Design) -> list[tuple[int, RowGroups]]:
    """Every set of ways crossed, with the sign of its share: + of one or three, - of two or four ways.

    Source: Cameron, Gelbach & Miller (2011), equation 2.13.
    """
    out = []
    for size in range(1, len(ways) + 1):
        for chosen in combinations(ways, size):
            crossed = chosen[0]
            for other in chosen[1:]:
                crossed = crossed.crossed(other, design)
            out.append((1 if size % 2 else -1, crossed))
    return out
