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
from torchglm.errors import OptionError
from torchglm.families.family import Family
from torchglm.inference import criteria, hypotheses
from torchglm.inference.computed import Computed
from torchglm.inference.covariance import CovarianceKind, resolve_covariance
from torchglm.inference.estimate import Estimate
from torchglm.inference.predict import Asked, predict
from torchglm.inference.record import Facts, Record
from torchglm.report import broom
from torchglm.report.summary import Summary, summarize


@dataclass(frozen=True)
class ModelNames:
    """The names of a model's sides, as statsmodels has them."""

    endog_names: str
    exog_names: list[str]


@dataclass(frozen=True)
class Fit:
    """A fitted model. Nothing here changes it; names are those of statsmodels, numbers those of R.

    `estimate` holds the data and is None after loading: residuals and fitted values need it, everything else does not.
    """

    record: Record
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
        """Wald intervals: params -+ quantile * bse, columns 0 and 1."""
        half = hypotheses.quantile(self.record, level if alpha is None else 1.0 - alpha) * self.bse
        return pd.DataFrame({0: self.params - half, 1: self.params + half})

    def cov_params(self) -> pd.DataFrame:
        """The covariance of the coefficients."""
        return pd.DataFrame(self.record.numbers.covariance.numpy(), index=self._index, columns=self._index)

    def wald_test(self, hypothesis: Any) -> hypotheses.WaldTest:
        """The joint test of "x1 = x2, x3 = 0", or of a matrix with one column a coefficient."""
        return hypotheses.wald_test(self.record, hypothesis)

    def t_test(self, hypothesis: Any, *, level: float = 0.95) -> pd.DataFrame:
        """Each restriction tested by itself."""
        return hypotheses.t_test(self.record, hypothesis, level)

    # the fit as a whole

    @property
    def formula(self) -> str | None:
        """As it was given."""
        return self.record.facts.formula

    @property
    def family(self) -> Family:
        """The family, with its link."""
        return self.record.family

    @property
    def model(self) -> ModelNames:
        """The names of response and columns."""
        return ModelNames(self.record.facts.response, list(self.record.names))

    @property
    def nobs(self) -> float:
        """Observations: rows of positive weight, or the sum of frequency weights."""
        return self.record.facts.n

    @property
    def df_model(self) -> float:
        """rank, less one where the formula has an intercept."""
        return float(self.record.facts.rank - int(self.record.schema.has_intercept))

    @property
    def df_resid(self) -> float:
        """nobs - rank."""
        return self.record.df_resid

    @property
    def df_null(self) -> float:
        """nobs, less one where the formula has an intercept."""
        return self.nobs - float(self.record.schema.has_intercept)

    @property
    def deviance(self) -> float:
        """Twice the distance of the log-likelihood from the saturated one, at phi = 1."""
        return self.record.numbers.totals.deviance

    @property
    def null_deviance(self) -> float:
        """The deviance of the intercept-only model with the offset."""
        return self.record.numbers.null.deviance

    @property
    def pearson_chi2(self) -> float:
        """The sum of squared Pearson residuals."""
        return self.record.numbers.totals.pearson

    @property
    def scale(self) -> float:
        """The dispersion phi."""
        return self.record.numbers.phi

    @property
    def dispersion_kind(self) -> str:
        """How phi was found."""
        return self.record.facts.dispersion_kind

    @property
    def llf(self) -> float:
        """R's logLik, nats; NaN for quasi families and tweedie."""
        return self.record.log_likelihood

    @property
    def llnull(self) -> float:
        """R's logLik of the null model."""
        return self.record.log_likelihood_null

    @property
    def aic(self) -> float:
        """-2 llf + 2 p, the dispersion counted where R counts it."""
        return criteria.aic(self.record)

    @property
    def bic(self) -> float:
        """-2 llf + log(nobs) p."""
        return criteria.bic(self.record)

    def pseudo_r2(self, kind: str = "mcfadden") -> float:
        """ "mcfadden", "cox_snell", "nagelkerke" or "d2" (share of the null deviance explained)."""
        return criteria.pseudo_r2(self.record, kind)

    # how it was found

    @property
    def converged(self) -> bool:
        """Whether the next Newton step is shorter than the tolerance."""
        return self.record.facts.converged

    @property
    def status(self) -> str:
        """How the search ended, in a sentence."""
        return self.record.facts.status

    @property
    def solver_name(self) -> str:
        """The solver."""
        return self.record.facts.solver

    @property
    def n_steps(self) -> int:
        """Steps taken."""
        return self.record.facts.steps

    @property
    def passes(self) -> int:
        """Passes over the data."""
        return self.record.facts.passes

    @property
    def trace(self) -> pd.DataFrame:
        """One row a step: loss (a sum, phi = 1), step_in_se, step_size, passes, seconds."""
        return pd.DataFrame(self.record.facts.trace)

    @property
    def fit_history(self) -> pd.DataFrame:
        """The same as `trace`: statsmodels' name."""
        return self.trace

    @property
    def aliased(self) -> dict[str, list[str]]:
        """Coefficients that are not defined -> the columns that span theirs."""
        return dict(self.record.facts.aliased)

    @property
    def infinite(self) -> dict[str, str]:
        """Coefficients that separation makes infinite -> "+" or "-"."""
        return dict(self.record.facts.infinite)

    @property
    def rows_dropped(self) -> int:
        """Rows left out for missing values."""
        return self.record.facts.rows_dropped

    @property
    def rows_zero_weight(self) -> int:
        """Rows of weight zero: not in `nobs`, but in the fitted values."""
        return self.record.facts.rows_zero_weight

    @property
    def weights_note(self) -> str | None:
        """What the weights were, and what they mean."""
        return self.record.facts.weights_note

    @property
    def offset_note(self) -> str | None:
        """What was added to the linear predictor."""
        return self.record.facts.offset_note

    @property
    def covariance_note(self) -> str:
        """Which covariance the standard errors come from."""
        return self.record.facts.covariance_note

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
        """ "deviance", "pearson", "response", "working" or "anscombe", with the data's index; NaN in dropped rows."""
        return self._rows(residuals.residuals(self._data(), kind), kind)

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

        Without `data`: the fitted rows (means or eta).
        Raises: OptionError, LevelError, UnknownNameError, DataError.
        """
        if data is None:
            if se or interval is not None:
                raise OptionError("Standard errors and intervals need the rows: give predict(data, ...).")
            return self.linear_predictor if scale == "link" else self.fittedvalues
        asked = Asked(scale, se, interval, level, new_levels)
        return predict(self.record, data, asked, {"offset": offset, "exposure": exposure})

    def get_prediction(self, data: Any, *, level: float = 0.95) -> pd.DataFrame:
        """Means, delta-method standard errors and confidence intervals: statsmodels' name for it."""
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

    def augment(self, data: pd.DataFrame) -> pd.DataFrame:
        """`data` with .fitted (response scale) and .resid (deviance residuals), as broom's augment()."""
        if len(data) != len(self._data().prepared.index):
            raise OptionError(f"augment() takes the data of the fit ({len(self._data().prepared.index)} rows).")
        return data.assign(**{".fitted": self.fittedvalues.to_numpy(), ".resid": self.resid_deviance.to_numpy()})

    # other views

    def with_covariance(self, covariance: str | CovarianceKind) -> Fit:
        """The same fit with other standard errors ("model", "HC0", "HC1", "sampling"); nothing is refitted."""
        numbers = self.record.numbers
        if not isinstance(numbers, Computed):
            raise OptionError("This fit was loaded without its data: its covariance is the one it was saved with.")
        kind = resolve_covariance(covariance, numbers.estimate.prepared.weights)
        facts = replace(self.record.facts, covariance_note=kind.note)
        return replace(self, record=replace(self.record, facts=facts, numbers=replace(numbers, covariance_kind=kind)))

    def save(self, path: str | PathLike[str]) -> None:
        """The fit without its data in one file; see `torchglm.load`."""
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
