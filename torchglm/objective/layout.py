"""Layout: where each coefficient of each linear predictor stands, inside and for the user.

Inside, theta holds the predictors in turn, each as constant, dense columns and factors, on centred columns.
For the user it holds them in the formula's order, on the columns as given:

    beta_j = inner_j          intercept = inner_0 - sum_j center_j inner_j

Of cuts, from which a predictor without a constant is taken: cut = inner_0 + sum_j center_j inner_j.
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
        return torch.cat([c.positions + s for c, s in zip(self.columns, self._starts, strict=True)])

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

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """The inner place of each predictor's first coefficient."""
        return tuple(sum(self.widths[:k]) for k in range(len(self.widths)))

    @cached_property
    def _homes(self) -> list[tuple[slice, int, float]]:
        """Of each centred predictor its coefficients, and the place of each constant that takes up its centers.

        The constant takes them up with a sign: 1 its own, -1 that of another predictor, from which this one is taken.
        """
        out = []
        for start, c in zip(self._starts, self.columns, strict=True):
            own = slice(start, start + c.width)
            if bool((self.centers[own] != 0).any()):
                out += [(own, start, 1.0)] if c.constant else [(own, self._starts[k], -1.0) for k in c.takers]
        return out

    def _shift(self, values: Tensor, sign: float) -> Tensor:
        """`values` (p, ...) with sign * (centers . values) added to the constants that take up the centers."""
        if not self.is_centered:
            return values
        out = values.clone()
        for own, home, factor in self._homes:
            out[home] += sign * factor * (self.centers[own] @ values[own])
        return out

    def to_user(self, theta: Tensor) -> Tensor:
        """Inner theta (p, ...) -> the user's."""
        return self._shift(theta, -1.0)[self.order]

    def to_inner(self, theta: Tensor) -> Tensor:
        """The user's theta (p,) -> inner."""
        return self._shift(theta[self.positions], 1.0)

    def shifted_constants(self) -> list[tuple[int, Tensor]]:
        """For each constant that takes up centers its place for the user, and the (p,) direction that it is inside."""
        found: dict[int, Tensor] = {}
        for own, home, factor in self._homes:
            if home not in found:
                found[home] = torch.zeros_like(self.centers)
                found[home][home] = 1.0
            found[home][own] -= factor * self.centers[own]
        return [(int(self.positions[home]), inside) for home, inside in found.items()]

    def covariance_to_user(self, inner: Tensor) -> Tensor:
        """An inner covariance (p, p) -> J inner J', J the map of `to_user`."""
        return self.to_user(self.to_user(inner).T)

    def meat_to_user(self, inner: Tensor) -> Tensor:
        """An inner cross product X'DX (p, p) on centred columns -> the same on the columns as given."""
        out = inner.clone() if self.is_centered else inner
        for own, home, factor in self._homes:  # x_j = inner_j + factor center_j * 1
            centers = factor * self.centers[own]
            out[own] += centers[:, None] * out[home].clone()[None, :]
            out[:, own] += out[:, home].clone()[:, None] * centers[None, :]
        return out[self.order][:, self.order]
