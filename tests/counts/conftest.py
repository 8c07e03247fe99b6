"""Data of the count models, and what R says of them."""

from __future__ import annotations

import json
import pathlib
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from torchglm.counts import hurdle, truncated, zero_inflated

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = HERE.parent / "reference"
DISTS = {"poisson": "poisson", "negbin": "negative_binomial"}
MODELS = {"zeroinfl": zero_inflated, "hurdle": hurdle, "truncated": truncated}


def _read(name: str, **levels: list[str]) -> pd.DataFrame:
    frame = pd.read_csv(REFERENCE / "data" / f"{name}.csv")
    return frame.assign(**{c: pd.Categorical(frame[c].astype(str), categories=known) for c, known in levels.items()})


@pytest.fixture(scope="session")
def articles() -> pd.DataFrame:
    frame = _read("bioChemists", fem=["Men", "Women"], mar=["Single", "Married"])
    return frame.assign(w=np.resize([1, 2, 3], len(frame)))


@pytest.fixture(scope="session")
def trips() -> pd.DataFrame:
    return _read("RecreationDemand", ski=["no", "yes"], userfee=["no", "yes"])


@pytest.fixture(scope="session")
def data(articles, trips) -> dict[str, pd.DataFrame]:
    return {"articles": articles, "trips": trips, "bioChemists": articles, "RecreationDemand": trips}


@pytest.fixture(scope="session")
def pscl() -> SimpleNamespace:
    """What counts.R has stored."""
    return SimpleNamespace(**json.loads((HERE / "counts.json").read_text()))
