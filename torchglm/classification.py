"""How well a fit tells classes apart: accuracy, confusion table, log loss, AUC.

Of ordinal(), multinomial() and binomial glm(). Without `data` the rows are those of the fit, each counting with its
weight (of whatever kind; k successes in m trials are k rows of one class and m - k of the other); rows of `data` count
once. `weights=` says otherwise: a column, an expression or one value a row. Rows without a class or a prediction do not
count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.coefficients import Coefficients, require_fits
from torchglm.design.among_ranks import of_all, together_in_shares
from torchglm.design.categorical import Marked, codes_of
from torchglm.design.environment import DataColumns, evaluate
from torchglm.design.extras import read_extra
from torchglm.design.learn import complete_rows
from torchglm.design.prepare import Prepared
from torchglm.design.response import Counts, read_response
from torchglm.design.sources import Source, open_source
from torchglm.errors import DataError, OptionError, ResponseError
from torchglm.families.link import UnitLink
from torchglm.fit import Fit
from torchglm.vector_fit import VectorFit

__all__ = ["accuracy", "auc", "confusion", "log_loss"]


@dataclass(frozen=True)
class _Scored:
    """Rows with their class and what the fit says of it.

    Shapes: observed (rows,) codes of `classes`; chances (rows, K); loss (rows,) -log of the chance of the class;
    weights (rows,).
    """

    classes: tuple[Any, ...]
    observed: np.ndarray
    chances: np.ndarray
    loss: np.ndarray
    weights: np.ndarray

    def predicted(self, threshold: float) -> np.ndarray:
        """The codes of the classes predicted: the most probable, or of two the second where it is above `threshold`."""
        if not isinstance(threshold, int | float) or not 0.0 <= threshold <= 1.0:
            raise OptionError(f"threshold= is a probability; got {threshold!r}.")
        if len(self.classes) == 2:
            return (self.chances[:, 1] > threshold).astype(np.int64)
        if threshold != 0.5:
            raise OptionError(f"threshold= is for two classes; this fit has {len(self.classes)}.")
        return self.chances.argmax(axis=1)


def accuracy(fit: Coefficients, data: Any = None, *, threshold: float = 0.5, weights: Any = None) -> float:
    """The share of rows whose predicted class is theirs.

    Of two classes the second is predicted where its probability is above `threshold`, of more the most probable.
    Raises: OptionError for a model without classes; DataError; what `predict` raises.
    """
    rows = _scored(fit, data, weights)
    return float(np.average(rows.predicted(threshold) == rows.observed, weights=rows.weights))


def confusion(fit: Coefficients, data: Any = None, *, threshold: float = 0.5, weights: Any = None) -> pd.DataFrame:
    """Observed classes in rows against predicted ones in columns: counts, or sums of weights.

    Raises: as `accuracy`.
    """
    rows = _scored(fit, data, weights)
    k = len(rows.classes)
    sums = np.bincount(rows.observed * k + rows.predicted(threshold), rows.weights, k * k).reshape(k, k)
    if (sums == np.floor(sums)).all():
        sums = sums.astype(np.int64)
    return pd.DataFrame(sums, pd.Index(rows.classes, name="observed"), pd.Index(rows.classes, name="predicted"))


def log_loss(fit: Coefficients, data: Any = None, *, weights: Any = None) -> float:
    """The mean of -log of the probability of the observed class, in nats; exact where that underflows.

    Raises: as `accuracy`.
    """
    rows = _scored(fit, data, weights)
    return float(np.average(rows.loss, weights=rows.weights))


def auc(
    fit: Coefficients, data: Any = None, *, average: str | None = "macro", weights: Any = None
) -> float | pd.Series:
    """The area under the ROC curve: how often a row of the class has a higher probability of it than another row.

    average  of more than two classes, each against the rest: "macro" (the mean), "weighted" (by their rows), or None:
             a Series with one of each

    Raises: as `accuracy`; DataError where a class has no row.
    Source: sklearn.metrics.roc_auc_score, multi_class="ovr".
    """
    if average not in ("macro", "weighted", None):
        raise OptionError(f'average= is "macro", "weighted" or None; got {average!r}.')
    rows = _scored(fit, data, weights)
    share = np.bincount(rows.observed, rows.weights, len(rows.classes))
    if (share == 0).any():
        lost = rows.classes[int(np.argmin(share))]
        raise DataError(f"The area under the ROC curve of the class {lost!r} is not defined: it has no row here.")
    if len(rows.classes) == 2:
        return _area(rows.chances[:, 1], rows.observed == 1, rows.weights)
    each = [_area(rows.chances[:, k], rows.observed == k, rows.weights) for k in range(len(rows.classes))]
    if average is None:
        return pd.Series(each, index=pd.Index(rows.classes), name="auc")
    return float(np.average(each, weights=share if average == "weighted" else None))


def _area(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float:
    """Mann and Whitney's statistic over its largest value; a tie counts one half."""
    _, place = np.unique(score, return_inverse=True)
    ours = np.bincount(place, weights * positive)
    others = np.bincount(place, weights * ~positive)
    below = np.cumsum(others) - others
    return float(ours @ (below + 0.5 * others) / (ours.sum() * others.sum()))


def _scored(fit: Coefficients, data: Any, weights: Any) -> _Scored:
    require_fits("This", fit)
    if data is not None:
        rows = _of_any(fit, data, weights)
    else:
        design = _own(fit).design
        with together_in_shares(design, "scoring the rows of the fit"):
            rows = _of_any(fit, None, weights)
        arrays = (rows.observed, rows.chances, rows.loss, rows.weights)
        rows = _Scored(rows.classes, *(of_all(design, torch.from_numpy(each)).numpy() for each in arrays))
    counted = (rows.weights > 0) & ~np.isnan(rows.chances).any(axis=1)
    if not counted.any():
        raise DataError("No row has a class and a prediction.")
    return _Scored(rows.classes, *(a[counted] for a in (rows.observed, rows.chances, rows.loss, rows.weights)))


def _of_any(fit: Coefficients, data: Any, weights: Any) -> _Scored:
    if isinstance(fit, VectorFit) and fit.classes:
        return _of_classes(fit, data, weights)
    if isinstance(fit, Fit) and fit.family.name in ("binomial", "quasibinomial"):
        return _of_binomial(fit, data, weights)
    raise OptionError(f"This is for models of classes; a {fit.family.name} model has none.")


def _of_classes(fit: VectorFit, data: Any, weights: Any) -> _Scored:
    likelihood = fit.vector_model.likelihood
    whole = _own(fit).whole if data is None else None
    rows = fit.predictor_rows(data)
    if whole is not None:
        y = whole.y.to(torch.float64).cpu()
        own = None if whole.weight is None else whole.weight.cpu()
        w = _given_weights(fit, _own(fit).source, weights, rows.evaluated, own, len(y))
    else:
        source = open_source(data)
        y = _codes(fit, _response(fit, source, rows.evaluated), fit.classes)
        w = _given_weights(fit, source, weights, rows.evaluated, None, len(y))
    known = ~(torch.isnan(y) | rows.lost)
    y, z, w = y[known], rows.z[known], w[known]
    chances, loss = likelihood.predictions(z)["probabilities"], likelihood.nll(y, z)
    return _Scored(fit.classes, y.to(torch.int64).numpy(), chances.numpy(), loss.numpy(), w.numpy())


def _of_binomial(fit: Fit, data: Any, weights: Any) -> _Scored:
    link = fit.family.link
    if not isinstance(link, UnitLink):
        raise OptionError(f"The {link.name} link gives what may be no probability, so that there is no class either.")
    levels = fit.record.facts.response_levels
    if data is None:
        prepared = _own(fit)
        evaluated, trials = prepared.rows, None
        eta = torch.tensor(fit.linear_predictor.to_numpy())
        y, own = prepared.whole.y.to(torch.float64).cpu(), prepared.whole.weight
        source, own = prepared.source, None if own is None else own.cpu()
    else:
        source, own = open_source(data), None
        evaluated = complete_rows(fit.record.factors, source)
        eta = torch.tensor(fit.predict(data, scale="link").to_numpy())
        y, trials = _successes(fit, _response(fit, source, evaluated), levels)
    eta = eta if evaluated is None else eta[torch.from_numpy(evaluated)]
    w = _given_weights(fit, source, weights, evaluated, own, len(y))
    w = w if trials is None else w * trials
    known = ~(torch.isnan(y) | torch.isnan(eta) | torch.isnan(w))
    y, eta, w = y[known], eta[known], w[known]
    losses = torch.stack([-link.log_complement(eta), -link.log_inverse(eta)], 1)
    n = len(y)
    return _Scored(
        tuple(levels or (0, 1)),
        np.repeat([0, 1], n),
        torch.exp(-losses).repeat(2, 1).numpy(),
        losses.T.reshape(-1).numpy(),
        torch.cat([w * (1.0 - y), w * y]).numpy(),
    )


def _own(fit: Coefficients) -> Prepared:
    if fit.estimate is None:
        raise OptionError("This fit was loaded without its data, so it has no rows. Give data=.")
    return fit.estimate.prepared


def _response(fit: Coefficients, source: Source, evaluated: np.ndarray | None) -> Any:
    schema = fit.record.schema
    assert schema.parsed.response is not None
    return evaluate(schema.parsed.response, DataColumns(source, evaluated), schema.caller, {})


def _codes(fit: Coefficients, values: Any, classes: tuple[Any, ...]) -> Tensor:
    """(rows,) the codes of new responses under the classes of the fit, NaN where missing.

    Raises: ResponseError for a class that the fit has not seen.
    """
    inner = values.values if isinstance(values, Marked) else values
    series = inner if isinstance(inner, pd.Series) else pd.Series(np.asarray(inner))
    codes = codes_of(fit.record.facts.response, series, classes, "nan")
    strange = (codes < 0) & series.notna().to_numpy()
    if strange.any():
        value = series.to_list()[int(strange.argmax())]
        raise ResponseError(
            f"The response {fit.record.facts.response!r} holds {value!r}, which is no class of the fit. Its classes: "
            f"{list(classes)[:20]}."
        )
    return torch.from_numpy(np.where(codes < 0, np.nan, codes.astype(np.float64)))


def _successes(fit: Fit, values: Any, levels: tuple[Any, ...] | None) -> tuple[Tensor, Tensor | None]:
    """(rows,) the shares of successes among new responses, and their trials where they are cbind(a, b)."""
    if levels is not None:
        return _codes(fit, values, levels), None
    if not isinstance(values, Counts):
        y = torch.from_numpy(np.asarray(values, dtype=np.float64).copy())
        if bool(((y < 0) | (y > 1)).any()):
            raise ResponseError(f"The response {fit.record.facts.response!r} must be from 0 to 1 in a binomial model.")
        return y, None
    read = read_response(fit.record.facts.response, values, pd.RangeIndex(len(values.successes)))
    return read.y, read.trials


def _given_weights(
    fit: Coefficients, source: Source, given: Any, evaluated: np.ndarray | None, own: Tensor | None, rows: int
) -> Tensor:
    """(rows,) what each row counts.

    Raises: OptionError, DataError.
    """
    if given is None:
        return torch.ones(rows, dtype=torch.float64) if own is None else own.to(torch.float64)
    extra = read_extra("weights", given, source)
    assert extra is not None
    values = extra.read(DataColumns(source, evaluated), fit.record.schema.caller)
    if bool((values < 0).any()):
        raise DataError(f"weights={extra.label} are negative. Weights are >= 0.")
    return values.to(torch.float64).nan_to_num(nan=0.0)
