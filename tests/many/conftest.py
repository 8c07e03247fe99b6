from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from torchglm.errors import TorchGLMWarning

HERE = Path(__file__).parent
DATA = HERE.parent / "reference" / "data"


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / f"{name}.csv")


def quietly(call: Any) -> Any:
    """What `call` returns; what it warns of is looked at elsewhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TorchGLMWarning)
        return call()


@pytest.fixture(scope="session")
def from_r() -> dict[str, Any]:
    return json.loads((HERE / "many.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def stores() -> pd.DataFrame:
    """Rows of eight stores in no order; a level that some stores lack, missing values, columns far from zero."""
    rng = np.random.default_rng(11)
    sizes = [30, 31, 40, 200, 25, 60, 33, 90]
    frame = pd.DataFrame({"store": np.repeat([f"s{k}" for k in range(8)], sizes)})
    frame = frame.sample(frac=1.0, random_state=1, ignore_index=True)
    n = len(frame)
    frame["x"] = rng.normal(size=n)
    frame["far"] = rng.normal(size=n) + 2000.0 + 50.0 * pd.factorize(frame["store"])[0]
    frame["g"] = rng.choice(list("abc"), n)
    frame.loc[(frame["store"] == "s4") & (frame["g"] == "c"), "g"] = "a"
    frame.loc[(frame["store"] == "s6") & (frame["g"] == "a"), "g"] = "b"
    frame["o"] = rng.normal(size=n) / 5
    frame["w"] = rng.uniform(0.5, 2.0, n)
    frame["k"] = rng.integers(0, 4, n).astype(float)
    frame["t"] = rng.integers(3, 9, n).astype(float)
    eta = 0.4 + 0.3 * frame["x"]
    frame["count"] = rng.poisson(np.exp(eta + frame["o"])).astype(float)
    frame["yes"] = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
    frame["share"] = rng.binomial(frame["t"].astype(int), 1.0 / (1.0 + np.exp(-eta))) / frame["t"]
    frame["size"] = rng.gamma(3.0, np.exp(eta) / 3.0)
    frame.loc[[3, 50], "x"] = np.nan
    return frame
