"""Random data for properties, the same in every run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import settings

settings.register_profile("ours", deadline=None, derandomize=True, max_examples=12, print_blob=False)
settings.load_profile("ours")

RESPONSES = {"gaussian": "y", "poisson": "count", "binomial": "yes", "gamma": "positive"}


def made(seed: int, rows: int = 80) -> pd.DataFrame:
    """Rows with two numbers, a group, weights, and a response for each family."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {"x": rng.uniform(-1.0, 1.0, rows), "z": rng.normal(size=rows), "g": rng.choice(list("abc"), rows)}
    )
    eta = 0.8 + 0.4 * data["x"] - 0.2 * data["z"] + 0.3 * (data["g"] == "b")
    data["y"] = eta + rng.normal(size=rows)
    data["count"] = rng.poisson(np.exp(eta))
    data["yes"] = (rng.random(rows) < 1.0 / (1.0 + np.exp(0.8 - eta))).astype(int)
    data["positive"] = rng.gamma(4.0, np.exp(eta) / 4.0)
    data["times"] = rng.integers(1, 4, rows)
    return data
