"""Totals of many models whose rows lie in one design: one pass for all of them, whatever the order of the rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.columns import Columns
from torchglm.design.design import Design
from torchglm.design.parts import Dense
from torchglm.design.weights import Frequency, Weights
from torchglm.families.family import Family
from torchglm.families.mean import MeanModel
from torchglm.inference.covariance.kind import Model
from torchglm.inference.dispersion import Fixed
from torchglm.inference.many import Wanted, group_numbers, model_numbers
from torchglm.inference.totals import Totals, saturated_rows
from torchglm.numerics.segments import cell_sums
from torchglm.numerics.sums import Sums
from torchglm.objective.batch import Batch
from torchglm.objective.grouped import Groups
from torchglm.objective.objective import Objective
from torchglm.solvers.solver import Stop


@dataclass(frozen=True)
class ManyTotals:
    """Sums over the rows of each model. Shapes: (G,) each; n as the weights count."""

    deviance: Tensor
    saturated: Tensor
    sum_weights: Tensor
    n: Tensor

    def where(self, known: Tensor) -> ManyTotals:
        """The same with a deviance of NaN where a model is not `known` (G,)."""
        return replace(self, deviance=torch.where(known, self.deviance, math.nan))

    def log_likelihoods(self, family: Family) -> Tensor:
        """(G,) R's logLik of each; NaN where a deviance is."""
        rows = zip(*(t.tolist() for t in (self.deviance, self.n, self.sum_weights, self.saturated)), strict=True)
        return torch.tensor([_log_likelihood(family, *row) for row in rows], dtype=torch.float64)


def _log_likelihood(family: Family, deviance: float, n: float, sum_weights: float, saturated: float) -> float:
    if math.isnan(deviance) or not n:
        return math.nan
    return Totals(deviance, math.nan, saturated, sum_weights, n).log_likelihood(family)


def group_totals(
    objective: Objective, codes: Tensor, thetas: Tensor, family: Family, weights: Weights | None
) -> ManyTotals:
    """The totals of G models at `thetas` (G, p), formula's order, NaN for zero; row i is one of model `codes[i]`."""
    count = len(thetas)
    inner = objective.layout.to_inner(torch.where(torch.isnan(thetas), 0.0, thetas).T.to(codes.device)).T.contiguous()
    model, frequency = MeanModel(family), isinstance(weights, Frequency)

    def of_rows(block: Block, here: Tensor) -> dict[str, Tensor]:
        eta = (block.columns[0].model_matrix() * inner[here]).sum(1)
        if block.offsets[0] is not None:
            eta += block.offsets[0]
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        return {
            "deviance": model.deviance(block.y, eta[:, None]) * w,
            "saturated": saturated_rows(family, block, w, weights),
            "weights": w,
            "n": w if frequency else torch.ones_like(w),
        }

    sums = _sums_by_group(objective, codes, count, of_rows)
    return ManyTotals(*(sums[name].cpu() for name in ("deviance", "saturated", "weights", "n")))


def _sums_by_group(
    objective: Objective, codes: Tensor, count: int, of_rows: Callable[[Block, Tensor], dict[str, Tensor]]
) -> Sums:
    """(count,) the sums over the rows of each group of what `of_rows` gives of a block and the groups of its rows."""

    def row_sums(block: Block) -> Sums:
        here = codes[block.start : block.start + block.rows]
        sums = cell_sums(here, count)
        return Sums({name: sums(rows) for name, rows in of_rows(block, here).items()})

    return objective.sum(row_sums)


def observations(sizes: Tensor, codes: Tensor, weights: Weights | None) -> Tensor:
    """(G,) how many observations each model has."""
    if isinstance(weights, Frequency):
        return cell_sums(codes, len(sizes))(weights.values.to(codes.device))
    return sizes.to(torch.float64)


def null_group_totals(
    objective: Objective, groups: Groups, codes: Tensor, family: Family, weights: Weights | None, constant: bool
) -> ManyTotals:
    """The totals of each group's model without terms: a constant where the formula has one, and the offset."""
    null = null_objective(objective, constant)
    design, count = null.design, len(groups.sizes)
    thetas = torch.zeros(count, int(constant), dtype=torch.float64)
    if constant:

        def of_rows(block: Block, here: Tensor) -> dict[str, Tensor]:
            w = torch.ones_like(block.y) if block.weight is None else block.weight
            return {"sum": w * block.y, "weight": w}

        sums = _sums_by_group(null, codes, count, of_rows)
        thetas = family.link.link(sums["sum"] / sums["weight"])[:, None].cpu()
        if design.offsets[0] is not None:
            wanted = Wanted(family, Model(), Fixed(1.0), Stop())
            present = torch.nonzero(groups.sizes > 0).flatten()
            found = group_numbers(null, groups, present, groups.sizes.to(torch.float64), wanted)
            thetas = torch.where(found.sure[:, None], found.theta, math.nan)
    totals = group_totals(null, codes, thetas, family, weights)
    return totals.where(~torch.isnan(thetas).any(1))


def null_objective(objective: Objective, constant: bool) -> Objective:
    """The same rows without terms."""
    device = objective.design.device
    nothing = Dense((), torch.empty(0, dtype=torch.float64, device=device))
    positions = torch.zeros(int(constant), dtype=torch.int64, device=device)
    return objective.on(replace(objective.design, columns=(Columns(constant, nothing, (), positions),)))


def mean_responses(responses: Tensor, design: Design) -> Tensor:
    """(B,) the means of responses (B, rows), by the weights of the design."""
    if design.weight is None:
        return responses.mean(1)
    w = design.weight.to(responses.device)
    return responses @ w / w.sum()


def response_totals(batch: Batch, thetas: Tensor, family: Family, weights: Weights | None) -> ManyTotals:
    """The totals of the models of a batch of responses at `thetas` (B, p), formula's order, NaN for zero."""
    objective, device = batch.objective, batch.objective.design.device
    assert batch.responses is not None
    responses, count = batch.responses, len(thetas)
    inner = objective.layout.to_inner(torch.where(torch.isnan(thetas), 0.0, thetas).T.to(device)).T.contiguous()
    model, frequency = MeanModel(family), isinstance(weights, Frequency)

    def row_sums(block: Block) -> Sums:
        eta = inner @ block.columns[0].model_matrix().T
        if block.offsets[0] is not None:
            eta += block.offsets[0]
        y = responses[:, block.start : block.start + block.rows]
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        deviance = model.deviance(y.reshape(-1), eta.reshape(-1, 1)).view(eta.shape)
        saturated = torch.stack([saturated_rows(family, replace(block, y=one), w, weights).sum() for one in y])
        n = w.sum() if frequency else w.new_tensor(float(block.rows))
        return Sums({"deviance": deviance @ w, "saturated": saturated, "weights": w.sum(), "n": n})

    sums = objective.sum(row_sums)
    wide = (sums[name].expand(count).cpu() for name in ("deviance", "saturated", "weights", "n"))
    return ManyTotals(*wide)


def null_response_totals(batch: Batch, family: Family, weights: Weights | None, constant: bool) -> ManyTotals:
    """The totals of each response's model without terms: a constant where the formula has one, and the offset."""
    objective = batch.objective
    null = Batch(null_objective(objective, constant), responses=batch.responses)
    assert batch.responses is not None
    design, thetas = objective.design, torch.zeros(len(batch.responses), int(constant), dtype=torch.float64)
    if constant:
        y = batch.responses
        thetas = family.link.link(mean_responses(y, design))[:, None].cpu()
        if design.offsets[0] is not None:
            start = null.start(family)
            good = torch.isfinite(start).all(1)
            n = torch.full((int(good.sum()),), float(design.n), dtype=torch.float64, device=y.device)
            found = model_numbers(null.of(good), start[good], n, Wanted(family, Model(), Fixed(1.0), Stop()))
            thetas = torch.full_like(thetas, math.nan)
            thetas[good.cpu()] = torch.where(found.sure[:, None], found.theta, math.nan)
    totals = response_totals(null, thetas, family, weights)
    return totals.where(~torch.isnan(thetas).any(1))
