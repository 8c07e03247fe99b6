"""Prepared: the data of a fit, and what they were prepared from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from torchglm.design.design import Design
from torchglm.design.extras import Extra
from torchglm.design.request import Request
from torchglm.design.response import Response
from torchglm.design.schema import Schema
from torchglm.design.sources import Source
from torchglm.design.terms import Parsed
from torchglm.design.weights import Probability, Weights


@dataclass(frozen=True)
class Prepared:
    """The data of a fit. `whole` holds the rows used; `design` those of them with a positive weight."""

    design: Design
    whole: Design
    schema: Schema
    response: Response
    response_name: str
    weights: Weights | None
    offsets: tuple[Extra, ...]
    exposure: Extra | None
    index: pd.Index  # of all rows of the data
    rows: np.ndarray | None  # (rows of the data,) True where used; None for all
    missing: int
    zero_weight: int
    parsed: Parsed
    request: Request
    source: Source  # the user's table
    caller: Mapping[str, Any]  # the caller's variables that formula and arguments use

    def used_of(self, values: np.ndarray) -> np.ndarray:
        """Of one value a row of the data, those of the rows of `design`: used, and of positive weight."""
        used = values if self.rows is None else values[self.rows]
        return used if not self.zero_weight else used[(self.whole.weight > 0).cpu().numpy()]  # type: ignore[operator]

    def with_normal_weights(self, codes: np.ndarray | None = None) -> Prepared:
        """The same, its weights as `Weights.normal` makes them: by the groups of `codes`, one a row of the data."""
        whole = self.whole
        if not isinstance(self.weights, Probability) or whole.weight is None:
            return self
        here = None if codes is None else torch.from_numpy(codes if self.rows is None else codes[self.rows])
        every = replace(self.weights, values=whole.weight.cpu(), trials=self.response.trials).normal(here)
        whole = replace(whole, weight=every.values.to(whole.weight))
        if not self.zero_weight:
            return replace(self, design=whole, whole=whole, weights=every)
        weights = every.where(every.values > 0)
        design = replace(self.design, weight=weights.values.to(whole.weight))
        return replace(self, design=design, whole=whole, weights=weights)

    @property
    def offset_note(self) -> str | None:
        """The offsets as a summary names them."""
        labels = [extra.label for extra in self.offsets]
        if self.exposure is not None:
            labels.append(f"log({self.exposure.label})")
        return " + ".join(labels) or None
