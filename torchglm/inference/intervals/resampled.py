"""The bootstrap of a fit, and what follows from its replicates: standard errors, covariances, intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from torchglm.errors import OptionError
from torchglm.inference.covariance.groups import grouped, read_values
from torchglm.inference.estimate import Estimate, with_data
from torchglm.inference.intervals.bootstrap import Watch, acceleration, bootstrap, check
from torchglm.inference.record import Record
from torchglm.inference.resampling.refits import refuse_infinite, warn_of_failed
from torchglm.inference.wald import check_level

LEFT_OUT = (
    "they are left out, so that standard errors and intervals are too narrow. Merge levels or leave columns out; glm() "
    'has finite estimates, and profile intervals, with penalty="firth".'
)
INTERVALS = ("percentile", "basic", "normal", "bca")


@dataclass(frozen=True)
class Bootstrap:
    """Replicates of a fit's coefficients: a row each, NaN where one has failed or a column had nothing left.

    `kind` says what was drawn, `failed` how many replicates have no finite maximum, as separated data, or did not reach
    it; `params` are the fit's own coefficients, `acceleration` those of the bca interval.
    """

    replicates: pd.DataFrame
    params: pd.Series
    kind: str
    seed: int
    failed: int
    acceleration: pd.Series

    @property
    def bse(self) -> pd.Series:
        """Standard deviations of the replicates."""
        return self.replicates.std()

    @property
    def bias(self) -> pd.Series:
        """Mean of the replicates less the fit's coefficients."""
        return self.replicates.mean() - self.params

    def cov_params(self) -> pd.DataFrame:
        """The covariance of the replicates; `fit.with_covariance` takes it."""
        return self.replicates.cov()

    def conf_int(self, *, level: float = 0.95, kind: str = "percentile") -> pd.DataFrame:
        """Intervals, columns 0 and 1: "percentile", "basic", "normal" (bias corrected) or "bca".

        Raises: OptionError for another kind or a level outside of (0, 1).
        Source: Davison & Hinkley (1997), chapter 5, as boot::boot.ci; quantiles are numpy's (R's type 7), those of
        boot.ci are interpolated on the normal scale. The acceleration of bca is that of the empirical influences.
        """
        from scipy import special

        if kind not in INTERVALS:
            raise OptionError(f"kind= is one of {', '.join(map(repr, INTERVALS))}; got {kind!r}.")
        check_level(level)
        tails = np.array([0.5 - level / 2.0, 0.5 + level / 2.0])
        if kind == "normal":
            half = special.ndtri(tails[1]) * self.bse
            center = self.params - self.bias
            return pd.DataFrame({0: center - half, 1: center + half})
        ends = {}
        for name, values in self.replicates.items():
            kept = values.dropna().to_numpy()
            ends[name] = _quantiles(kept, self._tails(str(name), kept, tails) if kind == "bca" else tails)
        frame = pd.DataFrame.from_dict(ends, orient="index", columns=[0, 1]).reindex(self.params.index)
        if kind == "basic":
            twice = 2.0 * self.params
            frame = pd.DataFrame({0: twice - frame[1], 1: twice - frame[0]})
        return frame

    def _tails(self, name: str, values: np.ndarray, tails: np.ndarray) -> np.ndarray:
        """The chances that bca takes the quantiles at."""
        from scipy import special

        z0 = special.ndtri((values < self.params[name]).mean()) if len(values) else np.nan
        z = z0 + special.ndtri(tails)
        return special.ndtr(z0 + z / (1.0 - self.acceleration[name] * z))

    def summary(self, *, level: float = 0.95, kind: str = "percentile") -> pd.DataFrame:
        """One row a coefficient: estimate, bias, std.error, conf.low, conf.high."""
        ends = self.conf_int(level=level, kind=kind)
        return pd.DataFrame(
            {
                "estimate": self.params,
                "bias": self.bias,
                "std.error": self.bse,
                "conf.low": ends[0],
                "conf.high": ends[1],
            }
        )

    def __repr__(self) -> str:
        return (
            f"<Bootstrap of {len(self.replicates)} replicates by {self.kind}, seed {self.seed}: {self.failed} failed>"
        )


def _quantiles(values: np.ndarray, chances: np.ndarray) -> np.ndarray:
    return np.quantile(values, chances) if len(values) and np.isfinite(chances).all() else np.full(2, np.nan)


def resampled(
    record: Record, estimate: Estimate | None, replicates: int, kind: str, cluster: Any, seed: int, watch: Watch
) -> Bootstrap:
    """The bootstrap of a fit; `watch` is told how many replicates were done.

    Raises: OptionError, UnknownNameError; DataError for a cluster that is missing in rows of the fit.
    Warns: StatusWarning.
    """
    refuse_infinite(record, "bootstrap()")
    estimate = with_data(estimate, "bootstrap()")
    if estimate.penalised is not None:
        raise OptionError("bootstrap() refits by maximum likelihood, and this fit is under a penalty.")
    check(kind, replicates, cluster)
    clusters = None if cluster is None else grouped(estimate, "cluster", *read_values(estimate, "cluster", cluster))
    drawn = bootstrap(estimate, record.numbers.phi, replicates, kind, seed, clusters, watch)
    warn_of_failed(drawn.failed, replicates, "replicates", LEFT_OUT)
    frame = pd.DataFrame(drawn.thetas.numpy(), columns=list(record.names))
    params, skewness = record.numbers.theta.numpy(), acceleration(estimate, clusters).numpy()
    index = pd.Index(record.names)
    return Bootstrap(frame, pd.Series(params, index=index), kind, seed, drawn.failed, pd.Series(skewness, index=index))
