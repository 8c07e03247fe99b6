"""Made-up data with ordered and unordered classes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


def made(rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"x": rng.normal(size=rows), "z": rng.normal(size=rows), "g": rng.choice(list("abc"), rows)})
    data["w"] = rng.integers(1, 4, rows)
    data["o"] = rng.normal(size=rows) / 2
    latent = data["x"] - 0.5 * (data["g"] == "b") + rng.logistic(size=rows)
    data["rating"] = pd.Categorical.from_codes(np.digitize(latent, [-1.0, 0.5, 1.5]), list("lmnh"), ordered=True)
    scores = np.stack([np.zeros(rows), data["x"], data["z"] - 0.3], 1) + rng.gumbel(size=(rows, 3))
    data["choice"] = np.array(["bus", "car", "train"])[scores.argmax(1)]
    data["yes"] = (data["x"] + rng.logistic(size=rows) > 0).astype(int)
    return data


@pytest.fixture(scope="session")
def data() -> pd.DataFrame:
    return made(300)
