"""glm("~ x", data, responses=): every response has the numbers of glm() on it alone."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import polars
import pytest
import torch

from tests.many.conftest import quietly
from torchglm import glm
from torchglm.errors import DataError, FormulaError, OptionError, StatusWarning, UnknownNameError
from torchglm.inference import many as many_file
from torchglm.many import responses as responses_file

GLANCE = ("null.deviance", "logLik", "AIC", "BIC", "deviance", "df.residual", "nobs", "df.null")
RIGHT = "x + far + g"

MODELS = {
    "poisson, offset, weights": ("poisson", None, {"offset": "o", "weights": "w"}),
    "poisson, freq_weights": ("poisson", None, {"freq_weights": "k"}),
    "poisson, prob_weights": ("poisson", None, {"prob_weights": "w"}),
    "gaussian, HC1": ("gaussian", None, {"covariance": "HC1", "weights": "w"}),
    "gamma log, exposure": ("gamma", "log", {"exposure": "w"}),
    "binomial": ("binomial", None, {}),
    "quasipoisson": ("quasipoisson", None, {}),
    "poisson, pearson": ("poisson", None, {"dispersion": "pearson", "weights": "w"}),
    "poisson, HC2, freq_weights": ("poisson", None, {"covariance": "HC2", "freq_weights": "k"}),
    "gamma log, HC3, weights": ("gamma", "log", {"covariance": "HC3", "weights": "w"}),
    "HC3": ("gaussian", None, {"covariance": "HC3"}),
}


@pytest.fixture(scope="module")
def plots() -> pd.DataFrame:
    """Rows with five responses of each family, in wide columns."""
    rng = np.random.default_rng(4)
    n = 120
    frame = pd.DataFrame({"x": rng.normal(size=n), "far": rng.normal(size=n) + 2000.0, "g": rng.choice(list("abc"), n)})
    frame["o"], frame["w"] = rng.normal(size=n) / 5, rng.uniform(0.5, 2.0, n)
    frame["k"] = rng.integers(0, 4, n).astype(float)
    for j in range(5):
        eta = 0.5 + 0.2 * j * frame["x"]
        frame[f"poisson{j}"] = rng.poisson(np.exp(eta)).astype(float)
        frame[f"gamma{j}"] = rng.gamma(3.0, np.exp(eta) / 3.0)
        frame[f"binomial{j}"] = (rng.random(n) < 1.0 / (1.0 + np.exp(-eta))).astype(float)
        frame[f"gaussian{j}"] = eta + rng.normal(size=n)
        frame[f"quasipoisson{j}"] = frame[f"poisson{j}"]
    return frame


def columns(family: str) -> list[str]:
    return [f"{family}{j}" for j in range(5)]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_each_response_has_the_fit_of_itself(plots, model, monkeypatch):
    family, link, arguments = model
    monkeypatch.setattr(responses_file, "ENTRIES", 250)  # two responses at a time
    fits = glm(f"~ {RIGHT}", plots, family, link, responses=columns(family), **arguments)
    glance = fits.glance().set_index("response")
    assert list(fits) == columns(family)
    for name in columns(family):
        one = glm(f"{name} ~ {RIGHT}", plots, family, link, **arguments)
        np.testing.assert_allclose((fits.params.loc[name] - one.params) / one.bse, 0.0, atol=2e-8)
        np.testing.assert_allclose(fits.bse.loc[name] / one.bse, 1.0, atol=2e-7)
        theirs = one.glance().iloc[0]
        for column in GLANCE:
            assert glance.loc[name, column] == pytest.approx(theirs[column], rel=1e-9, nan_ok=True), column
        assert glance.loc[name, "dispersion"] == pytest.approx(one.scale, rel=1e-7)


def test_one_of_them_is_a_whole_fit(plots):
    fits = glm(f"~ {RIGHT}", plots, "gamma", "log", responses=columns("gamma"))
    one, alone = fits["gamma3"], glm(f"gamma3 ~ {RIGHT}", plots, "gamma", "log")
    assert str(one.summary()) == str(alone.summary())
    pd.testing.assert_series_equal(one.fittedvalues, alone.fittedvalues)
    np.testing.assert_allclose(one.with_covariance("HC3").bse, alone.with_covariance("HC3").bse)


def test_responses_are_names_a_frame_an_array_or_a_tensor(plots):
    names = columns("poisson")
    named = glm("~ x", plots, "poisson", responses=names)
    wide = plots[names]
    shuffled = glm("~ x", plots, "poisson", responses=wide.sample(frac=1.0, random_state=1))
    array = glm("~ x", plots, "poisson", responses=wide.to_numpy())
    tensor = glm("~ x", plots, "poisson", responses=torch.from_numpy(wide.to_numpy()))
    index = glm("~ x", plots, "poisson", responses=wide.columns)
    other_table = glm("~ x", plots, "poisson", responses=polars.from_pandas(wide))
    assert list(other_table) == names
    for other in (shuffled, array, tensor, index, other_table):
        np.testing.assert_allclose(other.params, named.params, rtol=1e-12)
    assert list(shuffled) == names
    assert list(array) == [f"y{j + 1}" for j in range(5)]
    pd.testing.assert_series_equal(array["y2"].params, glm("poisson1 ~ x", plots, "poisson").params)


def test_a_dot_stands_for_the_other_columns(plots):
    names = columns("gaussian")
    fits = glm("~ .", plots[["x", "w", *names]], responses=names)
    assert fits.names == ("Intercept", "x", "w")


def test_rows_that_a_response_misses_are_its_own_affair(plots):
    frame = plots.copy()
    frame.loc[[3, 8], "gaussian1"] = np.nan
    frame.loc[5, "x"] = np.nan
    fits = glm("~ x", frame, responses=columns("gaussian"))
    alone = glm("gaussian1 ~ x", frame)
    np.testing.assert_allclose(fits.params.loc["gaussian1"], alone.params, rtol=1e-9)
    assert fits.glance().set_index("response")["nobs"].tolist() == [119, 117, 119, 119, 119]
    assert fits["gaussian1"].rows_dropped == 3


@pytest.mark.parametrize("worth", [0, responses_file.WORTH])  # alone, and as a batch
def test_missing_values_are_refused_where_asked(plots, worth, monkeypatch):
    monkeypatch.setattr(responses_file, "WORTH", worth)
    frame = plots.copy()
    frame.loc[[3, 8], "gaussian1"] = np.nan
    with pytest.raises(DataError, match=r"Missing values in 'gaussian1' \(2 rows\).*at row 3"):
        glm("~ x", frame, responses=columns("gaussian"), missing="raise")
    left_out = glm("~ x", frame, responses=columns("gaussian"), missing="raise", subset=~frame.index.isin([3, 8]))
    assert (left_out.glance()["nobs"] == 118).all()


@pytest.mark.parametrize("written", ["x", "gaussian1"])
@pytest.mark.parametrize("worth", [0, responses_file.WORTH])
def test_data_written_over_are_refused(plots, written, worth, monkeypatch):
    monkeypatch.setattr(responses_file, "WORTH", worth)
    data = {name: plots[name].to_numpy(copy=True) for name in ["x", *columns("gaussian")]}
    fits = glm("~ x", data, responses=columns("gaussian"))
    data[written] += 1.0
    with pytest.raises(DataError, match=r"written over.*responses="):
        fits.glance()
    with pytest.raises(DataError, match="written over"):
        fits["gaussian1"]


def test_faults_of_a_response_are_named(plots):
    frame = plots.assign(split=(plots["x"] > 0).astype(float), two=2.0, none=np.nan, same=1.0)
    names = ["binomial0", "split", "two", "none", "same"]
    with pytest.warns(StatusWarning) as caught:
        fits = glm("~ x", frame, "binomial", responses=names)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "Separated: 2 ('split', 'same'); Failed: 2 ('two', 'none')" in str(caught[0].message)
    assert fits.status["two"].startswith("Failed: The response 'two' must be between 0 and 1")
    assert "missing in every row" in fits.status["none"]
    assert fits.infinite["same"] == {"Intercept": "+"}
    assert fits.params.loc[["two", "none"]].isna().all(axis=None)
    assert fits.glance().set_index("response").loc[["two", "none"], "deviance"].isna().all()
    assert repr(fits).endswith("5 models, 4 to look at: see .status>")
    alone = glm("binomial0 ~ x", frame, "binomial")
    np.testing.assert_allclose(fits.params.loc["binomial0"], alone.params, rtol=1e-8)


REFUSED = {
    "a left-hand side": (FormulaError, "responses= stands for the left-hand side: write 'x' after '~' alone", "y ~ x"),
    "an unknown column": (UnknownNameError, "'poison0'.*'poisson0'", ["poison0"]),
    "names twice": (OptionError, "distinct names; got 2, 1 of them distinct", ["poisson0", "poisson0"]),
    "no response": (OptionError, "got an empty list", []),
    "one vector": (OptionError, r"of 1 dimension\(s\)", np.zeros(120)),
    "other rows": (DataError, "has 119 rows; the data have 120", np.zeros((119, 2))),
    "a name alone": (OptionError, r"responses=\['poisson0'\]", "poisson0"),
    "a number": (OptionError, "got int", 3),
    "one on the right": (
        FormulaError,
        "'poisson1' stands on the right-hand side of '~ x \\+ poisson1'",
        "~ x + poisson1",
    ),
    "text": (DataError, "'responses=' holds text", np.array([["a", "b"]] * 120)),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused(plots, case):
    error, message, given = case
    formula, responses = (
        (given, ["poisson0", "poisson1"]) if isinstance(given, str) and "~" in given else ("~ x", given)
    )
    with pytest.raises(error, match=message):
        glm(formula, plots, "poisson", responses=responses)


def test_a_frame_of_other_labels_is_refused(plots):
    wide = plots[columns("poisson")].set_axis(np.arange(120) + 7)
    with pytest.raises(DataError, match=re.escape("Align it, or give .to_numpy()")):
        glm("~ x", plots, "poisson", responses=wide)


def test_few_responses_over_many_rows_are_fitted_alone(plots, monkeypatch):
    """A lone search of many rows starts from a sample of them; what a pass over all costs tells from which size on."""
    batches, solve = [], many_file.search
    monkeypatch.setattr(many_file, "search", lambda batch, *rest: batches.append(batch.count) or solve(batch, *rest))
    rows = 2 * responses_file.WORTH
    data = {"x": np.resize(plots["x"], rows), **{f"y{j}": np.resize(plots[f"poisson{j}"], rows) for j in range(3)}}
    fits = glm("~ x", data, "poisson", responses=["y0", "y1", "y2"])
    assert batches == []
    glance = fits.glance().set_index("response")
    for name in fits:
        one = glm(f"{name} ~ x", data, "poisson")
        np.testing.assert_allclose((fits.params.loc[name] - one.params) / one.bse, 0.0, atol=2e-8)
        for column in GLANCE:
            assert glance.loc[name, column] == pytest.approx(one.glance()[column][0], rel=1e-9), column
    glm("~ x", plots, "poisson", responses=columns("poisson"))
    assert batches == [5]


def test_thousands_of_responses_take_a_few_passes(plots):
    rng = np.random.default_rng(0)
    many = rng.poisson(2.0, size=(120, 3000))
    fits = quietly(lambda: glm("~ x", plots, "poisson", responses=many))
    assert fits.converged.all()
    assert fits.tidy().shape == (6000, 8)
    assert fits.glance().shape[0] == 3000


def test_sampling_weights_are_those_of_the_rows_that_a_response_has(plots):
    late = np.arange(len(plots)) > 30
    some = plots.assign(w=plots["w"] * (np.arange(len(plots)) > 2), holes=plots["gaussian0"].where(late))
    fits = glm("~ x", some, prob_weights="w", responses=["gaussian0", "holes"])
    glance = fits.glance().set_index("response")
    for name in fits:
        alone = glm(f"{name} ~ x", some, prob_weights="w")
        assert glance.loc[name, "dispersion"] == pytest.approx(alone.scale, rel=1e-10)
        assert fits[name].deviance == pytest.approx(alone.deviance, rel=1e-10)
