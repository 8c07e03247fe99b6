"""Whatever a fit computes on another device is what it computes here, and no tensor is left behind on the way."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

import torchglm
from torchglm import glm, placing
from torchglm.solvers import irls

SAME = {"rtol": 1e-9, "atol": 1e-11}

FITS = [
    ("gaussian", "identity", "y ~ a + b", {}),
    ("poisson", "log", "count ~ a*g + b + C(h, contr.sum):c + I(b**2)", {}),
    ("poisson", "sqrt", "count ~ a + g", {"offset": "0.1 * e"}),
    ("poisson", "log", "count ~ g + h + a:h", {"exposure": "e"}),
    ("poisson", "log", "count ~ a + h", {"weights": "w"}),
    ("poisson", "log", "count ~ a + h", {"freq_weights": "w"}),
    ("poisson", "log", "count ~ a + h", {"prob_weights": "w"}),
    ("poisson", "log", "count ~ 1", {}),
    ("poisson", "log", "count ~ g - 1", {}),
    ("poisson", "log", "count ~ a + I(2 * a) + b", {}),
    ("binomial", "logit", "yes ~ a + b + h", {}),
    ("binomial", "probit", "yes ~ a*g", {}),
    ("binomial", "cloglog", "cbind(yes, 1 - yes) ~ a", {"weights": "w"}),
    ("gamma", "log", "positive ~ a*g + b", {"dispersion": "ml"}),
    ("gamma", "inverse", "positive ~ a + g", {}),
    ("inverse_gaussian", "log", "positive ~ a + g", {}),
    ("quasipoisson", "log", "count ~ a + g", {"offset": "log(e)"}),
]


def named(fit: torchglm.Fit | torchglm.VectorFit) -> pd.DataFrame:
    return pd.DataFrame({"params": fit.params, "bse": fit.bse})


def agree(found, expected) -> None:
    pd.testing.assert_frame_equal(named(found), named(expected), **SAME)
    assert found.llf == pytest.approx(expected.llf, rel=1e-10, nan_ok=True)
    assert found.llnull == pytest.approx(expected.llnull, rel=1e-10, nan_ok=True)


@pytest.mark.parametrize("family, link, formula, arguments", FITS, ids=lambda value: str(value)[:24])
def test_every_kind_of_column_and_weight(second_device, data, family, link, formula, arguments):
    found, expected = (glm(formula, data, family, link, device=device, **arguments) for device in ("cuda", "cpu"))
    assert found.estimate.objective.design.y.device == second_device
    agree(found, expected)
    pd.testing.assert_series_equal(found.fittedvalues, expected.fittedvalues, **SAME)
    pd.testing.assert_series_equal(found.resid_deviance, expected.resid_deviance, **SAME)
    assert found.aliased == expected.aliased
    assert str(found.summary())


MANY = [
    ("irls", "count ~ a + g + h"),
    ("irls", "count ~ a + b"),
    ("lbfgs", "count ~ a + g"),
    ("newton_cg", "count ~ g"),
    ("sgd", "count ~ a + b"),
]


@pytest.mark.parametrize("solver, formula", MANY)
def test_many_rows(second_device, many, solver, formula):
    found, expected = (glm(formula, many, "poisson", device=device, solver=solver) for device in ("cuda", "cpu"))
    pd.testing.assert_frame_equal(named(found), named(expected), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("formula", ["count ~ a + b", "count ~ a + g + h"])
def test_a_sample_gives_the_start(second_device, many, formula, monkeypatch):
    monkeypatch.setattr(irls, "DEVICE_ROWS", 30_000)
    found, expected = (glm(formula, many, "poisson", device=device) for device in ("cuda", "cpu"))
    assert found.passes == expected.passes
    pd.testing.assert_frame_equal(named(found), named(expected), rtol=1e-6, atol=1e-8)


BY = [("poisson", "count ~ a + b", {}), ("binomial", "yes ~ a", {"weights": "w + 1"}), ("gaussian", "y ~ a + g", {})]


@pytest.mark.filterwarnings("ignore::torchglm.errors.TorchGLMWarning")
@pytest.mark.parametrize("family, formula, arguments", BY, ids=str)
def test_a_model_a_group(second_device, data, family, formula, arguments):
    found, expected = (glm(formula, data, family, by="firm", device=d, **arguments) for d in ("cuda", "cpu"))
    pd.testing.assert_frame_equal(found.params, expected.params, rtol=1e-7, atol=1e-9)
    pd.testing.assert_frame_equal(found.bse, expected.bse, rtol=1e-7)


def test_narrow_columns(second_device, data):
    found, expected = (glm("count ~ a*g + b", data, "poisson", device=d, dtype="float32") for d in ("cuda", "cpu"))
    agree(found, expected)


@pytest.mark.parametrize("covariance", ["HC0", "HC1", "HC2", "HC3", "cluster", "CR2", "CR3", "HAC", "driscoll_kraay"])
def test_covariances(second_device, data, covariance):
    options = {"cluster": "firm"} if covariance in ("cluster", "CR2", "CR3") else {}
    options = {"time": "firm"} if covariance == "driscoll_kraay" else options
    fits = [glm("count ~ a*g + b", data, "poisson", device=device) for device in ("cuda", "cpu")]
    found, expected = (fit.with_covariance(covariance, **options).cov_params() for fit in fits)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-9, atol=1e-14)


def test_clusters_in_two_ways(second_device, data):
    fits = [glm("count ~ a + h", data, "poisson", cluster=["firm", "g"], device=device) for device in ("cuda", "cpu")]
    agree(*fits)


MODELS = [
    ("ordinal", "rating ~ a + g", {}),
    ("ordinal", "rating ~ a + b", {"nominal": "~ c", "scale": "~ a"}),
    ("multinomial", "rating ~ a + g", {"freq_weights": "w"}),
    ("negative_binomial", "zeros ~ a + h", {}),
    ("negative_binomial", "zeros ~ a + g", {"kind": "NB1", "exposure": "e"}),
    ("zero_inflated", "zeros ~ a + g | b", {}),
    ("zero_inflated", "zeros ~ a | 1", {"count": "negative_binomial", "cluster": "firm"}),
    ("hurdle", "zeros ~ a + g | b", {"covariance": "HC0"}),
    ("beta_regression", "share ~ a + g | b", {}),
    ("tweedie", "zeros ~ a + g", {"power": 1.5}),
]


@pytest.mark.filterwarnings("ignore::torchglm.errors.TorchGLMWarning")
@pytest.mark.parametrize("model, formula, arguments", MODELS, ids=lambda value: str(value)[:30])
def test_other_models(second_device, data, model, formula, arguments):
    fit = getattr(torchglm, model)
    found, expected = (fit(formula, data, device=device, **arguments) for device in ("cuda", "cpu"))
    pd.testing.assert_frame_equal(named(found), named(expected), rtol=1e-6, atol=1e-8)
    assert found.llf == pytest.approx(expected.llf, rel=1e-10)


SEPARATED = [
    ("glm", "yes ~ a + bad", {"family": "binomial"}),
    ("glm", "count ~ a + none + I(2 * a)", {"family": "poisson"}),
    ("ordinal", "rating ~ a + none", {}),
    ("multinomial", "rating ~ a + none", {}),
]


@pytest.fixture
def readings(monkeypatch) -> list[bool]:
    """Whether each reading of the data trusted them to be complete."""
    seen: list[bool] = []
    whole = placing.prepare

    def counted(*args, **kwargs):
        seen.append(kwargs.get("trusting", False))
        return whole(*args, **kwargs)

    monkeypatch.setattr(placing, "prepare", counted)
    return seen


@pytest.mark.parametrize("column", ["a", "b", "count", "e", "w", "g", "c"])
def test_missing_values_are_seen_there(second_device, data, readings, column):
    data = data.assign(count=data["count"].astype(float), g=data["g"].astype("category"))
    data.loc[[3, 77], column] = None  # some are seen before, some after the rows have gone there
    call = {"family": "poisson", "offset": "0.1 * e", "weights": "w"}
    found, expected = (glm("count ~ a + b:g + I(c**2)", data, device=device, **call) for device in ("cuda", "cpu"))
    assert readings == [True, False, False]
    assert found.nobs == expected.nobs
    agree(found, expected)


def test_complete_data_are_read_once(second_device, data, readings):
    glm("count ~ a + g", data, "poisson", device="cuda")
    assert readings == [True]


def test_infinite_values_are_seen_there(second_device, data):
    data = data.rename(index=lambda k: f"row {k}")
    data.loc["row 5", "b"] = float("inf")
    for by in (None, "firm"):
        with pytest.raises(torchglm.errors.DataError, match=r"'b' is infinite .* in row 'row 5'"):
            glm("count ~ a + b", data, "poisson", device="cuda", by=by)


@pytest.mark.parametrize("beside", [{"w": -3.0}, {"e": 0.0}, {"count": -1.0}, {"c": 0.0}], ids=str)
def test_what_is_wrong_in_a_row_that_is_dropped_is_not_refused(second_device, data, beside):
    data = data.assign(count=data["count"].astype(float))
    data.loc[5, ["a", *beside]] = [float("nan"), *beside.values()]
    call = {"family": "poisson", "weights": "w", "exposure": "e"}
    agree(*(glm("count ~ a + I(1 / c)", data, device=device, **call) for device in ("cuda", "cpu")))


def said(data, device, **arguments) -> str:
    with pytest.raises(torchglm.errors.DataError) as caught:
        glm("count ~ a + b + I(c**2)", data, "poisson", device=device, **arguments)
    return str(caught.value)


@pytest.mark.parametrize("column", ["count", "firm"])
def test_an_infinite_value_in_a_row_that_is_dropped_is_refused(second_device, data, column):
    data = data.assign(count=data["count"].astype(float), firm=data["firm"].astype(float))
    data.loc[5, ["a", column]] = [float("inf"), float("nan")]
    for arguments in ({"by": "firm"}, {"cluster": "firm"}):
        assert said(data, "cuda", **arguments) == said(data, "cpu", **arguments)


@pytest.mark.parametrize("column", ["a", "count", "w", "e", "c"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_errors_of_values_say_the_same(second_device, data, column, value):
    data = data.assign(count=data["count"].astype(float))
    data.loc[5, column] = value
    call = {"weights": "w", "offset": "e", "missing": "raise"}
    assert said(data, "cuda", **call) == said(data, "cpu", **call)


NEARLY = [
    ("glm", "count ~ a + I(a + 1e-4 * b) + I(2 * a)", {"family": "poisson"}),
    ("ordinal", "rating ~ a + I(a + 1e-4 * b)", {}),
    ("multinomial", "rating ~ a + I(a + 1e-4 * b)", {}),
]


@pytest.mark.filterwarnings("ignore::torchglm.errors.TorchGLMWarning")
@pytest.mark.parametrize("model, formula, arguments", NEARLY, ids=lambda value: str(value)[:30])
def test_large_standard_errors_are_looked_into(second_device, data, model, formula, arguments):
    """They may mean separation, and a linear program says that here they do not."""
    fits = [getattr(torchglm, model)(formula, data, device=device, **arguments) for device in ("cuda", "cpu")]
    assert fits[0].infinite == fits[1].infinite == {}
    pd.testing.assert_frame_equal(named(fits[0]), named(fits[1]), rtol=1e-5)


@pytest.mark.filterwarnings("ignore::torchglm.errors.TorchGLMWarning")
@pytest.mark.parametrize("model, formula, arguments", SEPARATED, ids=lambda value: str(value)[:30])
def test_infinite_coefficients(second_device, data, model, formula, arguments):
    data = data.assign(bad=1.0 * (data["yes"] == 1) * (data["a"] > 0), none=1.0 * (data.index < 9))
    data.loc[data["none"] == 1.0, ["count", "rating"]] = 0
    fits = [getattr(torchglm, model)(formula, data, device=device, **arguments) for device in ("cuda", "cpu")]
    assert fits[0].infinite == fits[1].infinite != {}


WAYS = {
    "firth": lambda data, device: glm("yes ~ a + g", data, "binomial", penalty="firth", device=device).bse,
    "jeffreys": lambda data, device: glm("count ~ a + g", data, "poisson", penalty="jeffreys", device=device).params,
    "profile": lambda data, device: poisson(data, device).conf_int(method="profile").stack(),
    "score": lambda data, device: poisson(data, device).conf_int(method="score").stack(),
    "rows": lambda data, device: poisson(data, device).bootstrap(12, seed=3).replicates.stack(),
    "wild": lambda data, device: poisson(data, device).bootstrap(12, kind="wild", seed=3).replicates.stack(),
    "clusters": lambda data, device: (
        poisson(data, device).bootstrap(12, kind="clusters", cluster="firm", seed=3).replicates.stack()
    ),
    "influence": lambda data, device: poisson(data, device).influence().stack(),
    "anova": lambda data, device: poisson(data, device).t_test("a = b")["estimate"],
    "drop1": lambda data, device: torchglm.drop1(poisson(data, device)).frame.iloc[:, 1:3].astype(float).stack(),
    "score test": lambda data, device: pd.Series([poisson(data, device).score_test("c + h").statistic]),
    "predict": lambda data, device: poisson(data, device).predict(data, se=True, interval="confidence").stack(),
    "in the rows": lambda data, device: poisson(data, device).predict(se=True, interval="confidence").stack(),
    "quantile": lambda data, device: poisson(data, device).quantile_residuals(seed=2),
    "added variable": lambda data, device: poisson(data, device).added_variable("a").stack(),
    "calibration": lambda data, device: poisson(data, device).calibration_curve().astype(float).stack(),
    "slopes": lambda data, device: torchglm.slopes(poisson(data, device), "a").iloc[:, -4:].astype(float).stack(),
    "matrix": lambda data, device: pd.DataFrame(poisson(data, device).model_matrix().numpy()).stack(),
}


def poisson(data, device):
    return glm("count ~ a*g + b", data, "poisson", device=device)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_follows_a_fit(second_device, data, way):
    found, expected = (WAYS[way](data, device) for device in ("cuda", "cpu"))
    pd.testing.assert_series_equal(found, expected, rtol=1e-6, atol=1e-9)


def test_the_second_device_is_strict(second_device):
    """The stage is sound: what a GPU would refuse, it refuses."""
    there, here = torch.ones(3, dtype=torch.float64).to(second_device), torch.ones(3, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="two devices"):
        there + here
    with pytest.raises(RuntimeError, match="two devices"):
        torch.bincount(torch.arange(3), there)
    with pytest.raises(RuntimeError, match="not supported"):
        there.numpy()
    assert torch.arange(3).device.type == "cpu"
    assert (there + float(here[0])).cpu().tolist() == [2.0, 2.0, 2.0]
    assert there[torch.tensor([0, 2])].shape == (2,)
    with pytest.raises(RuntimeError, match="two devices"):
        here[torch.tensor([0, 2]).to(second_device)]


@pytest.mark.filterwarnings("ignore::torchglm.errors.TorchGLMWarning")
def test_a_response_that_is_refused_is_named_by_its_row(second_device, data):
    """Also where rows of weight zero are left out: which those are is known on the device."""
    data = data.assign(v=1.0).rename(index=lambda k: f"row {k}")
    data.loc[data.index[3], "v"] = 0.0
    data.loc[data.index[7], "zeros"] = -1.0
    fits = glm("~ a", data, "poisson", responses=["count", "zeros"], weights="v", device="cuda")
    assert "row 'row 7' has -1.0" in fits.status["zeros"]
    assert fits.converged.tolist() == [True, False]
