"""The cases that R has computed: a test that asks for `case` gets each in turn, and `fit` is torchglm's fit of it."""

from __future__ import annotations

import json
import pathlib
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from torchglm import glm
from torchglm.families import NegativeBinomial, Quasi, Tweedie, resolve_family
from torchglm.families.links import Power

ROOT = pathlib.Path(__file__).resolve().parent
CASES = {case["id"]: case for case in json.loads((ROOT / "cases.json").read_text())["cases"]}
DATASETS = json.loads((ROOT / "datasets.json").read_text())
PARAMETERIZED = {
    "negative_binomial": lambda args, link: NegativeBinomial(theta=args["theta"], link=link),
    "tweedie": lambda args, link: Tweedie(power=args["var_power"], link=link),
    "quasi": lambda args, link: Quasi(variance=args["variance"], link=link),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        needs = next((mark.args[0] for mark in metafunc.definition.iter_markers("needs")), "coef")
        chosen = [case for case in CASES.values() if case["kind"] == "glm" and needs in case["expected"]]
        metafunc.parametrize("case", chosen, ids=[case["id"] for case in chosen])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(field): only the cases for which R gives this field")


def factors(name: str) -> dict[str, list[str]]:
    """Factor columns of a data set -> their levels in R's order."""
    columns = DATASETS[name]["columns"]
    return {column: facts["levels"] for column, facts in columns.items() if facts["type"] == "factor"}


@cache
def read(name: str) -> pd.DataFrame:
    """A data set, its factors as categories."""
    levels = factors(name)
    text = dict.fromkeys(levels, str)
    frame = pd.read_csv(ROOT / DATASETS[name]["file"], dtype=text, keep_default_na=False, na_values=["NA"])
    return frame.assign(**{column: pd.Categorical(frame[column], categories=known) for column, known in levels.items()})


def family_of(model: dict):
    """The family, with its link, that a case names."""
    link = Power(power=model["link_args"]["power"]) if model["link"] == "power" else model["link"]
    make = PARAMETERIZED.get(model["family"])
    return resolve_family(model["family"], link) if make is None else make(model["family_args"], link)


def fit_of(case: dict):
    """torchglm's fit of a case."""
    model = case["python"]
    weights = "freq_weights" if model["weights_kind"] == "frequency" else "weights"
    beside = {weights: model["weights"], "offset": model["offset"], "exposure": model["exposure"]}
    return glm(model["formula"], read(case["data"]), family_of(model), **beside)


@cache
def cached_fit(name: str):
    return fit_of(CASES[name])


@pytest.fixture
def fit(case):
    return cached_fit(case["id"])


@pytest.fixture
def expected(case):
    return case["expected"]


@pytest.fixture
def rtol(case) -> float:
    return 1e-6 if "hard" in case["tags"] else 1e-8


@pytest.fixture
def names(case) -> list[str]:
    """The coefficients' names in R's order, as formulaic writes them."""
    if case["python"].get("fit_level_only"):
        pytest.skip("another basis of the same space")
    return case["expected"]["coef_names_formulaic"]


@pytest.fixture
def defined(names, expected) -> list[str]:
    """The names that R has not aliased."""
    return [name for name, value in zip(names, expected["coef"], strict=True) if value is not None]


@pytest.fixture
def new_rows(case) -> pd.DataFrame:
    """The new data of a case's predictions."""
    rows = pd.DataFrame(case["expected"]["predict"]["newdata"])
    known = {column: levels for column, levels in factors(case["data"]).items() if column in rows}
    return rows.assign(**{c: pd.Categorical(rows[c].astype(str), categories=levels) for c, levels in known.items()})


@pytest.fixture(scope="session")
def reference() -> SimpleNamespace:
    """What tests of single cases use."""
    return SimpleNamespace(root=ROOT, cases=CASES, read=read, fit_of=fit_of, family_of=family_of)


@pytest.fixture(scope="session")
def close():
    """Asserts that ours is R's to `rtol` of each number, and of the largest where a number is near zero."""

    def check(ours, theirs, rtol: float) -> None:
        theirs = np.array([np.nan if v is None else v for v in np.ravel(np.array(theirs, dtype=object))], dtype=float)
        ours = np.asarray(ours, dtype=float).ravel()
        largest = np.nanmax(np.abs(theirs), initial=0.0)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * 1e-3 * largest)

    return check
