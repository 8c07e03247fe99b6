"""Influence, added variables and partial residuals as R gives them: `r/influence.R`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from torchglm import glm

R = {k: v for k, v in json.loads(Path(__file__).with_name("influence.json").read_text()).items() if k != "versions"}
CLOSE = {"rtol": 1e-7, "atol": 1e-9}


def list_of(value) -> list:
    """R writes a vector of one as a number, and none as an empty object."""
    return value if isinstance(value, list) else [] if value == {} else [value]


def numbers(values) -> np.ndarray:
    """A vector or matrix of R, its NA and NaN as NaN."""
    return np.array([[np.nan if x in (None, "NaN", "NA") else x for x in list_of(row)] for row in values], float)


def test_the_cases_are_there():
    assert len(R) == 11


@pytest.fixture(params=list(R))
def r(request) -> dict:
    return R[request.param]


@cache
def fit_of(formula: str, data: str, family: str, link: str | None, weighted: bool, read):
    frame = read(data)
    return glm(formula, frame, family, link, weights=np.resize([1.0, 2.0, 3.0], len(frame)) if weighted else None)


@pytest.fixture
def fit(r, reference):
    link = r["link"] if isinstance(r["link"], str) else None
    return fit_of(r["python"], r["data"], r["family"], link, r["weights"] is True, reference.read)


def stored(values, r):
    """Ours, in the rows that are stored of R's."""
    return np.asarray(values)[r["rows"]]


def same(ours, theirs, r) -> None:
    np.testing.assert_allclose(stored(ours, r), numbers(theirs).squeeze(), **CLOSE)


@pytest.mark.parametrize(
    "ours, theirs",
    [
        ("leverage", "hat"),
        ("rstandard", "rstandard"),
        ("rstandard_pearson", "rstandard_pearson"),
        ("rstudent", "rstudent"),
        ("cooks_distance", "cooks"),
        ("dffits", "dffits"),
        ("cov_ratio", "covratio"),
        ("sigma", "sigma"),
    ],
)
def test_one_number_a_row(fit, r, ours, theirs):
    same(getattr(fit.get_influence(), ours), r[theirs], r)


def defined(fit) -> list[str]:
    return [name for name in fit.params.index if name not in fit.aliased]


def test_changes_of_coefficients(fit, r):
    names = defined(fit)
    influence = fit.get_influence()
    for ours, theirs in ((influence.dfbeta(names), r["dfbeta"]), (influence.dfbetas(names), r["dfbetas"])):
        matrix = numbers(theirs)
        scale = np.abs(matrix).max()
        np.testing.assert_allclose(stored(ours, r), matrix, rtol=1e-6, atol=1e-8 * scale)


def test_aliased_coefficients_have_none(reference):
    r = R["aliased"]
    fit = fit_of(r["python"], r["data"], r["family"], None, False, reference.read)
    assert len(fit.aliased) == len(list_of(r["aliased"])) == 1
    assert fit.get_influence().dfbeta(list(fit.aliased)).isna().all(axis=None)


def test_stars(fit, r):
    stars = fit.influence(defined(fit))["is_influential"]
    assert np.flatnonzero(stars).tolist() == list_of(r["inf_all"])


def test_partial_residuals(fit, r):
    partial = fit.partial_residuals()
    assert len(partial.columns) == len(list_of(r["terms"]))
    np.testing.assert_allclose(stored(partial, r), numbers(r["partial"]), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", [name for name in R if "added" in R[name]])
def test_added_variables(name, reference):
    r = R[name]
    link = r["link"] if isinstance(r["link"], str) else None
    fit = fit_of(r["python"], r["data"], r["family"], link, r["weights"] is True, reference.read)
    added = r["added"]
    for kind in ("score", "working"):
        frame = fit.added_variable(added["variable"], kind=kind)
        for axis in "xy":
            theirs = numbers(added[f"{kind}_{axis}"]).squeeze()
            np.testing.assert_allclose(stored(frame[axis], r), theirs, rtol=1e-6, atol=1e-8 * np.abs(theirs).max())
    if list_of(added["car_wang_y"]):  # with offset or prior weights car draws something else
        ours = stored(fit.added_variable(added["variable"])["y"], r)
        np.testing.assert_allclose(ours, added["car_wang_y"], rtol=1e-4, atol=1e-6)  # of a fit to 1e-8 in deviance


@pytest.mark.needs("influence")
def test_every_case_with_influence(fit_of_case, expected, close, rtol):
    theirs, influence = expected["influence"], fit_of_case.get_influence()
    used = fit_of_case.fittedvalues.notna()
    close([influence.leverage.sum()], [theirs["hat_sum"]], 10 * rtol)
    pairs = {
        "hat": influence.leverage,
        "cooks": influence.cooks_distance,
        "rstandard_deviance": fit_of_case.residuals("standardized_deviance"),
        "rstandard_pearson": fit_of_case.residuals("standardized_pearson"),
        "rstudent": fit_of_case.residuals("studentized"),
    }
    for name, ours in pairs.items():
        if theirs[f"{name}_first10"] is not None:
            close(ours[used].to_numpy()[:10], theirs[f"{name}_first10"], 100 * rtol)


@pytest.fixture
def fit_of_case(case, reference):
    return reference.fit_of(case)
