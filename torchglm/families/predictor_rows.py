"""Row terms put together from one tensor a predictor, or a pair of predictors.

They are laid out one predictor after the other, for the sums over rows take one predictor, or one pair, at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def gradient_of(columns: Sequence[Tensor]) -> Tensor:
    """(rows, q) from q tensors (rows,)."""
    return torch.stack(list(columns)).T


def curvature_of(pairs: Mapping[tuple[int, int], Tensor], q: int) -> Tensor:
    """(rows, q, q), symmetric, from the pairs (k, l) with k <= l; a pair left out is zero."""
    first = next(iter(pairs.values()))
    whole = (
        first.new_zeros((q, q, len(first))) if len(pairs) < q * (q + 1) // 2 else first.new_empty((q, q, len(first)))
    )
    for (k, l), entry in pairs.items():
        whole[k, l] = entry
        if k != l:
            whole[l, k] = entry
    return whole.permute(2, 0, 1)
