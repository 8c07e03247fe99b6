"""update() keeps what is not changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from formulaic.transforms.contrasts import SumContrasts

from torchglm import SGD, covariances, glm, step, update
from torchglm.design.rewrite import updated
from torchglm.design.terms import parse
from torchglm.families import Gamma


@pytest.fixture
def data() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 80
    x, z = rng.normal(size=(2, n))
    frame = pd.DataFrame(
        {"x": x, "z": z, "g": list("abcd") * 20, "n": rng.uniform(1, 3, n), "w": rng.integers(1, 4, n)}
    )
    return frame.assign(y=rng.poisson(frame["n"] * np.exp(0.2 * x)) + 1.0, a=np.r_[[np.nan] * 5, np.ones(n - 5)] * z)


def test_everything_is_kept(data):
    call = {
        "weights": "w",
        "exposure": "n",
        "subset": "x > -1",
        "contrasts": {"g": SumContrasts()},
        "covariance": "HC1",
        "dispersion": "deviance",
        "tolerance": 1e-6,
        "max_steps": 40,
    }
    fit = glm("y ~ x + C(g)", data, Gamma(link="log"), **call)
    ours = update(fit, ". ~ . + z")
    theirs = glm("y ~ x + C(g) + z", data, Gamma(link="log"), **call)
    pd.testing.assert_frame_equal(ours.summary().coefficients, theirs.summary().coefficients)
    assert ours.formula == "y ~ x + C(g) + z"
    assert ours.dispersion_kind == "deviance / df"
    assert (ours.call.stop.step_in_se, ours.call.stop.max_steps) == (1e-6, 40)
    assert str(ours.summary()) == str(theirs.summary())
    without = update(ours, "- C(g)")  # whose contrasts are then nobody's
    assert list(without.params.index) == ["Intercept", "x", "z"]


def test_each_argument_can_be_changed(data):
    fit = glm("y ~ x", data, "poisson", weights="w", offset="z")
    same = glm("y ~ x", data, "poisson")
    assert update(fit, weights=None, offset=None).params.equals(same.params)
    assert update(fit, family="gamma", link="log").family == Gamma(link="log")
    assert update(same, link="sqrt").family.link.name == "sqrt"
    assert update(fit, family="gaussian").family.link.name == "identity"
    assert update(fit, weights=None, freq_weights="w").nobs == data["w"].sum()
    assert update(fit, subset=data["x"] > 0).nobs == (data["x"] > 0).sum()
    assert update(fit, solver=SGD(epochs=2)).solver_name == "sgd"
    assert update(fit, dispersion="pearson").use_t
    assert update(fit, covariance="HC0").covariance_note.startswith("HC0")
    assert "clustered by g" in update(fit, cluster="g").covariance_note
    assert update(fit, data=data[:50]).nobs == 50
    assert update(fit, "y ~ g").formula == "y ~ g"


def test_the_covariance_of_the_fit_is_kept(data):
    fit = glm("y ~ x", data, "poisson")
    assert fit.with_covariance("HC3").update("+ z").covariance_note.startswith("HC3")
    clustered = fit.with_covariance(cluster="g").update("+ z")
    assert clustered.bse.equals(glm("y ~ x + z", data, "poisson", cluster="g").bse)
    assert isinstance(update(fit, prob_weights="w").record.numbers.covariance_kind, covariances.Sampling)
    assert update(update(fit, prob_weights="w"), prob_weights=None).bse.equals(fit.bse)


def test_the_penalty_is_kept_or_taken_off(data):
    fit = glm("y ~ x", data, "poisson", penalty="firth")
    assert fit.update("+ z").params.equals(glm("y ~ x + z", data, "poisson", penalty="firth").params)
    assert update(fit, penalty=None).params.equals(glm("y ~ x", data, "poisson").params)


def test_variables_of_the_caller(data):
    def inside():
        shift = 2.0  # noqa: F841
        return glm("y ~ I(x + shift)", data, "poisson", subset="x > -shift")

    fit = inside()  # its `shift` is gone
    scale = 3.0
    ours = fit.update("+ I(z * scale)")
    assert ours.params["I(z * scale)"] * scale == pytest.approx(
        glm("y ~ x + z", data[data["x"] > -2.0], "poisson").params["z"]
    )
    assert update(fit, ". ~ . + I(z * scale)").params.equals(ours.params)
    assert fit.score_test("I(z * scale)").statistic == pytest.approx(fit.score_test("z").statistic)


def test_a_dot_for_all_columns_is_written_out(data):
    fit = glm("y ~ .", data[["y", "x", "z"]], "poisson")
    assert fit.update(". ~ . - x").formula == "y ~ z"
    assert fit.update(None, data[["y", "x", "z", "n"]]).params.index.tolist() == ["Intercept", "x", "z", "n"]


@pytest.mark.parametrize(
    "old, change, new",
    [
        ("y ~ x + offset(log(n))", ". ~ . - offset(log(n))", "y ~ x"),
        ("y ~ x + offset(n)", ". ~ .:z", "y ~ x:z + offset(n)"),
        ("y ~ `a b` + x", "- x", "y ~ `a b`"),
        ("y ~ x - 1", "+ z", "y ~ x + z - 1"),
        ("y ~ x - 1", ". ~ . - x", "y ~ 0"),
        ("y ~ x", "~ . + C(g, contr.treatment(base='a . b'))", "y ~ x + C(g, contr.treatment(base='a . b'))"),
        ("y ~ x", "~ . + I(x - 0.5) + np.log(z)", "y ~ x + I(x - 0.5) + np.log(z)"),
    ],
)
def test_formulas(old, change, new):
    assert updated(parse(old), change).text == new


def test_a_removed_interaction_of_names_in_backticks(data):
    odd = data.rename(columns={"x": "my x", "g": "a-b"})
    fit = glm("y ~ `my x` * `a-b` + z", odd, "poisson")
    assert fit.update("- `my x`:`a-b`").formula == "y ~ `my x` + `a-b` + z"
    assert "`a-b`:" not in step(fit).fit.formula
