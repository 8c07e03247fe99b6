"""Fit: the user's handle on an estimate. Each method is a few lines over the floors below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any

import pandas as pd
from torch import Tensor

from torchglm.diagnostics import residuals
from torchglm.diagnostics.quantile import quantile_residuals
from torchglm.errors import OptionError
from torchglm.fit_facts import FitFacts
from torchglm.inference import hypotheses
from torchglm.inference.computed import Computed
from torchglm.inference.covariance import CovarianceKind, resolve_covariance
from torchglm.inference.estimate import Estimate
from torchglm.inference.predict import Asked, check_without_data, predict, predict_fitted
from torchglm.inference.record import Facts
from torchglm.report import broom
from torchglm.report.summary import Summary, summarize


@dataclass(frozen=True)
class Fit(FitFacts):
    """A fitted model. Nothing here changes it; names are those of statsmodels, numbers those of R.

    `estimate` holds the data and is None after loading: residuals and fitted values need it, everything else does not.
    """

    estimate: Estimate | None = None

    # coefficients

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
        """Wald statistics: t where phi is estimated, else z."""
        return self.params / self.bse

    @cached_property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of `tvalues`."""
        return pd.Series(hypotheses.p_values(self.record, self.tvalues), index=self._index)

    @property
    def use_t(self) -> bool:
        """Whether tests refer to t with `df_resid` rather than to the normal."""
        return self.record.use_t

    def conf_int(self, alpha: float | None = None, *, level: float = 0.95) -> pd.DataFrame:
        """Wald intervals: params -+ quantile * bse, columns 0 and 1. `alpha` is 1 - level, and wins over `level`.

        Raises: OptionError for a level outside of (0, 1).
        """
        half = hypotheses.quantile(self.record, level if alpha is None else 1.0 - alpha) * self.bse
        return pd.DataFrame({0: self.params - half, 1: self.params + half})

    def cov_params(self) -> pd.DataFrame:
        """The covariance of the coefficients."""
        return pd.DataFrame(self.record.numbers.covariance.numpy(), index=self._index, columns=self._index)

    def wald_test(self, hypothesis: Any) -> hypotheses.WaldTest:
        """The joint test of "x1 = x2, x3 = 0", or of a matrix with one column a coefficient.

        Raises: UnknownNameError naming what is no coefficient; OptionError for restrictions that are not linear, that
        repeat each other, or that name a coefficient which is aliased or has no standard error.
        """
        return hypotheses.wald_test(self.record, hypothesis)

    def t_test(self, hypothesis: Any, *, level: float = 0.95) -> pd.DataFrame:
        """Each restriction L theta = r tested by itself, a labelled row each; the estimate is that of L theta.

        Raises: UnknownNameError, OptionError.
        """
        return hypotheses.t_test(self.record, hypothesis, level)

    # rows

    def _data(self) -> Estimate:
        if self.estimate is None:
            raise OptionError("This fit was loaded without its data, so it has no rows. Use predict(data).")
        return self.estimate

    def _rows(self, values: Tensor, name: str) -> pd.Series:
        return pd.Series(values.cpu().numpy(), index=self._data().prepared.index, name=name)

    @cached_property
    def fittedvalues(self) -> pd.Series:
        """Fitted means with the data's index; NaN in dropped rows."""
        return self._rows(residuals.fitted(self._data()), "fitted")

    @cached_property
    def linear_predictor(self) -> pd.Series:
        """eta, offset included, with the data's index; NaN in dropped rows."""
        return self._rows(residuals.linear_predictor(self._data()), "linear_predictor")

    def residuals(self, kind: str = "deviance") -> pd.Series:
        """ "deviance", "pearson", "response", "working" or "anscombe", with the data's index; NaN in dropped rows.

        Raises: UnknownNameError; OptionError for a fit that was loaded without its data.
        """
        return self._rows(residuals.residuals(self._data(), kind), kind)

    def quantile_residuals(self, seed: int = 0) -> pd.Series:
        """Randomized quantile residuals (Dunn & Smyth 1996): standard normal under a true model, counts included.

        Raises: OptionError for a family that is no distribution.
        """
        return self._rows(quantile_residuals(self._data(), self.scale, seed), "quantile")

    @property
    def resid_response(self) -> pd.Series:
        """y - mu."""
        return self.residuals("response")

    @property
    def resid_pearson(self) -> pd.Series:
        """(y - mu) sqrt(w / V)."""
        return self.residuals("pearson")

    @property
    def resid_deviance(self) -> pd.Series:
        """sign(y - mu) sqrt(w d)."""
        return self.residuals("deviance")

    @property
    def resid_working(self) -> pd.Series:
        """(y - mu) d eta / d mu."""
        return self.residuals("working")

    @property
    def resid_anscombe(self) -> pd.Series:
        """Anscombe's, times sqrt(w)."""
        return self.residuals("anscombe")

    # new data

    def predict(
        self,
        data: Any = None,
        *,
        scale: str = "response",
        se: bool = False,
        interval: str | None = None,
        level: float = 0.95,
        new_levels: str = "raise",
        offset: Any = None,
        exposure: Any = None,
    ) -> pd.Series | pd.DataFrame:
        """Predictions with the index of `data`: a Series, or a DataFrame of predicted, se, lower, upper.

        scale       "response" (means) or "link"
        interval    "confidence" (of the mean) or "prediction" (of a new response)
        new_levels  "raise", or "nan" for rows whose level the fit has not seen
        offset, exposure  only where the fit's own was an array; a column or expression is evaluated again

        Without `data`: the rows of the fit, with the offset of the fit.
        Raises: OptionError, LevelError, UnknownNameError, DataError.
        """
        asked = Asked(scale, se, interval, level, new_levels)
        given = {"offset": offset, "exposure": exposure}
        if data is not None:
            return predict(self.record, data, asked, given)
        check_without_data(asked, given)
        if se or interval is not None:
            return predict_fitted(self.record, self._data(), asked)
        return self.linear_predictor if scale == "link" else self.fittedvalues

    def get_prediction(self, data: Any = None, *, level: float = 0.95) -> pd.DataFrame:
        """Means, delta-method standard errors and confidence intervals: statsmodels' name for it.

        Without `data`: of the rows of the fit.
        Raises: OptionError, LevelError, UnknownNameError, DataError.
        """
        out = self.predict(data, se=True, interval="confidence", level=level)
        assert isinstance(out, pd.DataFrame)
        return out.set_axis(["mean", "mean_se", "mean_ci_lower", "mean_ci_upper"], axis=1)

    # tables

    def summary(self, *, level: float = 0.95, exponentiate: bool = False, stars: bool = False) -> Summary:
        """The summary, printed as text, HTML, LaTeX or Markdown."""
        return summarize(self, level=level, exponentiate=exponentiate, stars=stars)

    def tidy(self, *, exponentiate: bool = False, conf_int: bool = False, level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient, as broom's tidy(); `exponentiate` shows exp() of estimates and interval ends."""
        return broom.tidy(self.record, exponentiate=exponentiate, conf_int=conf_int, level=level)

    def glance(self) -> pd.DataFrame:
        """One row of deviances, criteria and counts, as broom's glance()."""
        return broom.glance(self.record)

    def augment(self, data: Any) -> pd.DataFrame:
        """`data` with .fitted (response scale) and .resid (deviance residuals), as broom's augment().

        Raises: OptionError for another number of rows, and for a fit that was loaded without its data; DataError for
        what is no table.
        """
        return broom.augment(data, self.fittedvalues, self.resid_deviance)

    # other views

    def with_covariance(self, covariance: str | CovarianceKind) -> Fit:
        """The same fit with other standard errors ("model", "HC0", "HC1", "sampling"); nothing is refitted.

        Raises: UnknownNameError, OptionError; OptionError for a fit that was loaded without its data.
        """
        numbers = self.record.numbers
        if not isinstance(numbers, Computed):
            raise OptionError("This fit was loaded without its data: its covariance is the one it was saved with.")
        kind = resolve_covariance(covariance, numbers.estimate.prepared.weights)
        facts = replace(self.record.facts, covariance_note=kind.note)
        return replace(self, record=replace(self.record, facts=facts, numbers=replace(numbers, covariance_kind=kind)))

    def save(self, path: str | PathLike[str]) -> None:
        """The fit without its data in one file; see `torchglm.load`.

        Raises: SavedFileError for a folder that is not there, and for what a file cannot hold.
        """
        from torchglm.saving import save

        save(self.record, path)

    def __repr__(self) -> str:
        facts: Facts = self.record.facts
        return f"<Fit {facts.formula or facts.response}: {self.family.name}, {len(self.record.names)} coefficients>"

    def __copy__(self) -> Fit:
        return self

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Fit:
        return self

    def __getstate__(self) -> Mapping[str, Any]:
        from torchglm.saving import stored

        return {"record": stored(self.record), "estimate": None}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
