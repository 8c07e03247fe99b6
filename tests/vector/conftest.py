"""Data of models of several linear predictors, and one of each of these models."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import (
    beta_regression,
    custom,
    glm,
    hurdle,
    multinomial,
    negative_binomial,
    ordinal,
    truncated,
    zero_inflated,
)

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent / "reference" / "data"


def made(rows: int = 160) -> pd.DataFrame:
    """Made-up responses of every kind, with weights, an offset, and clusters."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=rows), "z": rng.normal(size=rows), "g": rng.choice(list("abc"), rows)})
    data["w"], data["o"] = rng.integers(1, 4, rows), rng.normal(size=rows) / 3
    data["site"] = rng.integers(0, 30, rows)
    latent = data["x"] - 0.5 * (data["g"] == "b") + rng.logistic(size=rows)
    data["rating"] = pd.Categorical.from_codes(np.digitize(latent, [-1.0, 0.5, 1.5]), list("lmnh"), ordered=True)
    scores = np.stack([np.zeros(rows), data["x"], data["z"] - 0.3], 1) + rng.gumbel(size=(rows, 3))
    data["choice"] = np.array(["bus", "car", "train"])[scores.argmax(1)]
    mean = np.exp(0.8 + 0.4 * data["x"]) * rng.gamma(2.0, 0.5, rows)
    data["n"] = rng.poisson(mean).clip(max=12)
    data["c"] = data["n"] * (rng.random(rows) < 1.0 / (1.0 + np.exp(-0.5 - data["z"])))
    data["t"] = data["n"].clip(lower=1)
    data["v"] = np.where(rng.random(rows) < 0.3, 0.0, rng.gamma(2.0, 1.0, rows) * np.exp(0.3 * data["x"]))
    data["y"] = 1.0 + data["x"] + rng.normal(size=rows) * np.exp(0.3 * data["z"])
    data["d"] = np.exp(0.3 * data["x"]) * rng.gamma(3.0, 1 / 3, rows)
    share = 1.0 / (1.0 + np.exp(-data["x"]))
    data["u"] = rng.beta(5.0 * share, 5.0 * (1.0 - share))
    return data


def normal(y, mean, log_sd):
    return 0.5 * ((y - mean) * torch.exp(-log_sd)) ** 2 + log_sd + 0.5 * np.log(2.0 * np.pi)


@dataclass(frozen=True)
class Model:
    """A model to be fitted: a function, its formula, and what else it is given."""

    make: Callable[..., Any]
    formula: str
    given: dict[str, Any] = field(default_factory=dict)

    def __call__(self, data: Any, formula: str | None = None, **more: Any) -> Any:
        return self.make(self.formula if formula is None else formula, data, **{**self.given, **more})


MODELS = {
    "ordinal": Model(ordinal, "rating ~ x + g"),
    "nominal and scale": Model(ordinal, "rating ~ x", {"link": "probit", "nominal": "~ g", "scale": "~ z"}),
    "multinomial": Model(multinomial, "choice ~ x + z"),
    "NB2": Model(negative_binomial, "n ~ x + g"),
    "NB1": Model(negative_binomial, "n ~ x + g", {"kind": "NB1"}),
    "zero-inflated": Model(zero_inflated, "c ~ x | z"),
    "zero-inflated NB": Model(zero_inflated, "c ~ x | z", {"count": "negative_binomial"}),
    "hurdle": Model(hurdle, "c ~ x | z"),
    "hurdle NB": Model(hurdle, "c ~ x | z", {"count": "negative_binomial"}),
    "truncated": Model(truncated, "t ~ x + g"),
    "dispersion": Model(glm, "y ~ x", {"dispersion": "~ z"}),
    "gamma dispersion": Model(glm, "d ~ x", {"family": "gamma", "link": "log", "dispersion": "~ g"}),
    "beta": Model(beta_regression, "u ~ x | z"),
    "custom": Model(custom, "y ~ x | z", {"nll": normal, "predictors": ("mean", "log_sd")}),
}


@pytest.fixture(scope="session")
def data() -> pd.DataFrame:
    return made()


@pytest.fixture(scope="session")
def models() -> dict:
    """One of each model: a function of data and arguments."""
    return MODELS


@pytest.fixture(params=list(MODELS))
def name(request) -> str:
    """The name of each model in turn."""
    return request.param


@pytest.fixture(scope="session")
def own():
    """A likelihood of one's own."""
    return normal


@pytest.fixture(scope="session")
def r() -> dict:
    return json.loads((HERE / "vector.json").read_text())


@pytest.fixture(scope="session")
def housing() -> pd.DataFrame:
    levels = {"Sat": ["Low", "Medium", "High"], "Infl": ["Low", "Medium", "High"], "Cont": ["Low", "High"]}
    levels["Type"] = ["Tower", "Apartment", "Atrium", "Terrace"]
    frame = pd.read_csv(DATA / "housing.csv")
    return frame.assign(
        **{name: pd.Categorical(frame[name], known, ordered=name == "Sat") for name, known in levels.items()}
    )


@pytest.fixture(scope="session")
def articles() -> pd.DataFrame:
    frame = pd.read_csv(DATA / "bioChemists.csv")
    return frame.assign(fem=pd.Categorical(frame["fem"], ["Men", "Women"]), w=np.resize([1, 2, 3], len(frame)))
