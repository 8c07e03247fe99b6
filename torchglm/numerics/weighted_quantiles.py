"""Quantiles of values that stand there several times each."""

from __future__ import annotations

import numpy as np


def quantiles(values: np.ndarray, counts: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(probs,) R's quantiles of type 7 of values (rows,), each written out `counts` times."""
    order = np.argsort(values, kind="stable")
    ordered, ends = values[order], np.cumsum(counts[order])
    place = (ends[-1] - 1.0) * probs
    below = np.floor(place)
    low, high = (ordered[np.minimum(np.searchsorted(ends, k, side="right"), len(ends) - 1)] for k in (below, below + 1))
    return low + (place - below) * (high - low)
