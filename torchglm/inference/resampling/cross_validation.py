"""Cross-validation: how well a model predicts rows that it was not fitted to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.design.weights import Frequency
from torchglm.errors import OptionError
from torchglm.families.mean import MeanModel
from torchglm.inference.covariance.groups import grouped, read_values
from torchglm.inference.dispersion import Fixed, Pearson, resolve_dispersion
from torchglm.inference.estimate import Estimate
from torchglm.inference.many import dispersion_of, pearson_of
from torchglm.inference.resampling.refits import at_a_time, refit, refittable, warn_of_failed
from torchglm.numerics.seeds import check_seed
from torchglm.objective.batch import Batch

NO_MAXIMUM = "no finite maximum without this fold, or not reached"


@dataclass(frozen=True)
class CrossValidation:
    """What models fitted without each fold say of it.

    folds      a row a fold: n, deviance (a sum), log_score (the mean log density of its responses, nats), mse (weighted
               mean of (y - mu)^2); NaN where a fold cannot be predicted, and `note` says why
    predicted  the mean of each row by the model that has not seen it, with the data's index; NaN in dropped rows
    """

    folds: pd.DataFrame
    predicted: pd.Series
    seed: int

    @property
    def deviance(self) -> float:
        """The deviance of all rows, each by the model that has not seen it."""
        return float(self.folds["deviance"].to_numpy().sum())

    @property
    def log_score(self) -> float:
        """The mean log density of all responses, each under the model that has not seen it."""
        return float(np.average(self.folds["log_score"], weights=self.folds["n"]))

    @property
    def mse(self) -> float:
        """The mean squared error of the predicted means: cost and raw delta of R's boot::cv.glm."""
        return float(np.average(self.folds["mse"], weights=self.folds["weight"]))

    def __repr__(self) -> str:
        return f"<CrossValidation of {len(self.folds)} folds: deviance {self.deviance:.6g}, seed {self.seed}>"


def cross_validate(estimate: Estimate | None, folds: Any, groups: Any, seed: int, given: Any) -> CrossValidation:
    """The cross-validation of a fit: `folds` at random, of rows or of whole `groups`, or an array with a fold a row.

    Raises: OptionError, UnknownNameError, DataError. Warns: StatusWarning.
    """
    estimate = refittable(estimate, "cross_validate()")
    if isinstance(estimate.prepared.weights, Frequency):
        raise OptionError(
            "cross_validate() puts a row into one fold: write rows of freq_weights= out first, as "
            "data.loc[data.index.repeat(w)]."
        )
    labels, codes = _fold_codes(estimate, folds, groups, check_seed(seed))
    count, n = len(labels), estimate.objective.design.n
    thetas, phis, notes = [], [], []
    kind = resolve_dispersion(given, estimate.family)
    for first in range(0, count, size := at_a_time(estimate)):
        some = torch.arange(first, min(first + size, count), device=codes.device)
        kept = (codes != some[:, None]).to(torch.float64)
        batch = Batch(estimate.objective, kept)
        found = refit(estimate, batch)
        new = (found.aliased & ~estimate.curvature.aliased).any(1)
        rank = (~found.aliased).sum(1)
        if isinstance(kind, Fixed | Pearson):
            phis.append(dispersion_of(kind, partial(pearson_of, batch, found), kept.sum(1) - rank))
        else:
            phis.append(torch.full_like(found.point.value, math.nan))
        done = found.converged
        if estimate.diverging is not None:  # rows at their end hide columns too
            done = done & ~new
        thetas.append(torch.where((new | ~found.converged)[:, None], math.nan, found.theta))
        notes += [
            NO_MAXIMUM if not done else "a column is only known from this fold" if lost else ""
            for lost, done in zip(new.tolist(), done.tolist(), strict=True)
        ]
    so = "their folds have no deviance (one response that a separated fit is sure of in vain makes it infinite)."
    warn_of_failed(notes.count(NO_MAXIMUM), count, "fits without one of the folds", so)
    rows = _scores(estimate, torch.cat(thetas), torch.cat(phis), codes)
    w, here = rows[:, 3].numpy(), codes.cpu().numpy()
    counted, weight = (np.bincount(here, v, count) for v in (np.ones(n), w))
    totals = [np.bincount(here, rows[:, k].numpy(), count) for k in range(3)]
    frame = pd.DataFrame(
        {
            "n": counted.astype(np.int64),
            "weight": weight,
            "deviance": totals[0],
            "log_score": totals[1] / counted,
            "mse": totals[2] / weight,
            "note": notes,
        },
        index=pd.Index(labels, name="fold"),
    )
    prepared = estimate.prepared
    predicted = np.full(len(prepared.index), np.nan)
    predicted[prepared.used_of(np.arange(len(prepared.index)))] = rows[:, 4].numpy()
    return CrossValidation(frame, pd.Series(predicted, index=prepared.index, name="predicted"), seed)


def _fold_codes(estimate: Estimate, folds: Any, groups: Any, seed: int) -> tuple[list[Any], Tensor]:
    """The labels of the folds, and which of them each row of the design is in."""
    n, device = estimate.objective.design.n, estimate.objective.design.device
    units, of_row = n, None
    if groups is not None:
        unit = grouped(estimate, "groups", *read_values(estimate, "groups", groups))
        units, of_row = unit.count, unit.codes.cpu().numpy()
    if isinstance(folds, bool) or not isinstance(folds, int):
        if groups is not None:
            raise OptionError("folds= that name the fold of each row leave nothing for groups= to say.")
        label, values = read_values(estimate, "folds", folds)
        codes = grouped(estimate, "folds", label, values)
        names = pd.factorize(values, sort=True)[1]
        return list(names), codes.codes
    if not 2 <= folds <= units:
        raise OptionError(f"folds= is a whole number from 2 to {units:,}, what there is to divide; got {folds!r}.")
    shuffled = np.empty(units, dtype=np.int64)
    shuffled[np.random.default_rng(seed).permutation(units)] = np.arange(units) % folds
    codes = shuffled if of_row is None else shuffled[of_row]
    return list(range(1, folds + 1)), torch.from_numpy(codes).to(device)


def _scores(estimate: Estimate, thetas: Tensor, phis: Tensor, codes: Tensor) -> Tensor:
    """(n, 5) of each row deviance, log density, squared error, all times its weight but the density; weight, mean."""
    model, family = MeanModel(estimate.family), estimate.family

    def of_block(block: Block) -> Tensor:
        here = codes[block.start : block.start + block.rows]
        eta = (block.columns[0].model_matrix() * thetas[here]).sum(1)
        if block.offsets[0] is not None:
            eta += block.offsets[0]
        w = torch.ones_like(block.y) if block.weight is None else block.weight
        mu = model.mean(eta[:, None])
        density = torch.full_like(mu, math.nan)
        if family.has_likelihood:
            density = family.log_prob(block.y, mu, phis[here], w)
        rows = (model.deviance(block.y, eta[:, None]) * w, density, (block.y - mu).square() * w, w, mu)
        return torch.stack(rows, dim=1)

    return estimate.objective.design.map(of_block).cpu()
