from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


def make(n: int = 60, seed: int = 7) -> pd.DataFrame:
    """Counts y, numbers x, z and w > 0, whole numbers k in 0..4, text g, bool b."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n))
    g = np.array(["a", "b", "c"])[rng.integers(0, 3, n)]
    g[:3] = ["a", "b", "c"]
    return pd.DataFrame(
        {
            "y": rng.poisson(np.exp(0.4 + 0.3 * x + 0.2 * (g == "b"))).astype(float),
            "x": x,
            "z": z,
            "w": rng.integers(1, 5, n).astype(float),
            "k": rng.integers(0, 5, n),
            "g": g,
            "b": rng.random(n) < 0.5,
        }
    )


@pytest.fixture
def data() -> pd.DataFrame:
    return make()
