"""Fit: the user's handle on an estimate. Each method is a few lines over the floors below."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import Tensor

from torchglm.coefficients import Coefficients
from torchglm.design.sources import open_source
from torchglm.diagnostics import residuals
from torchglm.diagnostics.added_variable import added_variable
from torchglm.diagnostics.calibration import calibration_curve
from torchglm.diagnostics.distribution import fitted_distribution, simulate
from torchglm.diagnostics.influence import Influence
from torchglm.diagnostics.influence import residuals as any_residuals
from torchglm.diagnostics.partial import partial_residuals
from torchglm.diagnostics.quantile import quantile_residuals
from torchglm.inference.hypotheses.score_test import ScoreTest
from torchglm.inference.intervals.resampled import Bootstrap, resampled
from torchglm.inference.prediction.contrast import contrast
from torchglm.inference.prediction.distribution import distribution
from torchglm.inference.prediction.matrix import model_matrix, model_offset
from torchglm.inference.prediction.predict import Asked, check_without_data, predict, predict_fitted
from torchglm.inference.resampling.cross_validation import CrossValidation, cross_validate
from torchglm.inference.resampling.jackknife import Jackknife, jackknife
from torchglm.inference.resampling.permutation import PermutationTest, permutation_test
from torchglm.progress import Count
from torchglm.report import broom
from torchglm.report.checks import Checks, checked

if TYPE_CHECKING:
    from torchglm.nn import FitModule


@dataclass(frozen=True, repr=False)
class Fit(Coefficients):
    """A fitted model. Nothing here changes it; names are those of statsmodels, numbers those of R."""

    # coefficients

    def bootstrap(self, replicates: int = 1000, *, kind: str = "rows", cluster: Any = None, seed: int = 0) -> Bootstrap:
        """Replicates of the coefficients: their standard errors, covariance and intervals.

        kind     "rows" or "clusters" drawn with replacement, "parametric" responses, or "wild" signs of the scores
        cluster  a column, an expression or an array, for "clusters" and "wild"

        Raises: OptionError, UnknownNameError, DataError.
        """
        with Count("bootstrap", replicates) as watch:
            return resampled(self.record, self.estimate, replicates, kind, cluster, seed, watch)

    def jackknife(self, *, cluster: Any = None) -> Jackknife:
        """The coefficients without each row, or each cluster: their bias, standard errors and covariance.

        Raises: OptionError, UnknownNameError, DataError.
        """
        with Count("jackknife", self._data().objective.design.n) as watch:
            return jackknife(self.record, self.estimate, cluster, watch)

    def permutation_test(self, permutations: int = 999, *, groups: Any = None, seed: int = 0) -> PermutationTest:
        """Tests of the coefficients against responses dealt out to the rows at random, within `groups` where given.

        Raises: OptionError, UnknownNameError, DataError.
        """
        kind = None if self.call is None else self.call.dispersion
        with Count("permutations", permutations) as watch:
            return permutation_test(self.record, self.estimate, permutations, groups, seed, kind, watch)

    def cross_validate(self, folds: Any = 10, *, groups: Any = None, seed: int = 0) -> CrossValidation:
        """How well models fitted without each fold predict it: deviance, log score, mean squared error.

        folds   how many, at random; or a column, an expression or an array that names the fold of each row
        groups  rows that stay in one fold: a column, an expression or an array

        Raises: OptionError, UnknownNameError, DataError.
        """
        kind = None if self.call is None else self.call.dispersion
        return cross_validate(self.estimate, folds, groups, seed, kind)

    def score_test(self, terms: str | Sequence[str], *, robust: bool = False) -> ScoreTest:
        """Rao's score test of terms that the fit lacks, "x3 + C(g)", all at once; no larger model is fitted.

        `robust` takes the variance of the scores from the rows (HC0) rather than from the model.
        Raises: DataError where a term has missing values in rows of the fit; OptionError where nothing is added.
        """
        from torchglm.term_tests import caller_of, score_test

        return score_test(self, terms, caller_of(sys._getframe(1)), robust)

    # rows

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

        By leverage: "standardized_deviance", "standardized_pearson" and "studentized", R's rstandard and rstudent.
        Raises: UnknownNameError; OptionError for a fit that was loaded without its data.
        """
        return any_residuals(self.record, self._data(), kind)

    def quantile_residuals(self, seed: int = 0) -> pd.Series:
        """Randomized quantile residuals (Dunn & Smyth 1996): standard normal under a true model, counts included.

        Raises: OptionError for a family that is no distribution.
        """
        return self._rows(quantile_residuals(self._data(), self.scale, seed), "quantile")

    def partial_residuals(self, terms: str | Sequence[str] | None = None) -> pd.DataFrame:
        """What each term explains, centred, with the working residual: a column a term.

        Raises: UnknownNameError.
        """
        return partial_residuals(self._data(), terms)

    def added_variable(self, variable: Any, kind: str = "score") -> pd.DataFrame:
        """x and y of an added-variable plot: what the other columns leave of `variable` and of the response.

        variable  a coefficient; for "score" also a column, an expression or an array that the fit may lack
        kind      "score", from the model without it; or "working", whose slope is the coefficient

        Raises: UnknownNameError, OptionError, DataError.
        """
        return added_variable(self._data(), variable, kind)

    def get_influence(self) -> Influence:
        """Leverage, Cook's distance and the other measures of influence, each computed when asked for."""
        return Influence(self.record, self._data())

    def influence(self, coefficients: Sequence[str] | None = None) -> pd.DataFrame:
        """All measures of influence, a row a row of the data, as R's influence.measures.

        Raises: UnknownNameError; OptionError where dfbetas of all coefficients would not fit into memory.
        """
        return self.get_influence().summary_frame(coefficients)

    def check(self, checks: Any = None, *, seed: int = 0) -> Checks:
        """A page of checks with a verdict each: all that apply, or those named: "link", Calibration(groups=8), ...

        Raises: UnknownNameError; OptionError for a fit that was loaded without its data.
        """
        return checked(self.record, self._data(), checks, seed)

    def calibration_curve(self, groups: int = 10, *, level: float = 0.95) -> pd.DataFrame:
        """Mean response against mean fitted value in groups of like fitted values, lowest first.

        Raises: OptionError.
        """
        return calibration_curve(self.record, self._data(), groups, level)

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
        interval    "confidence" (of the mean), "simultaneous" (of all means at once), "prediction" (of a response)
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

    def contrast(
        self,
        data: Any,
        weights: Any,
        *,
        scale: str = "link",
        level: float = 0.95,
        offset: Any = None,
        exposure: Any = None,
    ) -> pd.DataFrame:
        """Linear combinations of the predictions for the rows of `data`, a row each, as `t_test` shows them.

        weights  {"label": one weight a row, ...}, or an array (m, rows); scale "link", or "response" (means combined)

        Raises: OptionError, DataError, LevelError, UnknownNameError.
        """
        return contrast(self.record, data, weights, scale, level, {"offset": offset, "exposure": exposure})

    def get_distribution(self, data: Any = None) -> Any:
        """scipy.stats' frozen distribution of every row's response (cdf, ppf, pmf, ...), as statsmodels' method.

        Without `data`: of the rows of the fit, with their weights; a binomial's is that of the successes in its trials.
        Raises: OptionError for a family that is no distribution; what `predict` raises.
        """
        if data is None:
            return fitted_distribution(self._data(), self.scale)
        return distribution(self.family, self.predict(data).to_numpy(), self.scale)

    def simulate(self, n: int = 1, *, seed: int = 0) -> pd.DataFrame:
        """`n` sets of responses drawn from the fit, columns sim_1 ..., with the data's index; NaN in dropped rows.

        Raises: OptionError.
        """
        return simulate(self._data(), self.scale, n, seed)

    def model_matrix(self, data: Any = None, *, new_levels: str = "raise") -> Tensor:
        """(rows, p) the columns that the formula makes of `data`, named as `params`; NaN in rows not complete.

        Without `data`: of the rows of the fit. new_levels: as of `predict`.
        Raises: LevelError, DataError, UnknownNameError, OptionError.
        """
        if data is not None:
            return model_matrix(self.record.schema, open_source(data), None, new_levels)
        prepared = self._data().prepared
        return model_matrix(self.record.schema, prepared.source, prepared.rows, new_levels)

    def model_offset(self, data: Any, *, offset: Any = None, exposure: Any = None) -> Tensor:
        """(rows,) what offsets and exposure add to the linear predictor of the rows of `data`; arguments as `predict`.

        Raises: DataError, UnknownNameError, OptionError.
        """
        record, given = self.record, {"offset": offset, "exposure": exposure}
        return model_offset(record.offsets, record.exposure, record.schema, open_source(data), given)

    def to_module(self) -> FitModule:
        """A torch module of the model matrix: forward(fit.model_matrix(data), fit.model_offset(data)) is the mean."""
        from torchglm.nn import FitModule

        record = self.record
        return FitModule(record.names, record.defined_theta, self.family, has_offset=bool(record.extras))

    # tables

    def augment(self, data: Any) -> pd.DataFrame:
        """`data` with .fitted (response scale) and .resid (deviance residuals), as broom's augment().

        Rows of a pandas frame in another order are found by their labels, where these are those of the fit.
        Raises: OptionError for data that are not those of the fit, and for a fit that was loaded without its data;
        DataError for what is no table.
        """
        return broom.augment(data, self.fittedvalues, self.resid_deviance, self._data().prepared)

    # other views

    def update(self, formula: str | None = None, data: Any = None) -> Fit:
        """The same call with another formula, ". ~ . - x + z", or data; `torchglm.update` changes anything else.

        Raises: OptionError for a fit that was loaded without its data; what glm() raises.
        """
        from torchglm.term_tests import caller_of
        from torchglm.update import refit

        return refit(self, formula, data, caller_of(sys._getframe(1)))
