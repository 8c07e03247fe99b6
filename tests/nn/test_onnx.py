"""Fits in ONNX: what onnxruntime says of any number of rows is what the fit says."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import glm, hurdle, multinomial, ordinal, zero_inflated
from torchglm.nn import VectorModule

pytest.importorskip("onnxscript")
runtime = pytest.importorskip("onnxruntime")
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"a": rng.normal(size=90), "b": rng.uniform(1.0, 2.0, 90), "g": rng.choice(["p", "q"], 90)})
    data["count"] = rng.poisson(np.exp(0.3 * data["a"]) * data["b"]) * rng.integers(0, 2, 90)
    data["grade"] = pd.Categorical(rng.choice(["low", "mid", "high"], 90), ["low", "mid", "high"], ordered=True)
    data["yes"] = rng.integers(0, 2, 90)
    return data


def told(module, inputs, path, sizes=(90, 7, 1)):
    """What onnxruntime makes of the first rows of the inputs, for each size."""
    rows = torch.export.Dim("rows")
    shapes = tuple({0: rows} for _ in inputs)
    several = isinstance(module, VectorModule)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter uses what torch deprecates
        torch.onnx.export(
            module.eval(), inputs, path, dynamo=True, dynamic_shapes=(shapes,) if several else shapes, verbose=False
        )
    session = runtime.InferenceSession(path)
    names = [one.name for one in session.get_inputs()]
    for size in sizes:
        yield size, session.run(None, {name: x[:size].numpy() for name, x in zip(names, inputs, strict=True)})[0]


ONE = {
    "poisson": lambda d: glm("count ~ a + g", d, "poisson", exposure="b"),
    "cloglog": pytest.param(lambda d: glm("yes ~ a + g", d, "binomial", "cloglog"), marks=slow),
    "gamma": pytest.param(lambda d: glm("b ~ a", d, "gamma"), marks=slow),
}
SEVERAL = {
    "ordinal": lambda d: ordinal("grade ~ a + g", d),
    "nominal": pytest.param(lambda d: ordinal("grade ~ a", d, "cloglog", nominal="~ g", scale="~ b"), marks=slow),
    "multinomial": pytest.param(lambda d: multinomial("grade ~ a + g", d), marks=slow),
    "zeros": pytest.param(lambda d: zero_inflated("count ~ a | b", d), marks=slow),
    "hurdle": pytest.param(lambda d: hurdle("count ~ a | b", d), marks=slow),
}


@pytest.mark.parametrize("model", ONE.values(), ids=list(ONE))
def test_one_predictor(data, model, tmp_path):
    fit = model(data)
    inputs = (fit.model_matrix(data), fit.model_offset(data))
    for size, found in told(fit.to_module(), inputs, tmp_path / "fit.onnx"):
        np.testing.assert_allclose(found, fit.predict(data.iloc[:size]), rtol=1e-12)


@pytest.mark.parametrize("model", SEVERAL.values(), ids=list(SEVERAL))
def test_several_predictors(data, model, tmp_path):
    fit = model(data)
    for size, found in told(fit.to_module(), fit.model_matrix(data), tmp_path / "fit.onnx"):
        np.testing.assert_allclose(found, fit.predict(data.iloc[:size]), rtol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("link", ["probit", "cauchit"])
def test_links_that_onnxruntime_has_in_single_precision_only(data, link, tmp_path):
    fit = glm("yes ~ a + g", data, "binomial", link)
    inputs = (fit.model_matrix(data).float(), fit.model_offset(data).float())
    for size, found in told(fit.to_module().float(), inputs, tmp_path / "fit.onnx"):
        np.testing.assert_allclose(found, fit.predict(data.iloc[:size]), rtol=1e-5)
