"""A curvature with one large diagonal block, eliminated instead of factored.

        | S   B' |      S (k, k)   everything else
    H = |        |      B (m, k)   the large factor x everything else
        | B   D  |      D (m,)     the large factor: a diagonal, because a row has one level only

The Schur complement S - B' D^-1 B is k x k, so a factor of m levels costs m k^2 and not m^3, and memory m k.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from torchglm.numerics.linalg import Factored, Triangular, factor_gram


@dataclass(frozen=True)
class Arrow(Factored):
    """The factored arrow; the eliminated coefficients stand last."""

    schur: Triangular
    diagonal: Tensor  # (m,)
    cross: Tensor  # (m, k)
    head_lengths: Tensor  # (k,) sqrt(diag(S))
    smallest_pivot: float
    indefinite: bool = False

    @cached_property
    def aliased(self) -> Tensor:
        """Levels without rows, and what the Schur complement leaves out."""
        return torch.cat([self.schur.aliased, self.diagonal <= 0])

    @cached_property
    def _reciprocal(self) -> Tensor:
        return reciprocal(self.diagonal)

    @property
    def _ratio(self) -> Tensor:
        return self.cross * self._reciprocal[:, None]  # D^-1 B

    def solve(self, g: Tensor) -> Tensor:
        """H^-1 g by elimination and back-substitution."""
        k = len(self.schur.scale)
        shrink = self._reciprocal if g.dim() == 1 else self._reciprocal[:, None]
        tail = g[k:] * shrink
        x = self.schur.solve(g[:k] - self.cross.T @ tail)
        return torch.cat([x, tail - (self.cross @ x) * shrink])

    def inverse(self) -> Tensor:
        """H^-1 written out: (k + m)^2 numbers."""
        head = self.schur.inverse()
        ratio = self._ratio
        off = -(ratio @ head)
        tail = -(off @ ratio.T)
        tail.diagonal().add_(self._reciprocal)
        return torch.cat([torch.cat([head, off.T], dim=1), torch.cat([off, tail], dim=1)])

    def inverse_diagonal(self) -> Tensor:
        """diag(H^-1): the tail is 1/D + rowwise (D^-1 B) Schur^-1 (D^-1 B)'."""
        head = self.schur.inverse()
        ratio = self._ratio
        return torch.cat([head.diagonal(), self._reciprocal + ((ratio @ head) * ratio).sum(1)])

    def logdet(self) -> float:
        """log det H = log det D + log det Schur."""
        return float(self.diagonal[self.diagonal > 0].log().sum()) + self.schur.logdet()

    @property
    def lengths(self) -> Tensor:
        """sqrt(diag(H))."""
        return torch.cat([self.head_lengths, self.diagonal.sqrt()])

    def scaled(self, factor: float) -> Arrow:
        """factor * H."""
        return replace(
            self,
            schur=self.schur.scaled(factor),
            diagonal=self.diagonal * factor,
            cross=self.cross * factor,
            head_lengths=self.head_lengths * factor**0.5,
        )


def reciprocal(diagonal: Tensor) -> Tensor:
    """1 / diagonal, and 0 for a level without rows."""
    return torch.where(diagonal > 0, 1.0 / diagonal, 0.0)


def factor_arrow(head: Tensor, cross: Tensor, diagonal: Tensor, order: Tensor) -> Arrow | None:
    """The factored arrow; None where columns span each other: only the full matrix knows which of them came later."""
    if not bool((diagonal >= 0).all()):
        return None
    lengths = head.diagonal()
    schur = head - cross.T @ (cross * reciprocal(diagonal)[:, None])
    factored = factor_gram(schur, order, reference=torch.where(lengths > 0, lengths, 1.0), floor=0.0 * lengths)
    if factored.indefinite or int(factored.aliased.sum()) > int((lengths <= 0).sum()):
        return None
    return Arrow(factored, diagonal, cross, lengths.clamp(min=0.0).sqrt(), factored.smallest_pivot)
