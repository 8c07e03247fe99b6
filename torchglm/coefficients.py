"""Coefficients: the handle on a fit's coefficients, whatever its model: tests, covariances, summary, saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any, Self

import pandas as pd
from torch import Tensor

from torchglm.call import Call
from torchglm.errors import OptionError
from torchglm.fit_facts import FitFacts
from torchglm.inference import wald
from torchglm.inference.computed import Computed
from torchglm.inference.covariance.choice import CovarianceOptions, record_under
from torchglm.inference.estimate import Estimate
from torchglm.inference.intervals.methods import interval
from torchglm.inference.record import Record
from torchglm.report.summary import Summary, summarize


@dataclass(frozen=True)
class Coefficients(FitFacts):
    """What every fit says of its coefficients. Nothing here changes it.

    `estimate` holds the data and is None after loading: what needs rows needs it, everything else does not.
    """

    estimate: Estimate | None = None
    call: Call | None = None

    def _named(self, values: Tensor) -> pd.Series:
        return pd.Series(values.numpy(), index=self._index)

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(self.record.names)

    @cached_property
    def params(self) -> pd.Series:
        """Coefficients, link scale; NaN where aliased."""
        return self._named(self.record.numbers.theta)

    @cached_property
    def bse(self) -> pd.Series:
        """Standard errors of the coefficients."""
        return self._named(self.record.standard_errors)

    @cached_property
    def tvalues(self) -> pd.Series:
        """Wald statistics: t where phi is estimated, else z; NaN on a standard error of zero."""
        return pd.Series(wald.statistics(self.params.to_numpy(), self.bse.to_numpy()), index=self._index)

    @cached_property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of `tvalues`."""
        return pd.Series(wald.coefficient_p_values(self.record, self.tvalues), index=self._index)

    def conf_int(
        self,
        alpha: float | None = None,
        *,
        level: float = 0.95,
        method: str = "wald",
        parameters: Sequence[str] | str | None = None,
    ) -> pd.DataFrame:
        """Intervals of the coefficients, columns 0 and 1. `alpha` is 1 - level, and wins over `level`.

        method      "wald" (params -+ quantile * bse), "profile" (likelihood ratio, as MASS::confint) or "score"
        parameters  names of the coefficients wanted; None: all

        Raises: OptionError, UnknownNameError.
        """
        return interval(self.record, self.estimate, level if alpha is None else 1.0 - alpha, method, parameters)

    def cov_params(self) -> pd.DataFrame:
        """The covariance of the coefficients."""
        return pd.DataFrame(self.record.numbers.covariance.numpy(), index=self._index, columns=self._index)

    # rows

    def _data(self) -> Estimate:
        if self.estimate is None:
            raise OptionError("This fit was loaded without its data, so it has no rows. Use predict(data).")
        return self.estimate

    def _rows(self, values: Tensor, name: str) -> pd.Series:
        return pd.Series(values.cpu().numpy(), index=self._data().prepared.index, name=name)

    # tables

    def summary(
        self,
        *,
        level: float = 0.95,
        exponentiate: bool = False,
        stars: bool = False,
        covariance: Any = None,
        cluster: Any = None,
        time: Any = None,
        order: Any = None,
        lag: int | None = None,
        ssc: str | None = None,
        df: str | float | None = None,
    ) -> Summary:
        """The summary, printed as text, HTML, LaTeX or Markdown; the rest as `with_covariance`, where given."""
        options = CovarianceOptions(cluster, time, order, lag, ssc, df)
        fit = self if covariance is None and not options.given else self._under(covariance, options)
        return summarize(fit, level=level, exponentiate=exponentiate, stars=stars)

    # other views

    def with_covariance(
        self,
        covariance: Any = None,
        *,
        cluster: Any = None,
        time: Any = None,
        order: Any = None,
        lag: int | None = None,
        ssc: str | None = None,
        df: str | float | None = None,
    ) -> Self:
        """The same fit with other standard errors, tests and intervals; nothing is refitted.

        covariance    "model", "HC0" to "HC3", "cluster", "CR0", "CR1S", "CR2", "CR3", "HAC", "driscoll_kraay",
                      "sampling", an instance from `torchglm.covariances`, a matrix (p, p), or a function of this fit
                      that returns one. None: "cluster" with cluster=, else the kind that the fit has
        cluster       a column, an expression in the data, an array, or a list of them for several ways
        time, order   of "driscoll_kraay" and "HAC": what rows are in time by; lag: the longest lag
        ssc           "r", "stata" or "fixest": whose small-sample correction
        df            what tests refer to: "z", "t", or a number of degrees of freedom

        Raises: UnknownNameError, OptionError, DataError; OptionError for a fit that was loaded without its data.
        """
        return self._under(covariance, CovarianceOptions(cluster, time, order, lag, ssc, df))

    def _under(self, covariance: Any, options: CovarianceOptions) -> Self:
        record = record_under(self.record, covariance, options, self)
        settle(record)
        return replace(self, record=record)

    def save(self, path: str | PathLike[str]) -> None:
        """The fit without its data in one file; see `torchglm.load`.

        Raises: SavedFileError for a folder that is not there, and for what a file cannot hold.
        """
        from torchglm.saving import save

        save(self.record, path)

    def __repr__(self) -> str:
        what = f"{self.formula or self.record.facts.response}: {self.family.name}"
        return f"<{type(self).__name__} {what}, {len(self.record.names)} coefficients>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Self:
        return self

    def __getstate__(self) -> Mapping[str, Any]:
        from torchglm.saving import stored

        return {"record": stored(self.record), "estimate": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)


def require_fits(what: str, *fits: Any) -> None:
    """Nothing, where all are fits.

    Raises: OptionError.
    """
    for fit in fits:
        if not isinstance(fit, Coefficients):
            raise OptionError(f"{what} takes what glm() and the other models return; got {type(fit).__name__}.")


def settle(record: Record) -> None:
    """Nothing; over several ranks, the numbers of a summary are computed."""
    if isinstance(record.numbers, Computed):
        record.numbers.settle()
