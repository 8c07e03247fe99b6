"""Columns that others span beside many: told by residuals as by an orthogonal factorisation, which then is not made."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import glm
from torchglm.objective import aliases


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(2_000, 3)), columns=list("abc"))
    frame["h"] = rng.choice(list("pqrs"), 2_000)
    frame["same"] = 2.0 * frame["a"] + 3.0 * frame["b"] + 5.0
    frame["near"] = frame["a"] + 1e-5 * rng.normal(size=2_000)
    frame["nearer"] = frame["a"] + 1e-7 * rng.normal(size=2_000)
    frame["k"] = (frame["h"] == "p").astype(float)
    frame["far"] = 1e6 + frame["c"]
    frame["w"] = rng.uniform(0.5, 2.0, 2_000)
    frame["y"] = rng.poisson(np.exp(0.2 + 0.1 * frame["a"]))
    return frame


CASES = {
    "a + b + h + same": (["same"], 0),
    "a + b + h + same + k": (["same", "k"], 0),
    "a + b + c + h + far": (["far"], 0),
    "a + b + h + near": ([], None),
    "a + b + h + nearer": ([], None),
    "a + b + same + h + near": (["same"], None),
}


@pytest.mark.parametrize("right", CASES)
def test_the_same_columns_are_left_out(data, right, monkeypatch):
    """`factorisations`: how many at most; None where only they tell a column that is nearly spanned."""
    left_out, factorisations = CASES[right]
    whole = glm(f"y ~ {right}", data, "poisson", weights="w")
    calls = []
    qr = torch.linalg.qr
    monkeypatch.setattr(torch.linalg, "qr", lambda *a, **k: calls.append(1) or qr(*a, **k))
    monkeypatch.setattr(aliases, "CHEAP_ROOT", 0.0)
    fit = glm(f"y ~ {right}", data, "poisson", weights="w")
    assert list(fit.aliased) == list(whole.aliased) == left_out
    assert ((fit.params - whole.params) / whole.bse).abs().max() < 1e-6
    np.testing.assert_allclose(fit.bse, whole.bse, rtol=1e-7)
    assert len(calls) == 0 if factorisations == 0 else len(calls) > 0
