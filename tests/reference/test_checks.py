"""The numbers of the checks as R gives them: `r/influence.R`, and car::vif and AER::dispersiontest of `cases.json`."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from torchglm import glm
from torchglm.checks import Calibration

R = {k: v for k, v in json.loads(Path(__file__).with_name("influence.json").read_text()).items() if k != "versions"}


@cache
def fit_of(name: str, read):
    r = R[name]
    frame, link = read(r["data"]), r["link"] if isinstance(r["link"], str) else None
    weights = np.resize([1.0, 2.0, 3.0], len(frame)) if r["weights"] is True else None
    return glm(r["python"], frame, r["family"], link, weights=weights)


def cases(field: str):
    return pytest.mark.parametrize("name", [name for name in R if field in R[name]])


@cases("linktest")
def test_link_test(name, reference):
    estimate, error, statistic, p = R[name]["linktest"]
    ours = fit_of(name, reference.read).check("link")["link"]
    row = ours.details.loc["eta^2"]
    np.testing.assert_allclose([row["estimate"], row["std.error"]], [estimate, error], rtol=1e-6)
    np.testing.assert_allclose([ours.statistic, ours.p], [statistic, p], rtol=1e-6)


@cases("hoslem")
def test_hosmer_lemeshow(name, reference):
    for theirs in R[name]["hoslem"]:
        found = fit_of(name, reference.read).check(Calibration(groups=theirs["g"]))["calibration"]
        assert len(found.details) - 2 == theirs["df"]
        np.testing.assert_allclose([found.statistic, found.p], [theirs["chi2"], theirs["p"]], rtol=1e-7)


@cases("zeros")
def test_zeros(name, reference):
    theirs, found = R[name]["zeros"], fit_of(name, reference.read).check("zero_inflation")["zero_inflation"]
    np.testing.assert_allclose(found.statistic, theirs["z"], rtol=1e-7)
    np.testing.assert_allclose(
        found.details.loc["z", ["observed", "expected"]].to_list(), [theirs["observed"], theirs["expected"]]
    )
    np.testing.assert_allclose(found.details.loc["score chi2", "statistic"], theirs["chi2"], rtol=1e-6, atol=1e-20)


@cases("outlier")
def test_outliers(name, reference):
    theirs, details = R[name]["outlier"], fit_of(name, reference.read).check("outliers")["outliers"].details
    np.testing.assert_allclose(details["rstudent"][:3], theirs["rstudent"], rtol=1e-7)
    np.testing.assert_allclose(details["p"][:3], theirs["p"], rtol=1e-6)
    assert (details.index[:3] + 1).tolist() == theirs["row"]


@pytest.mark.needs("vif")
def test_variance_inflation(case, expected, reference):
    table = reference.fit_of(case).check("collinearity")["collinearity"].details
    theirs = np.array([[row["GVIF"], row["df"], row["GVIF^(1/(2df))"]] for row in expected["vif"]])
    np.testing.assert_allclose(table.to_numpy(dtype=float), theirs, rtol=1e-7)


@pytest.mark.needs("dispersion_tests")
def test_overdispersion(case, expected, reference):
    found = reference.fit_of(case).check("overdispersion")["overdispersion"]
    for theirs in expected["dispersion_tests"][1:]:
        row = found.details.loc[theirs["type"].partition(": ")[2].replace("alpha", "a").replace("1+a", "1 + a")]
        np.testing.assert_allclose(
            [row["statistic"], row["p"], row["estimate"]], [theirs["z"], theirs["p"], theirs["alpha"]], rtol=1e-6
        )
    assert found.verdict == "overdispersed"
    np.testing.assert_allclose(found.details.loc["Pearson chi2 / df", "statistic"], expected["pearson_chi2"], rtol=1e-8)
