"""Confidence intervals of coefficients by method: Wald, profile likelihood, score; and the bootstrap's room."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError, UnknownNameError, did_you_mean
from torchglm.inference.estimate import Estimate, with_data
from torchglm.inference.intervals.inverted import inverted_interval
from torchglm.inference.intervals.penalised_profile import penalised_profile_interval
from torchglm.inference.intervals.vector_profile import vector_profile_interval
from torchglm.inference.record import Record
from torchglm.inference.vector import VectorEstimate
from torchglm.inference.wald import quantiles

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
        lower, upper = _inverted(record, with_data(estimate, f'method="{method}"'), level, method, places)
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
    if isinstance(estimate, VectorEstimate):
        return vector_profile_interval(estimate, normal, places, infinite)
    return inverted_interval(estimate, record.numbers.phi, normal, places, infinite, score=method == "score")


def _chosen(names: tuple[str, ...], parameters: Sequence[str] | str | None) -> tuple[str, ...]:
    if parameters is None:
        return names
    chosen = (parameters,) if isinstance(parameters, str) else tuple(parameters)
    for name in chosen:
        if name not in names:
            raise UnknownNameError(f"There is no coefficient {name!r}. {did_you_mean(str(name), names)}")
    return chosen
