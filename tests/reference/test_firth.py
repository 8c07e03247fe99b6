"""Penalised fits against brglm2, brute-force penalised profiles, and what the manual of logistf prints."""

from __future__ import annotations

import json
import pathlib
from functools import cache

import numpy as np
import pandas as pd
import pytest

from torchglm import glm
from torchglm.penalties import penalised_likelihood_ratio, penalised_profile_interval

ROOT = pathlib.Path(__file__).resolve().parent
STORED = json.loads((ROOT / "firth.json").read_text())
PENALTY = {"AS_mean": "firth", "MPL_Jeffreys": "jeffreys"}


@cache
def data(name: str) -> pd.DataFrame:
    return pd.read_csv(ROOT / "data" / f"{name}.csv")


def named(cases: list[dict]) -> dict:
    ids = ["-".join(str(c[k]) for k in ("name", "link", "type") if k in c) for c in cases]
    return {"argvalues": cases, "ids": ids}


@pytest.mark.parametrize("stored", **named(STORED["cases"]))
def test_brglm2(stored):
    """brglm2 estimates phi with bias reduction too: given its phi, the coefficients must be the same."""
    fit = glm(
        stored["formula"],
        data(stored["data"]),
        stored["family"],
        stored["link"],
        **dict(stored["kwargs"]),
        dispersion=stored["dispersion"],
        penalty=PENALTY[stored["type"]],
        tolerance=1e-10,
    )
    assert np.abs((fit.params.to_numpy() - stored["coef"]) / stored["se"]).max() < 1e-8
    np.testing.assert_allclose(fit.bse, stored["se"], rtol=1e-8)
    assert fit.deviance == pytest.approx(stored["deviance"], rel=1e-8)
    if stored["loglik"] is not None:
        assert fit.llf == pytest.approx(stored["loglik"], rel=1e-8)


def test_brglm():
    """brglm 0.7.2: brglm(y ~ g + x, binomial, sep_quasi, control.brglm = brglm.control(br.epsilon = 1e-13))."""
    fit = glm("y ~ C(g) + x", data("sep_quasi"), "binomial", penalty="firth")
    coef = [-0.1680572746922699, 1.0075616839163635, 2.932457118591142, 0.5850670640914358]
    np.testing.assert_allclose(fit.params, coef, rtol=1e-8)
    se = [0.7535375256060082, 1.1070094610936125, 1.7105076144668294, 0.5168874658302746]
    np.testing.assert_allclose(fit.bse, se, rtol=1e-8)
    assert fit.deviance == pytest.approx(19.20748161301263, rel=1e-8)
    assert fit.penalised_llf == pytest.approx(-0.5 * 17.701919647039823, rel=1e-8)


@pytest.mark.parametrize("stored", **named(STORED["profiles"]))
def test_profiles(stored):
    fit = glm(stored["formula"], data(stored["data"]), stored["family"], stored["link"], penalty="jeffreys")
    lower, upper = penalised_profile_interval(fit.estimate, level=stored["level"])
    np.testing.assert_allclose(lower, stored["lower"], rtol=0, atol=2e-7 * fit.bse.max())
    np.testing.assert_allclose(upper, stored["upper"], rtol=0, atol=2e-7 * fit.bse.max())
    assert fit.penalised_llf == pytest.approx(stored["penalised_loglik"], rel=1e-10)


def test_logistf():
    """The example of the manual of logistf, its rows as counts; the manual's intervals are good to a few 1e-5."""
    printed = STORED["sex2"]
    fit = glm(
        "case ~ age + oc + vic + vicl + vis + dia", data("sex2"), "binomial", freq_weights="count", penalty="firth"
    )
    np.testing.assert_allclose(fit.params, printed["coef"], rtol=0, atol=2e-6)
    lower, upper = penalised_profile_interval(fit.estimate)
    np.testing.assert_allclose(lower, printed["lower"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(upper, printed["upper"], rtol=0, atol=1e-4)
    for name, chisq, p in zip(fit.params.index, printed["chisq"], printed["p"], strict=True):
        assert penalised_likelihood_ratio(fit.estimate, name) == pytest.approx((chisq, p), rel=1e-4)


def test_heinze_and_schemper():
    """Table II of Heinze & Schemper (2002), to the digits printed."""
    fit = glm("HG ~ NV + PI + EH", data("endometrial"), "binomial", penalty="firth")
    lower, upper = penalised_profile_interval(fit.estimate, ["NV", "PI", "EH"])
    assert fit.params[["NV", "PI", "EH"]].round(2).tolist() == [2.93, -0.03, -2.60]
    assert [round(float(x), 2) for x in lower] == [0.61, -0.12, -4.37]
    assert [round(float(x), 2) for x in upper] == [7.85, 0.04, -1.23]
