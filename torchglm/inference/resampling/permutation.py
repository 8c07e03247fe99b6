"""Permutation tests: responses dealt out to the rows at random, as if no column had an effect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.weights import Frequency
from torchglm.errors import OptionError
from torchglm.inference.covariance.groups import grouped, read_values
from torchglm.inference.dispersion import Fixed, Pearson, resolve_dispersion
from torchglm.inference.estimate import Estimate
from torchglm.inference.intervals.bootstrap import Watch
from torchglm.inference.many import CERTAIN, dispersion_of, pearson_of
from torchglm.inference.record import Record
from torchglm.inference.resampling.refits import at_a_time, refit, refittable, refuse_infinite, warn_of_failed
from torchglm.inference.wald import statistics
from torchglm.numerics.seeds import check_seed
from torchglm.numerics.triangles import factor_many
from torchglm.objective.batch import Batch


@dataclass(frozen=True)
class PermutationTest:
    """Wald statistics of the coefficients under responses dealt out at random, a row a permutation.

    `failed` says how many have no finite maximum, as separated data, or did not reach it: NaN in `replicates`, counted
    as as large as the fit's.
    """

    replicates: pd.DataFrame
    statistic: pd.Series
    seed: int
    failed: int

    @property
    def pvalues(self) -> pd.Series:
        """(1 + how many statistics are as large in size, or failed) / (1 + permutations), of each coefficient.

        Source: Phipson & Smyth (2010).
        """
        sizes = self.replicates.abs().to_numpy()
        # What differs by rounding alone is equal: the same responses in another order.
        smaller = sizes < np.abs(self.statistic.to_numpy()) * (1.0 - 1e-9)
        p = (1.0 + (~smaller).sum(0)) / (1.0 + len(sizes))
        return pd.Series(np.where(np.isnan(self.statistic), np.nan, p), index=self.statistic.index)

    def summary(self) -> pd.DataFrame:
        """One row a coefficient: statistic, p.value."""
        return pd.DataFrame({"statistic": self.statistic, "p.value": self.pvalues})

    def __repr__(self) -> str:
        made = f"{len(self.replicates)} permutations, seed {self.seed}"
        return f"<PermutationTest of {made}: {self.failed} failed>"


def permutation_test(
    record: Record,
    estimate: Estimate | None,
    permutations: int,
    groups: Any,
    seed: int,
    given: Any,
    watch: Watch | None = None,
) -> PermutationTest:
    """The test of every coefficient against responses, with their weights, dealt out at random, within `groups` alone
    where there are some.

    Raises: OptionError for what is no number of permutations, and for offsets, which tell rows apart without a column;
    UnknownNameError, DataError. Warns: StatusWarning.
    Source: Manly (1997); permuco::lmperm(method = "manly").
    """
    refuse_infinite(record, "permutation_test()")
    estimate = refittable(estimate, "permutation_test()")
    _check(estimate, permutations, given)
    rng = np.random.default_rng(check_seed(seed))
    design = estimate.objective.design
    codes = None
    if groups is not None:
        codes = grouped(estimate, "groups", *read_values(estimate, "groups", groups)).codes.cpu().numpy()
    y, w = (None if t is None else t.to(design.device, torch.float64) for t in (design.y, design.weight))
    assert y is not None
    kind = resolve_dispersion(given, estimate.family)
    observed, _ = _statistics(estimate, y[None, :], None if w is None else w[None, :], kind)
    rows, failed = [], 0
    for first in range(0, permutations, size := at_a_time(estimate)):
        order = np.stack([_shuffled(rng, design.n, codes) for _ in range(min(size, permutations - first))])
        dealt = torch.from_numpy(order).to(y.device)
        z, lost = _statistics(estimate, y[dealt], None if w is None else w[dealt], kind)
        rows.append(z)
        failed += lost
        if watch is not None:
            watch(len(dealt))
    so = "they count as as large as the fit's statistics, so that p-values err on the large side."
    warn_of_failed(failed, permutations, "permutations", so)
    names = pd.Index(record.names)
    frame = pd.DataFrame(np.concatenate(rows), columns=names)
    return PermutationTest(frame, pd.Series(observed[0], index=names), seed, failed)


def _check(estimate: Estimate, permutations: int, given: Any) -> None:
    if isinstance(permutations, bool) or not isinstance(permutations, int) or permutations < 1:
        raise OptionError(f"permutations= is a positive whole number; got {permutations!r}.")
    if estimate.objective.design.offsets[0] is not None:
        raise OptionError("permutation_test() deals responses out to other rows, and an offset tells the rows apart.")
    if isinstance(estimate.prepared.weights, Frequency):
        raise OptionError("permutation_test() deals out one response a row: write rows of freq_weights= out first.")
    if not isinstance(resolve_dispersion(given, estimate.family), Fixed | Pearson):
        raise OptionError("permutation_test() takes a fit whose dispersion is Pearson's or a number.")


def _shuffled(rng: np.random.Generator, n: int, codes: np.ndarray | None) -> np.ndarray:
    """A random order of the rows, which stay in their groups."""
    if codes is None:
        return rng.permutation(n)
    places = np.argsort(codes, kind="stable")
    order = np.empty(n, dtype=np.int64)
    order[places] = np.lexsort((rng.random(n), codes))
    return order


def _statistics(estimate: Estimate, y: Tensor, weights: Tensor | None, kind: Any) -> tuple[np.ndarray, int]:
    """(B, p) the Wald statistics in the formula's order, NaN where failed, and how many have."""
    objective = estimate.objective
    if weights is not None:
        objective = objective.on(replace(objective.design, weight=None))
    batch = Batch(objective, weights, y)
    found = refit(estimate, batch, certain=CERTAIN)
    factored = factor_many(found.point.curvature, torch.ones_like(found.aliased), objective.layout.order)
    df = objective.design.n - (~factored.aliased).sum(1).to(torch.float64)
    phi = dispersion_of(kind, lambda: pearson_of(batch, found), df)
    errors = (phi[:, None] * batch.inverse_variances(factored)).sqrt()
    lost = factored.aliased[:, objective.layout.order] | ~found.converged[:, None]
    theta = batch.to_user(found.theta).masked_fill(lost, torch.nan)
    return statistics(theta.cpu().numpy(), errors.cpu().numpy()), int((~found.converged).sum())
