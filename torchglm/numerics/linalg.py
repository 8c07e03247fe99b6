"""Symmetric positive solves that know their rank.

Every matrix is scaled to a unit diagonal before it is factored, so that the scale of a column changes nothing.
A pivot is then 1 - R^2 of a column on the columns before it: the share of it that is new. A column whose pivot
is nothing but rounding is *aliased*: it is left out, and its coefficient is zero in every solve.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor

(DPOTRF,) = get_lapack_funcs(("potrf",), dtype="float64")
GRAM_PIVOT = 1e-11  # below: aliased, as far as a cross product X'WX can tell (its own rounding is near 1e-14)
SMALL = 64  # columns
ENOUGH_DIGITS = 1e-7  # a pivot below leaves fewer than 9 digits in the inverse of a cross product
ROOT_PIVOT = 1e-11  # R's relative tolerance on the norms of an orthogonal factorisation (stats::lm, stats::glm)


class Factored(ABC):
    """A positive semi-definite curvature H (p, p), ready to be solved with.

    `aliased` (p,) marks the columns left out; `smallest_pivot` tells how many digits are left;
    `indefinite` that H is not positive semi-definite, and that its solves mean nothing.
    """

    smallest_pivot: float
    indefinite: bool

    @property
    @abstractmethod
    def aliased(self) -> Tensor:
        """(p,) True for the columns left out."""

    @abstractmethod
    def solve(self, g: Tensor) -> Tensor:
        """H^-1 g over the columns kept, zero elsewhere. g (p,) or (p, m)."""

    @abstractmethod
    def inverse(self) -> Tensor:
        """H^-1 (p, p), zero in aliased rows and columns."""

    @abstractmethod
    def inverse_diagonal(self) -> Tensor:
        """diag(H^-1) (p,), without the rest where that is cheaper."""

    @abstractmethod
    def logdet(self) -> float:
        """log det H over the columns kept."""

    @abstractmethod
    def scaled(self, factor: float) -> Factored:
        """The factored factor * H."""

    @property
    @abstractmethod
    def lengths(self) -> Tensor:
        """(p,) sqrt(diag(H)): the length of each column."""

    @property
    def rank(self) -> int:
        """How many columns are kept."""
        return len(self.aliased) - int(self.aliased.sum())


@dataclass(frozen=True)
class Triangular(Factored):
    """H = diag(1/scale) P' L L' P diag(1/scale): L (rank, rank) lower, P picks `kept`, scale (p,).

    `smallest_pivot` is that of all columns, `smallest_kept` that of the columns kept.
    """

    lower: Tensor
    kept: Tensor | None  # (rank,) places, in the order of L; None: all, in place
    scale: Tensor
    left_out: Tensor  # (p,)
    smallest_pivot: float
    indefinite: bool = False
    smallest_kept: float = 1.0

    @property
    def aliased(self) -> Tensor:
        """The columns left out."""
        return self.left_out

    def solve(self, g: Tensor) -> Tensor:
        """H^-1 g."""
        wide = g if g.dim() == 2 else g[:, None]
        scaled = wide * self.scale[:, None]
        if self.kept is None:
            out = torch.cholesky_solve(scaled, self.lower)
        else:
            out = torch.zeros_like(scaled)
            out[self.kept] = torch.cholesky_solve(scaled[self.kept], self.lower)
        out *= self.scale[:, None]
        return out if g.dim() == 2 else out[:, 0]

    def inverse(self) -> Tensor:
        """H^-1."""
        inverse = torch.cholesky_inverse(self.lower)
        if self.kept is not None:
            p = len(self.scale)
            full = inverse.new_zeros(p, p)
            full[self.kept[:, None], self.kept[None, :]] = inverse
            inverse = full
        return inverse.mul_(self.scale[:, None]).mul_(self.scale[None, :])

    def inverse_diagonal(self) -> Tensor:
        """diag(H^-1)."""
        return self.inverse().diagonal()

    def logdet(self) -> float:
        """log det H."""
        scale = self.scale if self.kept is None else self.scale[self.kept]
        return float(2.0 * (self.lower.diagonal().log().sum() - scale.log().sum()))

    @property
    def lengths(self) -> Tensor:
        """sqrt(diag(H)), and 1 for a column without length."""
        return self.scale.reciprocal()

    def scaled(self, factor: float) -> Triangular:
        """factor * H."""
        return replace(self, scale=self.scale / factor**0.5)

    def to(self, device: torch.device) -> Triangular:
        """The same on `device`."""
        kept = None if self.kept is None else self.kept.to(device)
        lower, scale, left_out = (t.to(device) for t in (self.lower, self.scale, self.left_out))
        return replace(self, lower=lower, kept=kept, scale=scale, left_out=left_out)


def factor_gram(
    gram: Tensor,
    order: Tensor,
    reference: Tensor | None = None,
    floor: Tensor | None = None,
    tolerance: float = GRAM_PIVOT,
) -> Triangular:
    """A cross product H (p, p), factored; aliased columns are found in `order` (p,): the later one is left out.

    `reference` (p,) holds the squared lengths that pivots are judged against, where H is what an elimination left
    of them; `floor` (p,) squared lengths that are zero but for rounding.
    """
    if gram.device.type != "cpu" and len(gram) <= SMALL:  # a GPU's dozen calls take longer than the whole of it here
        judged, least = (None if t is None else t.cpu() for t in (reference, floor))
        return factor_gram(gram.cpu(), order, judged, least, tolerance).to(gram.device)
    diagonal = gram.diagonal()
    if not bool(torch.isfinite(diagonal).all()):
        p = len(diagonal)
        nothing = torch.zeros(p, dtype=torch.bool, device=gram.device)
        return Triangular(
            torch.eye(p, dtype=gram.dtype, device=gram.device), None, torch.ones_like(diagonal), nothing, 0.0, True
        )
    judged = diagonal if reference is None else reference
    usable = diagonal > (0.0 if floor is None else floor)
    scale = torch.where(usable, diagonal, 1.0).rsqrt()
    correlation = gram * scale[:, None] * scale[None, :]
    new_share = torch.where(usable, diagonal / judged, 0.0)  # what the elimination left of a column
    kept = None if bool(usable.all()) else torch.nonzero(usable).flatten()  # a column without length is nobody's
    lower = cholesky(correlation if kept is None else correlation[kept][:, kept])
    if lower is not None:
        shares = new_share if kept is None else new_share[kept]
        smallest = float((lower.diagonal().square() * shares).min()) if len(lower) else 1.0
        if smallest > tolerance:
            return Triangular(lower, kept, scale, ~usable, smallest, smallest_kept=smallest)
    return _factor_in_order(correlation, order, scale, new_share, tolerance, bool((diagonal < 0).any()))


def cholesky(matrix: Tensor) -> Tensor | None:
    """The lower triangle L of L L' = matrix (p, p), or None where it is not positive definite."""
    if matrix.device.type == "cpu" and len(matrix) <= SMALL:
        # torch's own opens a parallel region even for 8 x 8: on a busy machine that waits for a core, 5 ms a call.
        # For large ones scipy's threads would spin beside torch's.
        array, info = DPOTRF(matrix.numpy(), lower=1, clean=1)
        return torch.from_numpy(array) if info == 0 else None
    lower, failed = torch.linalg.cholesky_ex(matrix)
    return lower if int(failed) == 0 else None


def _factor_in_order(
    correlation: Tensor, order: Tensor, scale: Tensor, new_share: Tensor, tolerance: float, indefinite: bool
) -> Triangular:
    """Cholesky one column at a time, leaving out each column that the kept ones before it span."""
    p = len(scale)
    lower = correlation.new_zeros(p, p)
    kept: list[int] = []
    smallest = smallest_kept = 1.0
    for j in order.tolist():
        k = len(kept)
        row = correlation[kept, j]
        if k:
            row = torch.linalg.solve_triangular(lower[:k, :k], row[:, None], upper=False)[:, 0]
        pivot = float(correlation[j, j] - row.dot(row))
        share = pivot * float(new_share[j])
        indefinite = indefinite or pivot < -1e-8
        smallest = min(smallest, max(share, 0.0))
        if share > tolerance:
            lower[k, :k] = row
            lower[k, k] = pivot**0.5
            smallest_kept = min(smallest_kept, share)
            kept.append(j)
    aliased = torch.ones(p, dtype=torch.bool, device=scale.device)
    places = torch.tensor(kept, dtype=torch.int64, device=scale.device)
    aliased[places] = False
    k = len(kept)
    return Triangular(lower[:k, :k].clone(), places, scale, aliased, smallest, indefinite, smallest_kept)


def factor_root(root: Tensor, target: Tensor, order: Tensor, reference: Tensor) -> tuple[Triangular, Tensor]:
    """R'R factored without ever squaring R (m, p), and the least-squares solution (p,) of R b = target (m,).

    Columns are taken in `order`, each orthogonalised twice against those kept (Giraud, Langou & Rozloznik 2005:
    twice is enough), and left out when less than ROOT_PIVOT of its length `reference` (p,) remains.
    """
    p = root.shape[1]
    scale = torch.where(reference > 0, reference, 1.0).reciprocal()
    columns = root * scale
    basis = root.new_zeros(root.shape[0], p)
    upper = root.new_zeros(p, p)
    kept: list[int] = []
    smallest = 1.0
    for j in order.tolist():
        k = len(kept)
        v = columns[:, j].clone()
        along = root.new_zeros(k)
        for _ in range(2):
            more = basis[:, :k].T @ v
            v -= basis[:, :k] @ more
            along += more
        length = float(v.norm())
        smallest = min(smallest, length**2)
        if length > ROOT_PIVOT:
            basis[:, k] = v / length
            upper[:k, k] = along
            upper[k, k] = length
            kept.append(j)
    k = len(kept)
    places = torch.tensor(kept, dtype=torch.int64, device=root.device)
    aliased = torch.ones(p, dtype=torch.bool, device=root.device)
    aliased[places] = False
    solution = root.new_zeros(p)
    inner = torch.linalg.solve_triangular(upper[:k, :k], (basis[:, :k].T @ target)[:, None], upper=True)[:, 0]
    solution[places] = inner * scale[places]
    lower = upper[:k, :k].T.contiguous()
    return Triangular(lower, places, scale, aliased, smallest), solution
