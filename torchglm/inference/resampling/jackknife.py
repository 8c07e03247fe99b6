"""The jackknife: a fit without each row, or without each cluster, in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from torchglm.design.weights import Frequency
from torchglm.errors import OptionError
from torchglm.inference.covariance.groups import grouped, read_values
from torchglm.inference.estimate import Estimate
from torchglm.inference.intervals.bootstrap import Watch
from torchglm.inference.record import Record
from torchglm.inference.resampling.refits import at_a_time, refit, refittable, refuse_infinite, warn_of_failed
from torchglm.objective.batch import Batch


@dataclass(frozen=True)
class Jackknife:
    """The coefficients without each unit, a row each; NaN where one has failed or a column had nothing left.

    `counts` says how many equal units a row stands for, as a frequency weight does; `failed` how many fits have no
    finite maximum, as separated data, or did not reach it: then bias and standard errors are NaN.
    """

    replicates: pd.DataFrame
    params: pd.Series
    counts: np.ndarray
    unit: str
    failed: int

    @property
    def bse(self) -> pd.Series:
        """sqrt((G - 1) / G times the sum of squares of the replicates about their mean), G the units."""
        return pd.Series(np.sqrt(np.diag(self.cov_params())), index=self.params.index)

    @property
    def bias(self) -> pd.Series:
        """(G - 1) times the mean of the replicates less the fit's coefficients."""
        return (self.counts.sum() - 1.0) * (self._mean - self.params)

    def cov_params(self) -> pd.DataFrame:
        """The covariance about the mean of the replicates; `fit.with_covariance` takes it.

        Source: Efron & Stein (1981); of clusters sandwich::vcovJK(center = "mean"), survey's JK1.
        """
        gaps = (self.replicates - self._mean).to_numpy()
        total = self.counts.sum()
        matrix = (gaps.T * self.counts) @ gaps * ((total - 1.0) / total)
        return pd.DataFrame(matrix, index=self.params.index, columns=self.params.index)

    @property
    def _mean(self) -> pd.Series:
        mean = self.counts @ self.replicates.to_numpy() / self.counts.sum()
        return pd.Series(mean, index=self.params.index)

    def __repr__(self) -> str:
        return f"<Jackknife of {len(self.replicates)} {self.unit}: {self.failed} failed>"


def jackknife(record: Record, estimate: Estimate | None, cluster: Any, watch: Watch | None = None) -> Jackknife:
    """The jackknife of a fit, by rows, or by clusters where one is given.

    Raises: OptionError, UnknownNameError; DataError for a cluster that is missing in rows of the fit.
    Warns: StatusWarning.
    """
    refuse_infinite(record, "jackknife()")
    estimate = refittable(estimate, "jackknife()")
    design, weights = estimate.objective.design, estimate.prepared.weights
    device = design.device
    if cluster is None:
        count, codes, unit = design.n, torch.arange(design.n, device=device), "rows"
        copies = torch.ones(count, dtype=torch.float64, device=device)
        index = estimate.prepared.index[estimate.prepared.used_of(np.arange(len(estimate.prepared.index)))]
        if isinstance(weights, Frequency):
            copies = weights.values.to(device)
            if bool((copies != copies.round()).any()):
                raise OptionError("jackknife() leaves out one copy of a row: freq_weights= must be whole numbers.")
    else:
        label, values = read_values(estimate, "cluster", cluster)
        groups = grouped(estimate, "cluster", label, values)
        count, codes, unit = groups.count, groups.codes, "clusters"
        copies, index = torch.ones(count, dtype=torch.float64, device=device), pd.Index(_labels(values, codes, count))
    thetas, failed = [], 0
    for first in range(0, count, size := at_a_time(estimate)):
        some = torch.arange(first, min(first + size, count), device=device)
        left = torch.where(codes == some[:, None], 1.0 - 1.0 / copies[some, None], 1.0)
        found = refit(estimate, Batch(estimate.objective, left))
        failed += int((~found.converged).sum())
        lost = found.aliased | ~found.converged[:, None]
        thetas.append(found.theta.masked_fill(lost, torch.nan))
        if watch is not None:
            watch(len(some))
    warn_of_failed(failed, count, f"fits without one of the {unit}", "a jackknife that needs them all is NaN.")
    user = estimate.layout.to_user(torch.cat(thetas).T).T.cpu().masked_fill(estimate.aliased, torch.nan)
    names = pd.Index(record.names)
    frame = pd.DataFrame(user.numpy(), index=index, columns=names)
    return Jackknife(frame, pd.Series(record.numbers.theta.numpy(), index=names), copies.cpu().numpy(), unit, failed)


def _labels(values: pd.Series, codes: torch.Tensor, count: int) -> list[Any]:
    """The label of each cluster."""
    first = np.zeros(count, dtype=np.int64)
    here = codes.cpu().numpy()
    first[here[::-1]] = np.arange(len(here))[::-1]
    return values.iloc[first].tolist()
