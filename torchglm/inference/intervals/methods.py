"""Confidence intervals of coefficients by method: Wald, profile likelihood, score; and the bootstrap's room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from torchglm.design.keys import codes_of_key, read_key
from torchglm.errors import DataError, OptionError, UnknownNameError, did_you_mean
from torchglm.inference.intervals.bootstrap import Watch, acceleration, bootstrap, check
from torchglm.inference.estimate import Estimate
from torchglm.inference.hypotheses.linear import quantiles
from torchglm.inference.intervals.penalised_profile import penalised_profile_interval
from torchglm.inference.intervals.inverted import inverted_interval
from torchglm.inference.record import Record
from torchglm.inference.intervals.resampled import Bootstrap

METHODS = ("wald", "profile", "score")


def interval(
    record: Record, estimate: Estimate | None, level: float, method: str, parameters: Sequence[str] | str | None
) -> pd.DataFrame:
    """Interval ends, columns 0 and 1, one row a coefficient of `parameters` (None: all). Scale: link.

    Raises: OptionError for an unknown method, a level outside of (0, 1), and where a method needs the data of a fit
    that was loaded without them; UnknownNameError.
    """
    if method not in METHODS:
        raise OptionError(f"method= is one of {', '.join(map(repr, METHODS))}; got {method!r}.")
    names = _chosen(record.names, parameters)
    places = torch.tensor([record.names.index(name) for name in names], dtype=torch.int64)
    q = quantiles(record, level)[places]
    if method == "wald":
        center, half = record.numbers.theta[places], q * record.standard_errors[places]
        lower, upper = center - half, center + half
    else:
        lower, upper = _inverted(record, _with_data(estimate, f'method="{method}"'), level, method, places)
    return pd.DataFrame({0: lower.numpy(), 1: upper.numpy()}, index=pd.Index(names))


def _inverted(record: Record, estimate: Estimate, level: float, method: str, places: Tensor) -> tuple[Tensor, Tensor]:
    if estimate.penalised is not None:
        if method == "score":
            raise OptionError('Score intervals are of the likelihood, and this fit is under a penalty. Say "profile".')
        return penalised_profile_interval(estimate, places.tolist(), level)
    from scipy import special

    signs = {"+": 1.0, "-": -1.0}
    infinite = torch.tensor([signs.get(record.facts.infinite.get(name, ""), 0.0) for name in record.names])
    normal = float(special.ndtri(0.5 + level / 2.0))
    return inverted_interval(estimate, record.numbers.phi, normal, places, infinite, score=method == "score")


def _chosen(names: tuple[str, ...], parameters: Sequence[str] | str | None) -> tuple[str, ...]:
    if parameters is None:
        return names
    chosen = (parameters,) if isinstance(parameters, str) else tuple(parameters)
    for name in chosen:
        if name not in names:
            raise UnknownNameError(f"There is no coefficient {name!r}. {did_you_mean(str(name), names)}")
    return chosen


def _with_data(estimate: Estimate | None, asked: str) -> Estimate:
    if estimate is None:
        raise OptionError(f"{asked} refits the model, and this fit was loaded without its data.")
    return estimate


def resampled(
    record: Record, estimate: Estimate | None, replicates: int, kind: str, cluster: Any, seed: int, watch: Watch
) -> Bootstrap:
    """The bootstrap of a fit.

    Raises: OptionError, UnknownNameError; DataError for a cluster that is missing in rows of the fit.
    """
    estimate = _with_data(estimate, "bootstrap()")
    if estimate.penalised is not None:
        raise OptionError("bootstrap() refits by maximum likelihood, and this fit is under a penalty.")
    check(kind, replicates, cluster)
    clusters = None if cluster is None else _clusters(estimate, cluster)
    drawn = bootstrap(estimate, record.numbers.phi, replicates, kind, seed, clusters, watch)
    frame = pd.DataFrame(drawn.thetas.numpy(), columns=list(record.names))
    params, skewness = record.numbers.theta.numpy(), acceleration(estimate, clusters).numpy()
    index = pd.Index(record.names)
    return Bootstrap(frame, pd.Series(params, index=index), kind, seed, drawn.failed, pd.Series(skewness, index=index))


def _clusters(estimate: Estimate, cluster: Any) -> tuple[Tensor, int]:
    """Codes of the rows of the design, and how many clusters there are."""
    prepared = estimate.prepared
    label, values = read_key("cluster", cluster, prepared.source, {})
    codes, count = codes_of_key(pd.Series(prepared.used_of(values.to_numpy())))
    if (codes < 0).any():
        raise DataError(f"cluster={label} is missing in {int((codes < 0).sum())} row(s) of the fit.")
    if count < 2:
        raise OptionError(f"cluster={label} has one cluster only: there is nothing to draw from.")
    return torch.from_numpy(codes), count
