"""FitFacts: what a fit says of itself, without its data: the numbers and facts of its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from torchglm.families.family import Family
from torchglm.inference import criteria
from torchglm.inference.estimated import estimated, estimated_values
from torchglm.inference.hypotheses import linear
from torchglm.inference.hypotheses.nonlinear import NonlinearTest, nonlinear_test
from torchglm.inference.record import Record
from torchglm.report import broom


@dataclass(frozen=True)
class ModelNames:
    """The names of a model's sides, as statsmodels has them."""

    endog_names: str
    exog_names: list[str]


@dataclass(frozen=True)
class FitFacts:
    """The half of a Fit that reads its record."""

    record: Record

    # the fit as a whole

    @property
    def title(self) -> str:
        """What kind of model this is, as its summary is headed."""
        return "Generalized linear model"

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
        """rank, less that of the null model: one where the formula has an intercept."""
        return float(self.record.facts.rank - self.record.null_rank)

    @property
    def df_resid(self) -> float:
        """nobs - rank."""
        return self.record.df_resid

    @property
    def df_null(self) -> float:
        """nobs, less the rank of the null model: one where the formula has an intercept."""
        return self.nobs - float(self.record.null_rank)

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
    def estimated(self) -> pd.DataFrame:
        """What is estimated beside the coefficients, as theta of negative_binomial(): "estimate" and "std.error"."""
        return estimated(self.record)

    @property
    def estimated_values(self) -> dict[str, tuple[float, float]]:
        """The same as a dict: name -> estimate, standard error."""
        return estimated_values(self.record)

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
    def penalised_llf(self) -> float:
        """llf + 1/2 log det of the expected information: what Jeffreys' penalty maximises, as logistf's loglik.

        NaN without a penalty, where phi is estimated, and where the adjusted score is the gradient of no likelihood.
        """
        return self.record.penalised_log_likelihood

    @property
    def aic(self) -> float:
        """-2 llf + 2 p, the dispersion counted where R counts it."""
        return criteria.aic(self.record)

    @property
    def bic(self) -> float:
        """-2 llf + log(nobs) p."""
        return criteria.bic(self.record)

    def pseudo_r2(self, kind: str = "mcfadden") -> float:
        """ "mcfadden", "cox_snell", "nagelkerke" or "d2" (share of the null deviance explained).

        Raises: UnknownNameError.
        """
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
        """One row a step: loss (a sum, phi = 1), step_in_se, step_size, passes, seconds; of SGD also epoch,
        learning_rate and the metrics."""
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
    def notes(self) -> tuple[str, ...]:
        """What else is to be known of the fit, a sentence each."""
        return self.record.facts.notes

    @property
    def infinite_note(self) -> str:
        """Why coefficients are infinite, where some are."""
        return "Separation: some responses are predicted perfectly, so that these coefficients are infinite"

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
    def penalty_note(self) -> str | None:
        """Which penalty the estimates are under."""
        return self.record.facts.penalty_note

    @property
    def offset_note(self) -> str | None:
        """What was added to the linear predictor."""
        return self.record.facts.offset_note

    @property
    def covariance_note(self) -> str:
        """Which covariance the standard errors come from."""
        return self.record.facts.covariance_note

    # tests of the coefficients

    @property
    def use_t(self) -> bool:
        """Whether tests refer to t rather than to the normal."""
        return self.record.use_t

    def wald_test(self, hypothesis: Any) -> linear.WaldTest:
        """The joint test of "x1 = x2, x3 = 0", or of a matrix with one column a coefficient.

        Raises: UnknownNameError naming what is no coefficient; OptionError for restrictions that are not linear, that
        repeat each other, or that name a coefficient which is aliased or has no standard error.
        """
        return linear.wald_test(self.record, hypothesis)

    def t_test(self, hypothesis: Any, *, level: float = 0.95) -> pd.DataFrame:
        """Each restriction L theta = r tested by itself, a labelled row each; the estimate is that of L theta.

        Raises: UnknownNameError, OptionError.
        """
        return linear.t_test(self.record, hypothesis, level)

    def nonlinear_test(self, hypothesis: Any, *, level: float = 0.95) -> NonlinearTest:
        """The delta-method test of "x1 / x2 = 1, exp(x1) = 2", or that a function of theta (p,) in torch is 0.

        Raises: UnknownNameError naming what is no coefficient; OptionError.
        """
        return nonlinear_test(self.record, hypothesis, level)

    # tables

    def tidy(self, *, exponentiate: bool = False, conf_int: bool = False, level: float = 0.95) -> pd.DataFrame:
        """One row a coefficient, as broom's tidy(); `exponentiate` shows exp() of estimates and interval ends."""
        return broom.tidy(self.record, exponentiate=exponentiate, conf_int=conf_int, level=level)

    def glance(self) -> pd.DataFrame:
        """One row of deviances, criteria and counts, as broom's glance()."""
        return broom.glance(self.record)
