"""A curvature with one large diagonal block, eliminated instead of factored.

        | S   B' |      S (k, k)   everything else
    H = |        |      B (m, k)   the large factor x everything else
        | B   D  |      D (m,)     the large factor: a diagonal, because a row has one level only

The Schur complement S - B' D^-1 B is k x k, so a factor of m levels costs m k^2 and not m^3, and memory m k.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    aliased: Tensor
    smallest_pivot: float
    indefinite: bool = False

    @property
    def _ratio(self) -> Tensor:
        return self.cross / self.diagonal[:, None]  # D^-1 B

    def solve(self, g: Tensor) -> Tensor:
        """H^-1 g by elimination and back-substitution."""
        k = len(self.schur.scale)
        diagonal = self.diagonal if g.dim() == 1 else self.diagonal[:, None]
        head, tail = g[:k], g[k:] / diagonal
        x = self.schur.solve(head - self.cross.T @ tail)
        return torch.cat([x, tail - (self.cross @ x) / diagonal])

    def inverse(self) -> Tensor:
        """H^-1 written out: (k + m)^2 numbers."""
        head = self.schur.inverse()
        ratio = self._ratio
        off = -(ratio @ head)
        tail = -(off @ ratio.T)
        tail.diagonal().add_(1.0 / self.diagonal)
        return torch.cat([torch.cat([head, off.T], dim=1), torch.cat([off, tail], dim=1)])

    def inverse_diagonal(self) -> Tensor:
        """diag(H^-1): the tail is 1/D + rowwise (D^-1 B) Schur^-1 (D^-1 B)'."""
        head = self.schur.inverse()
        ratio = self._ratio
        return torch.cat([head.diagonal(), 1.0 / self.diagonal + ((ratio @ head) * ratio).sum(1)])

    def logdet(self) -> float:
        """log det H = log det D + log det Schur."""
        return float(self.diagonal.log().sum()) + self.schur.logdet()

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


def factor_arrow(head: Tensor, cross: Tensor, diagonal: Tensor, order: Tensor) -> Arrow | None:
    """The factored arrow, or None where it is rank deficient: only the full matrix knows which column came later."""
    if not bool((diagonal > 0).all()):
        return None
    schur = head - cross.T @ (cross / diagonal[:, None])
    factored = factor_gram(schur, order, reference=head.diagonal())
    if factored.indefinite or bool(factored.aliased.any()):
        return None
    aliased = torch.zeros(len(head) + len(diagonal), dtype=torch.bool, device=head.device)
    return Arrow(factored, diagonal, cross, head.diagonal().sqrt(), aliased, factored.smallest_pivot)
