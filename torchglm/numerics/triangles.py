"""Many small symmetric matrices factored side by side: the matrices are the last dimension, columns go one by one.

A LAPACK call a matrix costs a microsecond or two before it begins; so do a few hundred multiplications of one entry of
ten thousand matrices. Rank is told as `factor_gram` tells it, for each matrix by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchglm.numerics.linalg import ENOUGH_DIGITS, GRAM_PIVOT

NARROW = 24  # columns: from here LAPACK factors those of full rank
SURELY_SPANNED = 1e-13  # a pivot below is rounding


@dataclass(frozen=True)
class Triangles:
    """B matrices H = S^-1 L L' S^-1, rows and columns in `order`, without those that are fixed or aliased.

    Shapes: lower (p, p, B), with a one where a column is left out; scale (p, B), zero there; left_out (p, B);
    doubtful (B,) True where too few digits are left for an inverse, or to tell whether a column is left out.
    """

    lower: Tensor
    scale: Tensor
    left_out: Tensor
    doubtful: Tensor
    order: Tensor

    @cached_property
    def _places(self) -> Tensor:
        return torch.argsort(self.order)

    def solve(self, right: Tensor) -> Tensor:
        """H^-1 r of right-hand sides (B, p): (B, p), zero where a column is left out."""
        lower, p = self.lower, len(self.lower)
        z = right.T[self.order] * self.scale
        for j in range(p):
            z[j] -= (lower[j, :j] * z[:j]).sum(0)
            z[j] /= lower[j, j]
        for j in range(p - 1, -1, -1):
            z[j] -= (lower[j + 1 :, j] * z[j + 1 :]).sum(0)
            z[j] /= lower[j, j]
        return (z * self.scale)[self._places].T

    def inverse(self) -> Tensor:
        """H^-1 (B, p, p), zero where a column is left out."""
        root = self._inverse_root()[:, self._places]
        return torch.einsum("kib,kjb->bij", root, root)

    def inverse_diagonal(self) -> Tensor:
        """diag(H^-1) (B, p)."""
        return self._inverse_root().square().sum(0)[self._places].T

    def _inverse_root(self) -> Tensor:
        """L^-1 S (p, p, B), in `order`."""
        lower, p = self.lower, len(self.lower)
        root = torch.zeros_like(lower)
        for j in range(p):
            root[j, j] = 1.0
            if j:
                root[j, :j] = -(lower[j, :j, None] * root[:j, :j]).sum(0)
            root[j, : j + 1] /= lower[j, j]
        return root * self.scale

    @property
    def aliased(self) -> Tensor:
        """(B, p) the columns left out."""
        return self.left_out[self._places].T


def factor_many(matrices: Tensor, free: Tensor, order: Tensor, tolerance: float = GRAM_PIVOT) -> Triangles:
    """Symmetric matrices (B, p, p), factored over the columns that are `free` (B, p).

    A column that those before it, in `order` (p,), span is left out; so is one that is not finite.
    """
    p = len(order)
    ordered = matrices.permute(1, 2, 0)[order][:, order]
    diagonal = ordered.diagonal().T
    usable = free.T[order] & (diagonal > 0) & (diagonal < torch.inf)
    scale = torch.where(usable, diagonal, 1.0).rsqrt() * usable
    if p <= NARROW:
        return _columnwise(ordered, usable, scale, order, tolerance)
    correlation = ordered * scale[:, None] * scale[None, :]
    correlation.diagonal().T.add_((~usable).to(correlation.dtype))
    lower, failed = torch.linalg.cholesky_ex(correlation.permute(2, 0, 1))
    pivots = lower.diagonal(dim1=1, dim2=2).square().amin(1)
    bad = (failed != 0) | ~(pivots > tolerance)
    lower = lower.permute(1, 2, 0).contiguous()
    found = Triangles(lower, scale, ~usable, pivots < ENOUGH_DIGITS, order)
    if not bool(bad.any()):
        return found
    some = _columnwise(ordered[:, :, bad], usable[:, bad], scale[:, bad], order, tolerance)
    lower[:, :, bad], found.scale[:, bad] = some.lower, some.scale
    found.left_out[:, bad], found.doubtful[bad] = some.left_out, some.doubtful
    return found


def _columnwise(ordered: Tensor, usable: Tensor, scale: Tensor, order: Tensor, tolerance: float) -> Triangles:
    p, count = len(order), ordered.shape[2]
    lower = ordered.new_zeros(p, p, count)
    kept = usable.clone()
    doubtful = torch.zeros(count, dtype=torch.bool, device=ordered.device)
    for j in range(p):
        row = lower[j, :j]
        pivot = (ordered[j, j] * scale[j].square()) - row.square().sum(0)
        kept[j] &= pivot > tolerance
        doubtful |= usable[j] & (pivot > SURELY_SPANNED) & (pivot < ENOUGH_DIGITS)
        root = torch.where(kept[j], pivot, 1.0).sqrt()
        lower[j, j] = root
        below = ordered[j + 1 :, j] * scale[j + 1 :] * scale[j] - (lower[j + 1 :, :j] * row).sum(1)
        lower[j + 1 :, j] = torch.where(kept[j], below / root, 0.0)
        lower[j, :j] = torch.where(kept[j], row, 0.0)
    return Triangles(lower, scale * kept, ~kept, doubtful, order)
