"""Secant memory: the last steps and gradient changes, which bend a curvature of other rows or another point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Secants:
    """Pairs (s, y) with s'y > 0, the latest last."""

    pairs: tuple[tuple[Tensor, Tensor], ...] = ()
    memory: int = 10

    def with_pair(self, s: Tensor, y: Tensor) -> Secants:
        """The memory with one pair more, unless it would break positive definiteness."""
        if not float(s.dot(y)) > 1e-10 * float(s.norm() * y.norm()):
            return self
        return Secants((*self.pairs, (s, y))[-self.memory :], self.memory)

    def solve(self, base: Callable[[Tensor], Tensor], g: Tensor) -> Tensor:
        """H^-1 g, H the BFGS update of `base` by the pairs.

        Source: the two-loop recursion, Nocedal & Wright (2006), algorithm 7.4, with `base` for its diagonal.
        """
        q = g.clone()
        shares = []
        for s, y in reversed(self.pairs):
            rho = 1.0 / s.dot(y)
            share = rho * s.dot(q)
            q -= share * y
            shares.append((rho, share))
        r = base(q)
        for (s, y), (rho, share) in zip(self.pairs, reversed(shares), strict=True):
            r = r + s * (share - rho * y.dot(r))
        return r
