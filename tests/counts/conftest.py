"""The data of the count models."""

from __future__ import annotations

import pathlib

import numpy as np
import pandas as pd
import pytest

DATA = pathlib.Path(__file__).resolve().parents[1] / "reference" / "data"


def _read(name: str, **levels: list[str]) -> pd.DataFrame:
    frame = pd.read_csv(DATA / f"{name}.csv")
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
