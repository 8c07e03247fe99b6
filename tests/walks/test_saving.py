"""A fit saved and loaded, or pickled, says and predicts the same."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import pytest

import torchglm
from torchglm import glm
from torchglm.families import NegativeBinomial, Tweedie
from torchglm.links import Power
from torchglm.saving import save

FITS = {
    "gaussian": lambda data: glm("y ~ a*g + b", data),
    "splines": lambda data: glm("y ~ bs(a, df=4) + scale(b) + poly(c, degree=2):h", data),
    "contrasts": lambda data: glm("y ~ C(g, contr.sum)*C(h, contr.helmert)", data),
    "exposure": lambda data: glm("count ~ a + C(g) + offset(b)", data, "poisson", exposure="time"),
    "weights": lambda data: glm("positive ~ a", data, "gamma", "log", weights="1 / time"),
    "frequencies": lambda data: glm("yes ~ a + g", data, "binomial", "probit", freq_weights="w"),
    "robust": lambda data: glm("count ~ a + g", data, "quasipoisson", covariance="HC1"),
    "theta": lambda data: glm("count ~ a + g", data, NegativeBinomial(theta=2.5)),
    "power": lambda data: glm("positive ~ a", data, "gamma", Power(power=0.5)),
    "tweedie": lambda data: glm("count ~ a", data, Tweedie(power=1.5, link="log")),
    "aliased": lambda data: glm("y ~ a + b + I(a + b) + g", data),
    "missing": lambda data: glm("y ~ a + g", data.assign(a=data["a"].mask(data["a"] > 0.9))),
    "levels": lambda data: glm("answer ~ a", data.assign(answer=np.where(data["yes"] == 1, "sure", "no")), "binomial"),
}
NUMBERS = re.findall(
    r"\w+",
    """
nobs df_model df_resid df_null deviance null_deviance pearson_chi2 scale llf llnull aic bic converged status solver_name
n_steps passes aliased infinite rows_dropped rows_zero_weight weights_note offset_note covariance_note formula use_t
""",
)


@pytest.fixture(scope="module", params=FITS)
def fit(request, data):
    return FITS[request.param](data)


@pytest.fixture(scope="module", params=["saved", "pickled"])
def again(request, fit, tmp_path_factory):
    if request.param == "pickled":
        return pickle.loads(pickle.dumps(fit))
    path = tmp_path_factory.mktemp("fits") / "one.fit"
    fit.save(path)
    return torchglm.load(path)


def test_facts(fit, again):
    for name in NUMBERS:
        np.testing.assert_equal(getattr(again, name), getattr(fit, name), err_msg=name)


def test_series_and_frames(fit, again):
    for name in ("params", "bse", "tvalues", "pvalues"):
        pd.testing.assert_series_equal(getattr(again, name), getattr(fit, name), check_exact=True)
    for name in ("conf_int", "cov_params", "tidy", "glance"):
        pd.testing.assert_frame_equal(getattr(again, name)(), getattr(fit, name)(), check_exact=True)
    pd.testing.assert_frame_equal(again.trace, fit.trace)


def test_family(fit, again):
    assert again.family == fit.family
    assert again.family.link == fit.family.link


def test_summary(fit, again):
    assert str(again.summary()) == str(fit.summary())


def test_predictions(fit, again, data):
    new = data.iloc[5:25]
    ours, theirs = (f.predict(new, se=True, interval="confidence") for f in (again, fit))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    pd.testing.assert_series_equal(again.predict(new, scale="link"), fit.predict(new, scale="link"), check_exact=True)


def test_tests(fit, again):
    name = "a" if "a" in fit.params.index else fit.params.index[1]
    assert again.wald_test(f"{name} = 0") == fit.wald_test(f"{name} = 0")


def test_twice_saved_is_the_same_file(fit, again, tmp_path):
    save(again.record, tmp_path / "two.fit")
    assert (tmp_path / "two.fit").stat().st_size < 20_000
    assert torchglm.load(tmp_path / "two.fit").params.equals(fit.params)
