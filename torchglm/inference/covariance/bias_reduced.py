"""CR2 and CR3: cluster sandwiches whose residuals are adjusted for having been fitted, as clubSandwich has them.

With the rows whitened by the working model, x~ = sqrt(w c) x and e~ = (y - mu) sqrt(w / V), and A = L L' the inverse
information, Y = X~ L has orthonormal columns and the hat matrix of a cluster is Y_g Y_g'. With Phi = V / w, the
working variances of its rows, and + for the pseudo-inverse over the directions that are not fitted exactly,

    V = L (sum_g u_g u_g') L'          u_g = B_g' e~_g
    CR0   B = Y
    CR2   B = Phi [Phi (I - Y Y') Phi]^(+1/2) Y      Bell & McCaffrey (2002); Pustejovsky & Tipton (2018), equation 11
    CR3   B = (I - Y Y')^+ Y = Y (I - Y'Y)^+         the jackknife that leaves a cluster out

so that only CR2 of unequal Phi needs a matrix with a row for each row of a cluster; where a cluster is large, its root
is taken as a sum of resolvents (`root.py`), which p x p matrices give. A row of frequency f is f rows of one cluster:
f is in x~ and e~, and not in Phi.

Satterthwaite's degrees of freedom of a coefficient l'u, l a column of L' (Pustejovsky & Tipton 2018, section 3.2):
with P = B'B and Q = Y'B of each cluster,

    df = [sum_g (l'P l - |Q l|^2)]^2 / [sum_g (l'P l)^2 - 2 sum_g l'P l |Q l|^2 + |sum_g Q l l'Q'|_F^2]
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from torchglm.design.among_ranks import require_all_rows
from torchglm.design.weights import Frequency
from torchglm.errors import OptionError
from torchglm.inference.covariance.cluster import Clustered
from torchglm.inference.covariance.groups import RowGroups
from torchglm.inference.covariance.inverse_root import inverse_root_times
from torchglm.inference.covariance.kind import to_user
from torchglm.inference.estimate import Estimate

FITTED = 1e-10  # an eigenvalue of I - H below it: a direction that is fitted exactly
LARGEST_DIRECT = 300  # rows of a cluster whose root is taken by its own eigenvectors
STRETCH = 2_000_000  # entries of the rows written out at once


class Whitened(NamedTuple):
    """Clusters of one size: `basis` Y (clusters, rows, rank), `residual` e~ and `variance` Phi (clusters, rows)."""

    basis: Tensor
    residual: Tensor
    variance: Tensor


def whitened(estimate: Estimate, groups: RowGroups, root: Tensor, kept: Tensor) -> Iterator[Whitened]:
    """The rows of every cluster, those of one size together, a stretch at a time: one pass in all."""
    objective = estimate.objective
    objective.meter.passes += 1
    design, raw = objective.design, objective.raw(estimate.solution.theta)
    sizes = torch.bincount(groups.codes, minlength=groups.count)
    order = torch.argsort(sizes[groups.codes] * groups.count + groups.codes, stable=True)
    frequency, start = isinstance(estimate.prepared.weights, Frequency), 0
    for size, count in zip(*(each.tolist() for each in torch.unique(sizes, return_counts=True)), strict=True):
        at_once = max(STRETCH // (size * max(len(root), min(size, LARGEST_DIRECT))), 1)
        for first in range(0, count, at_once):
            clusters = min(at_once, count - first)
            stop = start + clusters * size
            (block,) = design.take(order[start:stop]).blocks(stop - start)
            start = stop
            z = objective.predictors(block, raw)
            terms = objective.likelihood.expand(block.y, z, information="expected")
            w = torch.ones_like(block.y) if block.weight is None else block.weight
            curvature = terms.curvature[:, 0, 0]
            basis = block.columns[0].model_matrix()[:, kept] * (w * curvature).sqrt()[:, None] @ root
            score = -terms.gradient[:, 0]
            residual = torch.where(curvature > 0, score * (w / curvature).sqrt(), 0.0)
            variance = estimate.family.variance(objective.likelihood.mean(z)) / (1.0 if frequency else w)
            yield Whitened(*(v.view(clusters, size, *v.shape[1:]) for v in (basis, residual, variance)))


def powered(symmetric: Tensor, power: float, drop: Tensor | None = None) -> Tensor:
    """A batch of positive semi-definite matrices to a power, without the directions of the `drop` smallest roots.

    `drop` None: those below FITTED.
    """
    roots, directions = torch.linalg.eigh(symmetric)
    if drop is None:
        dropped = roots < FITTED
    else:
        dropped = torch.arange(roots.shape[-1], device=roots.device) < drop[:, None]
    scaled = torch.where(dropped, 1.0, roots).pow(power).masked_fill(dropped, 0.0)
    return (directions * scaled[..., None, :]) @ directions.mT


def jackknifed(rows: Whitened) -> Tensor:
    """B of CR3 (clusters, rows, rank)."""
    return rows.basis @ powered(_unfitted(rows.basis), -1.0)


def bias_reduced(rows: Whitened) -> Tensor:
    """B of CR2 (clusters, rows, rank)."""
    basis, variance = rows.basis, rows.variance
    if bool((variance == variance[:, :1]).all()):
        return basis @ powered(_unfitted(basis), -0.5)
    if basis.shape[1] > LARGEST_DIRECT:
        return torch.stack([_by_resolvents(y, v) for y, v in zip(basis, variance, strict=True)])
    exact = (torch.linalg.eigvalsh(_unfitted(basis)) < FITTED).sum(-1)
    rest = torch.eye(basis.shape[1], dtype=basis.dtype, device=basis.device) - basis @ basis.mT
    root = powered(variance[:, :, None] * rest * variance[:, None, :], -0.5, exact)
    return variance[:, :, None] * (root @ basis)


def _unfitted(basis: Tensor) -> Tensor:
    """I - Y'Y, the eigenvalues of I - Y Y' but for ones: (clusters, rank, rank)."""
    return torch.eye(basis.shape[-1], dtype=basis.dtype, device=basis.device) - basis.mT @ basis


def _by_resolvents(basis: Tensor, variance: Tensor) -> Tensor:
    """B of one large cluster (rows, rank)."""
    roots, directions = torch.linalg.eigh(_unfitted(basis))
    found = roots >= FITTED
    smallest = float(roots[found].min()) if bool(found.any()) else 1.0
    return variance[:, None] * inverse_root_times(variance, basis, directions[:, ~found], smallest)


@dataclass(frozen=True)
class BiasReduced(Clustered):
    """What CR2 and CR3 share: one way of clusters, and tests that refer to t(G - 1), or with df="satterthwaite" each
    coefficient's to the t of its own degrees of freedom."""

    needs_leverage = True

    @abstractmethod
    def adjusted(self, rows: Whitened) -> Tensor:
        """B (clusters, rows, rank)."""

    def ways(self, estimate: Estimate) -> list[RowGroups]:
        require_all_rows(estimate.objective.design, f'covariance="{self.name}"')
        ways = super().ways(estimate)
        if len(ways) > 1:
            raise OptionError(f'{self.name} takes one way of clusters. For several take covariance="cluster".')
        return ways

    def default_df(self, estimate: Estimate, estimated: bool) -> float | None:
        return self.natural_df(estimate)

    def reference_df(self, estimate: Estimate, estimated: bool) -> float | None:
        if self.df == "satterthwaite":
            return self.natural_df(estimate)
        return super().reference_df(estimate, estimated)

    def coefficient_dfs(self, estimate: Estimate) -> tuple[float, ...] | None:
        return tuple(self.satterthwaite(estimate)) if self.df == "satterthwaite" else None

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        estimate.refuse_changed_data()
        root, kept = _bread_root(estimate)
        meat = torch.zeros_like(root)
        for rows in whitened(estimate, self.ways(estimate)[0], root, kept):
            scores = (self.adjusted(rows).mT @ rows.residual[..., None])[..., 0]
            meat.addmm_(scores.T, scores)
        return to_user(estimate, _padded(root @ meat @ root.T, kept))

    def satterthwaite(self, estimate: Estimate) -> pd.Series:
        """Each coefficient's own degrees of freedom, under the working model; NaN where aliased.

        Source: clubSandwich::coef_test(test = "Satterthwaite").
        """
        estimate.refuse_changed_data()
        root, kept = _bread_root(estimate)
        every = _padded_rows(root, kept, estimate)
        at_once = max(STRETCH // len(root) ** 2, 1)  # coefficients a pass: each has a (rank, rank) sum of its own
        dfs = torch.cat([self._satterthwaite(estimate, root, kept, some) for some in every.split(at_once)])
        return pd.Series(dfs.cpu().masked_fill(estimate.aliased, math.nan), index=list(estimate.prepared.schema.names))

    def _satterthwaite(self, estimate: Estimate, root: Tensor, kept: Tensor, directions: Tensor) -> Tensor:
        """(width,) the degrees of freedom of the coefficients whose rows of L are `directions` (width, rank)."""
        width, rank = directions.shape
        mean, fourth = directions.new_zeros(width), directions.new_zeros(width)
        crossed = directions.new_zeros(width, rank, rank)
        for rows in whitened(estimate, self.ways(estimate)[0], root, kept):
            adjusted = self.adjusted(rows)
            q = (rows.basis.mT @ adjusted) @ directions.T  # (clusters, rank, width)
            p = (adjusted @ directions.T).square().sum(1)
            lost = q.square().sum(1)
            mean += (p - lost).sum(0)
            fourth += (p.square() - 2.0 * p * lost).sum(0)
            crossed += torch.einsum("gaj,gbj->jab", q, q)
        return mean.square() / (fourth + crossed.square().sum((1, 2)))


def _bread_root(estimate: Estimate) -> tuple[Tensor, Tensor]:
    """L (rank, rank) with L L' the inverse information of the coefficients kept, inner order, and which those are."""
    kept = ~estimate.curvature.aliased
    return torch.linalg.cholesky(estimate.curvature.inverse()[kept][:, kept]), kept


def _padded(inner: Tensor, kept: Tensor) -> Tensor:
    out = inner.new_zeros(len(kept), len(kept))
    places = torch.nonzero(kept).flatten()
    out[places[:, None], places[None, :]] = inner
    return out


def _padded_rows(root: Tensor, kept: Tensor, estimate: Estimate) -> Tensor:
    """The rows of L of each coefficient in the formula's order, (p, rank): its estimate is that row times sum u."""
    out = root.new_zeros(len(kept), root.shape[1])
    out[kept] = root
    return estimate.layout.to_user(out)


@dataclass(frozen=True)
class CR2(BiasReduced, name="CR2"):
    """The cluster sandwich that is unbiased where the model's variance is true, as clubSandwich::vcovCR("CR2")."""

    def adjusted(self, rows: Whitened) -> Tensor:
        return bias_reduced(rows)

    def correction_text(self, estimate: Estimate) -> str:
        return "bias-reduced by (I - H)^(-1/2)"


@dataclass(frozen=True)
class CR3(BiasReduced, name="CR3"):
    """The cluster sandwich near the jackknife that leaves clusters out, as clubSandwich::vcovCR("CR3")."""

    def adjusted(self, rows: Whitened) -> Tensor:
        return jackknifed(rows)

    def correction_text(self, estimate: Estimate) -> str:
        return "residuals times (I - H)^-1"
