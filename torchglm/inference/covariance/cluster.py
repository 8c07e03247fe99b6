"""Covariances for clusters: rows of one cluster may depend on each other, rows of two do not.

CR0        A (sum_g t_g t_g') A                  t_g the summed score of cluster g
cluster    CR0 G / (G - 1), or as `ssc` says     sandwich::vcovCL(type = "HC0"), the default for a glm; alias CR1
CR1S       CR0 G / (G - 1) (n - 1) / (n - k)     sandwich::vcovCL(type = "HC1")

Several ways: V_a + V_b - V_ab, over the combinations that there are, each part with its own correction. Such a sum
need not be positive semi-definite; a variance that comes out negative is NaN.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchglm.design.keys import several
from torchglm.errors import OptionError
from torchglm.inference.covariance.groups import RowGroups, every_crossing, grouped, read_values
from torchglm.inference.covariance.kind import COVARIANCES, CovarianceKind, sandwiched
from torchglm.inference.covariance.scores import group_meats
from torchglm.inference.covariance.ssc import correction, parameters, ratio
from torchglm.inference.estimate import Estimate

ROUNDING = 1e-12  # of the parts of a multiway sum


@dataclass(frozen=True)
class Clustered(CovarianceKind):
    """What the kinds for clusters share. `cluster`: a column, an expression, an array, or a list of them for several
    ways; None for the one that the model was fitted with."""

    cluster: Any = None

    @property
    def cluster_key(self) -> Any:
        return self.cluster

    @abstractmethod
    def correction_text(self, estimate: Estimate) -> str:
        """The small-sample correction as the summary names it."""

    def ways(self, estimate: Estimate) -> list[RowGroups]:
        """The clusters of each way.

        Raises: OptionError without cluster=; what reading a key raises; DataError for a single cluster.
        """
        asked = estimate.prepared.request.cluster if self.cluster is None else self.cluster
        if asked is None:
            raise OptionError(f'covariance="{self.name}" needs clusters: say cluster="column", or a list of columns.')
        return [grouped(estimate, "cluster", *read_values(estimate, "cluster", key)) for key in several(asked)]

    def natural_df(self, estimate: Estimate) -> float:
        """G - 1, of the way with the fewest clusters."""
        return min(way.count for way in self.ways(estimate)) - 1.0

    @property
    def note(self) -> str:
        return f"{self.name} sandwich for clusters, bread of the expected information"

    def note_of(self, estimate: Estimate) -> str:
        shown = " and ".join(f"{way.label} ({way.count} clusters)" for way in self.ways(estimate))
        text = f"{self.name} sandwich" if self.name != "cluster" else "sandwich"
        return f"{text} clustered by {shown}, {self.correction_text(estimate)}, bread of the expected information"


def clustered(estimate: Estimate, ways: list[RowGroups], factor: Callable[[int], float]) -> Tensor:
    """The sum over crossed ways of +- factor(G) A (sum_g t_g t_g') A, NaN where a variance comes out negative."""
    crossings = every_crossing(ways, estimate.objective.design)
    meats = group_meats(estimate, [groups for _, groups in crossings])
    parts = [
        sign * factor(groups.count) * sandwiched(estimate, meat)
        for (sign, groups), meat in zip(crossings, meats, strict=True)
    ]
    total = torch.stack(parts).sum(0)
    size = torch.stack([part.diagonal().abs() for part in parts]).sum(0)
    diagonal = total.diagonal()
    diagonal[diagonal.abs() <= ROUNDING * size] = 0.0
    diagonal[diagonal < 0] = math.nan
    return total


@dataclass(frozen=True)
class Cluster(Clustered, name="cluster"):
    """The sandwich of clusters with a small-sample correction; "r" is that of sandwich::vcovCL for a glm."""

    ssc: str = "r"

    def __post_init__(self) -> None:
        correction(self.ssc)

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        ways = self.ways(estimate)
        fewest, of_clusters = min(way.count for way in ways), correction(self.ssc).of_clusters
        return clustered(estimate, ways, lambda count: of_clusters(count, fewest, estimate))

    def default_df(self, estimate: Estimate, estimated: bool) -> float | None:
        if correction(self.ssc).few_clusters(estimate, estimated):
            return self.natural_df(estimate)
        return super().default_df(estimate, estimated)

    def correction_text(self, estimate: Estimate) -> str:
        return correction(self.ssc).clusters_text(estimate)


COVARIANCES.add("cluster", Cluster, aliases=("CR1",))


@dataclass(frozen=True)
class CR0(Clustered, name="CR0"):
    """The sandwich of clusters as it is, as sandwich::vcovCL(type = "HC0", cadjust = FALSE)."""

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        return clustered(estimate, self.ways(estimate), lambda count: 1.0)

    def correction_text(self, estimate: Estimate) -> str:
        return "no correction"


@dataclass(frozen=True)
class CR1S(Clustered, name="CR1S"):
    """The sandwich of clusters times G / (G - 1) (n - 1) / (n - rank), as sandwich::vcovCL(type = "HC1")."""

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        more = parameters(estimate)
        return clustered(estimate, self.ways(estimate), lambda count: ratio(count, count - 1) * more)

    def correction_text(self, estimate: Estimate) -> str:
        return "G / (G - 1) (n - 1) / (n - rank)"
