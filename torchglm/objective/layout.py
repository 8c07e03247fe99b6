"""Layout: where each coefficient of each linear predictor stands, inside and for the user.

Inside, theta holds the predictors in turn, each as constant, dense columns and factors, on centred columns.
For the user it holds them in the formula's order, on the columns as given:

    beta_j = inner_j          intercept = inner_0 - sum_j center_j inner_j
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchglm.design.columns import Columns


@dataclass(frozen=True)
class Layout:
    """The coefficients of all predictors side by side."""

    columns: tuple[Columns, ...]

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Coefficients of each predictor."""
        return tuple(c.width for c in self.columns)

    @property
    def width(self) -> int:
        """All coefficients, p."""
        return sum(self.widths)

    @cached_property
    def positions(self) -> Tensor:
        """(p,) the user's place of every inner coefficient."""
        starts = [sum(self.widths[:k]) for k in range(len(self.widths))]
        return torch.cat([c.positions + s for c, s in zip(self.columns, starts, strict=True)])

    @cached_property
    def order(self) -> Tensor:
        """(p,) the inner place of every coefficient of the user: the inverse of `positions`."""
        return torch.argsort(self.positions)

    def split(self, theta: Tensor) -> tuple[Tensor, ...]:
        """theta (p,) -> one beta a predictor."""
        return theta.split(self.widths)

    @cached_property
    def centers(self) -> Tensor:
        """(p,) what is subtracted from each inner column; zero for constants and factors."""
        pieces = []
        for c in self.columns:
            center = torch.zeros(c.width, dtype=torch.float64, device=c.positions.device)
            center[int(c.constant) : int(c.constant) + c.dense.width] = c.dense.centers
            pieces.append(center)
        return torch.cat(pieces)

    @cached_property
    def is_centered(self) -> bool:
        """Whether any column is centred."""
        return bool((self.centers != 0).any())

    def _shift(self, values: Tensor, sign: float) -> Tensor:
        """`values` (p, ...) with sign * (centers . values) added to each predictor's constant."""
        if not self.is_centered:
            return values
        out = values.clone()
        start = 0
        for c in self.columns:
            stop = start + c.width
            if c.constant:
                out[start] += sign * (self.centers[start:stop] @ values[start:stop])
            start = stop
        return out

    def to_user(self, theta: Tensor) -> Tensor:
        """Inner theta (p, ...) -> the user's."""
        return self._shift(theta, -1.0)[self.order]

    def to_inner(self, theta: Tensor) -> Tensor:
        """The user's theta (p,) -> inner."""
        return self._shift(theta[self.positions], 1.0)

    def shifted_constants(self) -> list[tuple[int, Tensor]]:
        """For each centred predictor its constant's place for the user, and the (p,) direction that it is inside."""
        out, start = [], 0
        for c in self.columns:
            stop = start + c.width
            inside = torch.zeros(self.width, dtype=torch.float64, device=c.positions.device)
            inside[start:stop] = -self.centers[start:stop]
            if c.constant and bool((inside != 0).any()):
                inside[start] = 1.0
                out.append((int(self.positions[start]), inside))
            start = stop
        return out

    def covariance_to_user(self, inner: Tensor) -> Tensor:
        """An inner covariance (p, p) -> J inner J', J the map of `to_user`."""
        return self.to_user(self.to_user(inner).T)

    def meat_to_user(self, inner: Tensor) -> Tensor:
        """An inner cross product X'DX (p, p) on centred columns -> the same on the columns as given."""
        out = inner
        if self.is_centered:
            out = inner.clone()
            start = 0
            for c in self.columns:
                stop = start + c.width
                if c.constant:  # x_j = inner_j + center_j * 1
                    centers = self.centers[start:stop]
                    out[start:stop] += centers[:, None] * out[start].clone()[None, :]
                    out[:, start:stop] += out[:, start].clone()[:, None] * centers[None, :]
                start = stop
        return out[self.order][:, self.order]
