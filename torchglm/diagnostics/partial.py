"""Partial residuals: what a term explains, with what is left: for seeing whether its shape is right.

column of a term t      working residual + sum_{j in t} (x_ij - mean_j) beta_j

The means are those of the columns over the rows used, and zero in a formula without intercept.

Source: stats::residuals(type = "partial") and stats::predict(type = "terms").
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from torchglm.design.weights import Frequency
from torchglm.diagnostics.residuals import residuals
from torchglm.errors import UnknownNameError, did_you_mean
from torchglm.inference.estimate import Estimate


def partial_residuals(estimate: Estimate, terms: str | Sequence[str] | None = None) -> pd.DataFrame:
    """One column a term, all or those named, with the data's index; NaN in dropped rows.

    Raises: UnknownNameError.
    """
    prepared = estimate.prepared
    known = {label: names for label, names in prepared.schema.term_names.items() if label != "1"}
    asked = list(known) if terms is None else [terms] if isinstance(terms, str) else list(terms)
    for label in asked:
        if label not in known:
            raise UnknownNameError(f"The formula has no term {label!r}. {did_you_mean(label, known)}")
    working = residuals(estimate, "working").cpu()
    table = estimate.rows(contributions(estimate, [known[label] for label in asked])).cpu() + working[:, None]
    return pd.DataFrame(table.numpy(), index=prepared.index, columns=pd.Index(asked))


def contributions(estimate: Estimate, groups: Sequence[Sequence[str]]) -> Tensor:
    """(rows used, groups) the share of each group of coefficients in eta, centred where there is an intercept."""
    prepared, layout = estimate.prepared, estimate.layout
    columns, place = layout.columns[0], {name: k for k, name in enumerate(prepared.schema.names)}
    raw = []
    for group in groups:
        inside = torch.zeros(layout.width, dtype=torch.bool)
        inside[[place[name] for name in group]] = True
        theta = torch.where(inside.to(layout.positions.device)[layout.positions], estimate.solution.theta, 0.0)
        raw.append(columns.expand(theta))
    design = prepared.whole
    if not raw:
        return torch.empty(len(design.y), 0, dtype=torch.float64)
    side_by_side = torch.stack(raw, dim=1)
    table = design.map(lambda block: block.columns[0].matmul(side_by_side))
    if not prepared.schema.has_intercept:
        return table
    repeats = isinstance(prepared.weights, Frequency) and design.weight is not None
    w = design.weight if repeats else table.new_ones(len(table))
    assert w is not None
    sums = torch.cat([w @ table, w.sum()[None]])
    sums = sums if design.shares is None else torch.stack(design.everywhere([sums.cpu()])).sum(0).to(sums.device)
    return table - sums[:-1] / sums[-1]
