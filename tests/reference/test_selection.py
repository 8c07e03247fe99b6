"""step(), update() and the delta method, as R has them. r/tests.R made tests.json."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from torchglm import glm, step
from torchglm.design.rewrite import updated
from torchglm.design.terms import parse

TESTS = json.loads((pathlib.Path(__file__).parent / "tests.json").read_text())


def fit_of(reference, model: dict):
    return glm(model["formula"], reference.read(model["data"]), model["family"], model.get("link"))


@pytest.mark.parametrize("walk", TESTS["steps"], ids=lambda walk: walk["id"])
def test_step(reference, walk):
    given = dict(walk["arguments"] or {})
    scope = {side: text.replace("^", "**") for side, text in (walk["scope"] or {}).items()}
    bounds = (scope["lower"], scope["upper"]) if "lower" in scope else scope.get("upper")
    found = step(fit_of(reference, walk["python"]), bounds, given.get("direction"), given.get("k", "aic"))
    frame, theirs = found.path.frame, walk["path"]
    assert list(frame.index) == ["<start>", *walk["step"][1:]]
    assert {term.label for term in found.fit.estimate.prepared.parsed.terms if term.factors} == set(walk["terms"])
    np.testing.assert_allclose(frame["aic"], theirs["AIC"], rtol=1e-9)
    np.testing.assert_allclose(frame["residual.deviance"], theirs["Resid. Dev"], rtol=1e-9)
    np.testing.assert_allclose(frame["df.residual"], theirs["Resid. Df"])


@pytest.mark.parametrize("function", TESTS["delta"], ids=lambda function: function["id"])
def test_delta_method(reference, function):
    found = fit_of(reference, function["python"]).nonlinear_test(function["expression"]).estimates
    assert found["estimate"].iloc[0] == pytest.approx(function["estimate"], rel=1e-8)
    assert found["std.error"].iloc[0] == pytest.approx(function["se"], rel=1e-8)


@pytest.mark.parametrize("change", TESTS["formulas"], ids=lambda change: f"{change['old']} by {change['change']}")
def test_update_formula(change):
    if "offset(n)" in change["change"]:
        pytest.skip("R cannot remove an offset; see tests/inference/test_tests_update.py")
    assert updated(parse(change["old"]), change["change"]).text == change["new"]
