"""VectorFit: the user's handle on a model of several linear predictors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.coefficients import Coefficients
from torchglm.design.sources import open_source
from torchglm.diagnostics.distribution import names_of
from torchglm.diagnostics.vector_rows import (
    surrogate_residuals,
    vector_quantile_residuals,
    vector_residuals,
    vector_simulate,
)
from torchglm.errors import OptionError
from torchglm.fit_facts import ModelNames
from torchglm.inference.intervals.resampled import Bootstrap, resampled
from torchglm.inference.prediction.matrix import model_matrix, model_offset
from torchglm.inference.vector import VectorEstimate, VectorModel, VectorRecord
from torchglm.inference.vector_predict import (
    Own,
    VectorRows,
    counts_at,
    function_of,
    kinds_of,
    rows_of,
    standard_errors,
)
from torchglm.progress import Count

if TYPE_CHECKING:
    from torchglm.nn import VectorModule


@dataclass(frozen=True)
class Named:
    """A name for a summary."""

    name: str


@dataclass(frozen=True)
class ModelName(Named):
    """The name of a model, with its link."""

    link: Named


@dataclass(frozen=True, repr=False)
class VectorFit(Coefficients):
    """A fitted model of several linear predictors: ordinal, multinomial, zero-inflated, one of the user's own, ...

    Coefficients, tests, covariances and the summary are those of every fit; `predict` knows what the model can say.
    """

    @property
    def _vector(self) -> VectorRecord:
        return cast(VectorRecord, self.record)

    @property
    def vector_model(self) -> VectorModel:
        """The model: its likelihood and its predictors."""
        return self._vector.model

    @property
    def title(self) -> str:
        return self.vector_model.title

    @property
    def family(self) -> Any:
        """The name of the model, with that of its link."""
        return ModelName(self.vector_model.name, Named(self.vector_model.link))

    @property
    def model(self) -> ModelNames:
        return ModelNames(self.record.facts.response, list(self.record.names))

    @property
    def infinite_note(self) -> str:
        return super().infinite_note if self.classes else "No finite maximum: the likelihood grows on and on along"

    def conf_int(
        self,
        alpha: float | None = None,
        *,
        level: float = 0.95,
        method: str = "wald",
        parameters: Sequence[str] | str | None = None,
    ) -> pd.DataFrame:
        """Intervals of the coefficients, columns 0 and 1. `alpha` is 1 - level, and wins over `level`.

        method      "wald" (params -+ quantile * bse) or "profile" (likelihood ratio, as MASS's confint of polr)
        parameters  names of the coefficients wanted; None: all

        Raises: OptionError for "score", which needs one linear predictor; UnknownNameError.
        """
        if method == "score":
            raise OptionError('Score intervals are of fits of glm(), with one linear predictor. Take method="profile".')
        return super().conf_int(alpha, level=level, method=method, parameters=parameters)

    def bootstrap(self, replicates: int = 1000, *, kind: str = "rows", cluster: Any = None, seed: int = 0) -> Bootstrap:
        """Replicates of the coefficients: their standard errors, covariance and intervals.

        Arguments as `Fit.bootstrap`. Replicates are refitted one by one; one that lacks a class has failed.
        Raises: OptionError, UnknownNameError, DataError.
        """
        with Count("bootstrap", replicates) as watch:
            return resampled(self.record, self.estimate, replicates, kind, cluster, seed, watch)

    def update(self, formula: str | None = None, data: Any = None) -> VectorFit:
        """The same call with another formula, ". ~ . - x + z", part by part, or data; `torchglm.update` changes more.

        Raises: OptionError for a fit that was loaded without its data; what fitting the model raises.
        """
        from torchglm.term_tests import caller_of
        from torchglm.update import refit_many

        return cast(VectorFit, refit_many(self, formula, data, caller_of(sys._getframe(1))))

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes of the response, in order; empty where it has none."""
        return tuple(self.record.facts.response_levels or ())

    @property
    def kinds(self) -> tuple[str, ...]:
        """What `predict` can say."""
        return kinds_of(self.vector_model)

    def predict(
        self,
        data: Any = None,
        kind: str | None = None,
        *,
        at: Any = None,
        se: bool = False,
        new_levels: str = "raise",
        offset: Any = None,
        exposure: Any = None,
    ) -> pd.Series | pd.DataFrame:
        """Predictions with the index of `data`, of the rows of the fit without it; NaN in rows that are not complete.

        kind  one of `kinds`: "mean", "probabilities", "class", ..., or "link" (every linear predictor); None: the
              model's usual one
        at    of a model of counts: whose probabilities kind="probabilities" gives, a count or a list of them; None: all
              from 0 to the largest of the fit
        se    beside each prediction its delta-method standard error

        A number a row is a Series, several are a DataFrame with a column each; with `se`, columns "predicted" and "se"
        (and what they are of).
        Raises: UnknownNameError, OptionError, LevelError, DataError.
        """
        kind = self.kinds[0] if kind is None else kind
        counts = counts_at(self.vector_model, kind, at)
        rows = self.predictor_rows(data, new_levels, offset, exposure)
        if kind == "class":
            return self._classes(rows, se)
        function = function_of(self.vector_model, kind, counts)
        values = rows.spread(function(rows.z))
        names = list(counts) or self._columns(kind, values)
        if not se:
            if values.ndim == 1:
                return pd.Series(values, index=rows.index, name=kind)
            return pd.DataFrame(values, index=rows.index, columns=names)
        errors = rows.spread(standard_errors(self._vector, rows, function))
        if values.ndim == 1:
            return pd.DataFrame({"predicted": values, "se": errors}, index=rows.index)
        columns = pd.MultiIndex.from_product([["predicted", "se"], list(names)])
        return pd.DataFrame(np.concatenate([values, errors], axis=1), index=rows.index, columns=columns)

    def predictor_rows(
        self, data: Any = None, new_levels: str = "raise", offset: Any = None, exposure: Any = None
    ) -> VectorRows:
        """Every linear predictor of the rows of `data`, of those of the fit without it.

        Raises: as `predict`.
        """
        given = {"offset": offset, "exposure": exposure}
        if data is not None:
            return rows_of(self._vector, open_source(data), given, new_levels)
        if any(value is not None for value in given.values()):
            raise OptionError("offset= and exposure= belong to new rows: give predict(data, ...).")
        self._data().refuse_changed_data()
        prepared = self._data().prepared
        offset = prepared.whole.offsets[0]
        own = Own(prepared.rows, None if offset is None else offset.cpu())
        return rows_of(self._vector, prepared.source, {}, new_levels, own)

    def _columns(self, kind: str, values: np.ndarray) -> list[Any]:
        named = self.vector_model.columns.get(kind)
        if named is not None:
            return list(named)
        if kind == "link":
            return list(self.vector_model.likelihood.predictors)
        classes = self.classes
        return list(classes) if values.ndim == 2 and len(classes) == values.shape[1] else list(range(values.shape[-1]))

    def _classes(self, rows: VectorRows, se: bool) -> pd.Series:
        if not self.classes:
            raise OptionError("This model has no classes to predict.")
        if se:
            raise OptionError('A class has no standard error: ask for kind="probabilities".')
        chances = rows.spread(function_of(self.vector_model, "probabilities")(rows.z))
        missing = np.isnan(chances).any(axis=1)
        codes = np.where(missing, -1, np.nan_to_num(chances).argmax(axis=1))
        return self._labels(pd.Series(codes, index=rows.index, name="class"))

    def _labels(self, codes: pd.Series) -> pd.Series:
        """The classes of their codes, missing where the code is -1."""
        labels = pd.Categorical.from_codes(
            codes.to_numpy(np.int64), categories=list(self.classes), ordered=self.vector_model.ordered
        )
        return pd.Series(labels, index=codes.index, name=codes.name)

    def model_matrix(self, data: Any = None, *, new_levels: str = "raise") -> tuple[Tensor, ...]:
        """One matrix a formula, (rows, columns), which its columns make of `data`; NaN in rows that are not complete.

        Without `data`: of the rows of the fit. new_levels: as of `predict`.
        Raises: LevelError, DataError, UnknownNameError, OptionError.
        """
        prepared = None if data is not None else self._data().prepared
        source, rows = (open_source(data), None) if prepared is None else (prepared.source, prepared.rows)
        return tuple(model_matrix(schema, source, rows, new_levels) for schema in self._vector.schemas)

    def model_offset(self, data: Any, *, offset: Any = None, exposure: Any = None) -> Tensor:
        """(rows, formulas) what offsets and exposure add to the predictors of each formula; arguments as `predict`.

        Raises: DataError, UnknownNameError, OptionError.
        """
        source, given = open_source(data), {"offset": offset, "exposure": exposure}
        parts = [(*self._vector.offsets_of(k), schema) for k, schema in enumerate(self._vector.schemas)]
        each = [model_offset(*part, source, {} if k else given) for k, part in enumerate(parts)]
        return torch.stack(each, dim=1)

    def to_module(self) -> VectorModule:
        """A torch module of the model matrices, whose mean, or probabilities, are those of `predict`.

        forward(*fit.model_matrix(data), offset=fit.model_offset(data)); without offset= where the fit has none.
        """
        from torchglm.nn import VectorModule

        return VectorModule(self._vector)

    @cached_property
    def fittedvalues(self) -> pd.Series | pd.DataFrame:
        """What `predict()` says of the rows of the fit."""
        return self.predict()

    # rows

    def residuals(self, kind: str | None = None) -> pd.Series | pd.DataFrame:
        """ "response", "pearson" or "probability_scale", with the data's index; NaN in dropped rows.

        None: "pearson", or "response" where the responses have no variance: of classes a DataFrame with a column a
        class, and of custom() with its mean=. "probability_scale" is P(Y < y) -
        P(Y > y), of ordered classes and of every model with a distribution function.
        Raises: UnknownNameError; OptionError for a kind that the model has not, and for a fit without its data.
        """
        if kind is None:
            kind = "pearson" if self._rows_of().model.likelihood.has_variance else "response"
        values = vector_residuals(self._rows_of(), kind)
        if values.dim() == 1:
            return self._rows(values, kind)
        return pd.DataFrame(values.cpu().numpy(), index=self._data().prepared.index, columns=list(self.classes))

    def quantile_residuals(self, seed: int = 0) -> pd.Series:
        """Randomized quantile residuals (Dunn & Smyth 1996): standard normal under a true model.

        Raises: OptionError for a model without a distribution function, as multinomial().
        """
        return self._rows(vector_quantile_residuals(self._rows_of(), seed), "quantile")

    def surrogate_residuals(self, seed: int = 0) -> pd.Series:
        """Residuals of an ordinal model on its latent scale (Liu & Zhang 2018), of the link's distribution if true.

        Raises: OptionError for another model.
        """
        return self._rows(surrogate_residuals(self._rows_of(), seed), "surrogate")

    @property
    def resid_response(self) -> pd.Series | pd.DataFrame:
        """y - mean; of classes, whether it is the class, less its probability."""
        return self.residuals("response")

    @property
    def resid_pearson(self) -> pd.Series | pd.DataFrame:
        """(y - mean) sqrt(w / variance)."""
        return self.residuals("pearson")

    def simulate(self, n: int = 1, *, seed: int = 0) -> pd.DataFrame:
        """`n` sets of responses drawn from the fit, columns sim_1 ..., with the data's index; NaN in dropped rows.

        Raises: OptionError for a model that cannot be drawn from, as one of custom(), which has no sampler.
        """
        drawn = pd.DataFrame(
            vector_simulate(self._rows_of(), n, seed), index=self._data().prepared.index, columns=names_of(n)
        )
        if not self.classes:
            return drawn
        return pd.DataFrame({name: self._labels(codes.fillna(-1.0)) for name, codes in drawn.items()})

    def _rows_of(self) -> VectorEstimate:
        return cast(VectorEstimate, self._data())

    # how well classes are told apart; `torchglm.classification` says more

    def accuracy(self, data: Any = None, *, weights: Any = None) -> float:
        """The share of rows whose most probable class is theirs; `weights` as in `torchglm.classification`.

        Raises: OptionError for a model without classes; what `predict` raises.
        """
        from torchglm.classification import accuracy

        return accuracy(self, data, weights=weights)

    def confusion(self, data: Any = None, *, weights: Any = None) -> pd.DataFrame:
        """Observed classes in rows against the most probable ones in columns: counts, or sums of weights.

        Raises: OptionError for a model without classes; what `predict` raises.
        """
        from torchglm.classification import confusion

        return confusion(self, data, weights=weights)

    def log_loss(self, data: Any = None, *, weights: Any = None) -> float:
        """The mean of -log of the probability of the observed class, in nats.

        Raises: OptionError for a model without classes; what `predict` raises.
        """
        from torchglm.classification import log_loss

        return log_loss(self, data, weights=weights)

    def auc(self, data: Any = None, *, average: str | None = "macro", weights: Any = None) -> float | pd.Series:
        """The area under the ROC curve; of more than two classes, each against the rest, `average`d.

        Raises: OptionError for a model without classes; what `predict` raises.
        """
        from torchglm.classification import auc

        return auc(self, data, average=average, weights=weights)
