"""A frame with all that a formula may meet, and the same rows as a stream of every kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import torchglm

ROWS = 10_000


def made(rows: int = ROWS, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{k}": rng.normal(size=rows) for k in range(4)})
    frame["year"] = 2000.0 + rng.integers(0, 20, rows)
    frame["town"] = rng.choice(["Ayr", "Bath", "Cork", "Deal"], rows)
    frame["size"] = pd.Categorical(rng.choice(["small", "large", "huge"], rows), ["small", "large", "huge", "vast"])
    frame["firm"] = rng.integers(0, 40, rows)
    frame["time"] = rng.uniform(1.0, 2.0, rows)
    frame["copies"] = rng.integers(0, 4, rows)
    mean = np.exp(0.1 + 0.2 * frame["x0"] - 0.1 * frame["x1"] + 0.3 * (frame["town"] == "Bath"))
    frame["y"] = rng.negative_binomial(2, 2.0 / (2.0 + mean))
    frame["grade"] = pd.Categorical(rng.choice(["low", "mid", "top"], rows), ["low", "mid", "top"], ordered=True)
    frame["bought"] = np.where(rng.uniform(size=rows) < 1.0 / (1.0 + np.exp(-frame["x0"])), "yes", "no")
    frame["won"], frame["lost"] = rng.integers(0, 5, rows), rng.integers(0, 5, rows)
    frame.loc[rng.choice(rows, 50, replace=False), "x2"] = np.nan
    frame.loc[rng.choice(rows, 50, replace=False), "town"] = None
    return frame


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return made()


@pytest.fixture(scope="session")
def files(frame, tmp_path_factory):
    """The frame in three Parquet files with row groups of 1,500 rows."""
    folder = tmp_path_factory.mktemp("parquet")
    for k, part in enumerate(np.array_split(np.arange(len(frame)), 3)):
        frame.iloc[part].reset_index(drop=True).to_parquet(folder / f"part {k}.parquet", row_group_size=1_500)
    return folder


@pytest.fixture
def streamed(files):
    """The files as a stream with little memory: pieces of a row group at most."""
    return torchglm.stream(files, memory_limit="3 MB")
