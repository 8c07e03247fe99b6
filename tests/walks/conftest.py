"""Data with every kind of column, and a response for each family."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

FORMULA = "a*g + b + C(h, contr.sum):c + I(b**2)"
RESPONSES = {
    "gaussian": "y",
    "poisson": "count",
    "binomial": "yes",
    "gamma": "positive",
    "inverse_gaussian": "positive",
    "quasipoisson": "count",
}
PAIRS = [
    ("gaussian", "identity"),
    ("gaussian", "log"),
    ("poisson", "log"),
    ("poisson", "sqrt"),
    ("poisson", "identity"),
    ("quasipoisson", "log"),
    ("binomial", "logit"),
    ("binomial", "probit"),
    ("binomial", "cloglog"),
    ("binomial", "cauchit"),
    ("gamma", "log"),
    ("gamma", "inverse"),
    ("gamma", "identity"),
    ("gamma", "sqrt"),
    ("inverse_gaussian", "log"),
    ("inverse_gaussian", "inverse_squared"),
    ("inverse_gaussian", "identity"),
]


def made(rows: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.uniform(-1.0, 1.0, size=(rows, 3)), columns=list("abc"))
    data["g"] = rng.choice(["p", "q", "r"], rows)
    data["h"] = pd.Categorical(rng.choice(["one", "two"], rows))
    eta = 1.0 + 0.3 * data["a"] - 0.2 * data["b"] + 0.2 * (data["g"] == "q")
    data["y"] = np.exp(eta) + 0.3 * rng.normal(size=rows)
    data["count"] = rng.poisson(np.exp(eta))
    data["yes"] = (rng.random(rows) < 1.0 / (1.0 + np.exp(0.7 - eta))).astype(int)
    data["positive"] = rng.gamma(5.0, np.exp(eta) / 5.0)
    data["w"] = rng.integers(1, 4, size=rows).astype(float)
    data["time"] = rng.uniform(0.5, 2.0, size=rows)
    return data


@pytest.fixture(scope="session")
def data() -> pd.DataFrame:
    return made(400)


@pytest.fixture(scope="session")
def many() -> pd.DataFrame:
    return made(200_000)


@pytest.fixture(scope="session")
def response() -> dict[str, str]:
    return RESPONSES


@pytest.fixture(scope="session")
def right() -> str:
    """The right-hand side that all walks take."""
    return FORMULA


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "link" in metafunc.fixturenames:
        metafunc.parametrize("family, link", PAIRS, ids=[f"{family}-{link}" for family, link in PAIRS])
