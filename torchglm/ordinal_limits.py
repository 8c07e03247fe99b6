"""What is said of ordinal models whose nominal effects make cuts cross."""

from __future__ import annotations

import torch

from torchglm.design.block import Block
from torchglm.families.ordinal import Ordinal
from torchglm.inference.vector import VectorEstimate
from torchglm.numerics.sums import Sums

CROSSED = (
    "The cuts cross in {} row(s) of the fit: effects that differ from cut to cut make P(y <= k) fall as k grows, so "
    "that these rows have no probabilities, and the fit is no model of them. Leave terms out of nominal=."
)


def ordinal_limits(estimate: VectorEstimate, names: tuple[str, ...]) -> dict[str, list[str]]:
    """Where cuts cross in rows of the fit, that in words; of no coefficient by itself."""
    rows = rows_that_cross(estimate)
    return {CROSSED.format(rows): []} if rows else {}


def rows_that_cross(estimate: VectorEstimate) -> int:
    """The rows of the fit in which a cut lies below the one before it: none without nominal effects."""
    objective, likelihood = estimate.objective, estimate.model.likelihood
    assert isinstance(likelihood, Ordinal)
    if estimate.model.predictors[1].part is None:
        return 0
    raw = objective.raw(estimate.solution.theta)

    def row_sums(block: Block) -> Sums:
        return Sums({"rows": likelihood.crosses(objective.predictors(block, raw)).sum(dtype=torch.float64)})

    return int(objective.design.sum(row_sums)["rows"])
