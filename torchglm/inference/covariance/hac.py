"""Covariances for rows in time: scores near in time may depend on each other, by weights that fall with the lag.

HAC              A [sum_t u_t u_t' + sum_l k(l) sum_t (u_t u_{t-l}' + u_{t-l} u_t')] A     u_t the score of a row
driscoll_kraay   the same of the summed scores of all rows of one time                     a panel

Bartlett     k(l) = 1 - l / (lag + 1)                                      Newey & West (1987)
Parzen       k(x) = 1 - 6 x^2 + 6 x^3 to x = 1/2, then 2 (1 - x)^3         x = l / (lag + 1)

Times count in their order, whatever lies between two of them. Rows out of the fit leave no gap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.among_ranks import require_all_rows
from torchglm.design.weights import Frequency
from torchglm.errors import DataError, OptionError, did_you_mean
from torchglm.inference.covariance.groups import RowGroups, grouped, read_values, used_label
from torchglm.inference.covariance.kind import CovarianceKind, sandwiched
from torchglm.inference.covariance.scores import group_scores, written_out
from torchglm.inference.covariance.ssc import ratio
from torchglm.inference.estimate import Estimate

STRETCH = 2_000_000  # entries of the scores written out at once


def bartlett(x: Tensor) -> Tensor:
    """1 - x."""
    return 1.0 - x


def parzen(x: Tensor) -> Tensor:
    """1 - 6 x^2 + 6 x^3 to a half, then 2 (1 - x)^3."""
    return torch.where(x <= 0.5, 1.0 - 6.0 * x.square() + 6.0 * x.pow(3), 2.0 * (1.0 - x).pow(3))


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {"bartlett": bartlett, "parzen": parzen}


def _check(kernel: str, lag: int | None) -> None:
    if kernel not in KERNELS:
        raise OptionError(f"There is no kernel {kernel!r}. {did_you_mean(kernel, KERNELS)}")
    if lag is not None and (isinstance(lag, bool) or not isinstance(lag, int | np.integer) or lag < 0):
        raise OptionError(f"lag= is a whole number from 0; got {lag!r}.")


def _checked_lag(lag: int, n: int, what: str) -> int:
    if lag >= n:
        raise OptionError(f"lag={lag} is no lag of {n} {what}: the longest is {n - 1}.")
    return lag


def lagged_meat(stretches: Iterator[Tensor], kernel: str, lag: int) -> Tensor:
    """u_t u_t' and the weighted products at lags 1, 2, ...: (p, p), from stretches (rows, p) of scores in order."""
    weights = KERNELS[kernel](torch.arange(lag + 1, dtype=torch.float64) / (lag + 1))
    meat, tail = None, None
    for now in stretches:
        tail = now.new_zeros(lag, now.shape[1]) if tail is None else tail
        known = torch.cat([tail, now])  # row lag + t is row t of `now`
        smoothed = 0.5 * float(weights[0]) * now
        for back in range(1, lag + 1):
            smoothed.add_(known[lag - back : lag - back + len(now)], alpha=float(weights[back]))
        half = now.T @ smoothed
        meat = half if meat is None else meat.add_(half)
        tail = known[len(known) - lag :].clone()
    assert meat is not None
    return meat + meat.T


@dataclass(frozen=True)
class HAC(CovarianceKind, name="HAC"):
    """The sandwich of Newey and West, as sandwich::NeweyWest(prewhite = FALSE, lag =, order.by =, adjust =).

    lag      None: floor(4 (n / 100)^(2/9)), the rule of Newey & West (1994) without its plug-in
    order    what the rows are in time by; None: as they lie in the data
    kernel   "bartlett" or "parzen"
    adjust   times n / (n - rank)

    Raises: OptionError for frequency weights, whose copies have no order; DataError for rows of one time.
    """

    lag: int | None = None
    order: Any = None
    kernel: str = "bartlett"
    adjust: bool = False

    def __post_init__(self) -> None:
        _check(self.kernel, self.lag)

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        estimate.refuse_changed_data()
        objective, lag, order = estimate.objective, self._lag(estimate), self._order(estimate)
        rows = max(STRETCH // objective.layout.width, 1)
        meat = lagged_meat(written_out(objective, estimate.solution.theta, order, rows), self.kernel, lag)
        return sandwiched(estimate, meat) * (ratio(estimate.n, estimate.df_resid) if self.adjust else 1.0)

    def _lag(self, estimate: Estimate) -> int:
        n = estimate.objective.design.n
        if isinstance(estimate.prepared.weights, Frequency):
            raise OptionError('covariance="HAC" has no meaning with freq_weights=: a row\'s copies have no order.')
        lag = math.floor(4.0 * (n / 100.0) ** (2.0 / 9.0)) if self.lag is None else int(self.lag)
        return min(lag, n - 1) if self.lag is None else _checked_lag(lag, n, "rows")

    def _order(self, estimate: Estimate) -> Tensor | None:
        """(n,) the rows in order of time; None for as they lie.

        Raises: DataError where two have the same time; OptionError where no process holds all rows.
        """
        require_all_rows(estimate.objective.design, "A sum over neighbouring rows")
        if self.order is None:
            return None
        label, times = read_values(estimate, "order", self.order)
        codes, _ = pd.factorize(times, sort=True)
        order = np.argsort(codes, kind="stable")
        ties = np.flatnonzero(np.diff(codes[order]) == 0)
        if len(ties):
            first, second = (used_label(estimate, int(order[ties[0] + k])) for k in (0, 1))
            raise DataError(
                f"order={label} does not order the rows: {first} and {second} both have "
                f'{times.iloc[order[ties[0]]]!s}. For a panel take covariance="driscoll_kraay" with time=.'
            )
        return torch.from_numpy(order).to(estimate.objective.design.device)

    @property
    def note(self) -> str:
        return "HAC sandwich, bread of the expected information"

    def note_of(self, estimate: Estimate) -> str:
        self._order(estimate)
        by = "in the order of the data" if self.order is None else f"ordered by {_shown(self.order)}"
        return (
            f"HAC sandwich, {self.kernel.capitalize()} lag {self._lag(estimate)}, {by}, "
            f"{_factor(self.adjust)}, bread of the expected information"
        )


@dataclass(frozen=True)
class DriscollKraay(CovarianceKind, name="driscoll_kraay"):
    """The sandwich of Driscoll and Kraay (1998), as sandwich::vcovPL(aggregate = TRUE, order.by = time, lag =).

    time     what the rows of one time have in common
    lag      None: floor(T^(1/4)), T the number of times, as vcovPL and plm::vcovSCC
    kernel   "bartlett" or "parzen"
    adjust   times n / (n - rank)
    """

    time: Any = None
    lag: int | None = None
    kernel: str = "bartlett"
    adjust: bool = True

    def __post_init__(self) -> None:
        _check(self.kernel, self.lag)

    def matrix(self, estimate: Estimate, phi: float) -> Tensor:
        estimate.refuse_changed_data()
        times = self._times(estimate)
        lag = self._lag(times)
        (scores,) = group_scores(estimate.objective, estimate.solution.theta, [times])
        meat = lagged_meat(iter([scores.T]), self.kernel, lag)
        return sandwiched(estimate, meat) * (ratio(estimate.n, estimate.df_resid) if self.adjust else 1.0)

    def natural_df(self, estimate: Estimate) -> float:
        """T - 1."""
        return self._times(estimate).count - 1.0

    def _times(self, estimate: Estimate) -> RowGroups:
        if self.time is None:
            raise OptionError('covariance="driscoll_kraay" needs times: say time="column".')
        return grouped(estimate, "time", *read_values(estimate, "time", self.time))

    def _lag(self, times: RowGroups) -> int:
        return math.floor(times.count**0.25) if self.lag is None else _checked_lag(self.lag, times.count, "times")

    @property
    def note(self) -> str:
        return "Driscoll-Kraay sandwich, bread of the expected information"

    def note_of(self, estimate: Estimate) -> str:
        times = self._times(estimate)
        return (
            f"Driscoll-Kraay sandwich over {times.label} ({times.count} times), {self.kernel.capitalize()} lag "
            f"{self._lag(times)}, {_factor(self.adjust)}, bread of the expected information"
        )


def _factor(adjust: bool) -> str:
    return "n / (n - rank)" if adjust else "no correction"


def _shown(key: Any) -> str:
    return key if isinstance(key, str) else "an array"
