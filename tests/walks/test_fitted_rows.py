"""Predictions without new data: those of the rows of the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from torchglm import errors, glm, load
from torchglm.inference.prediction import predict


@pytest.mark.parametrize("interval", [None, "confidence", "prediction"])
@pytest.mark.parametrize("size", [None, 1000])
def test_the_fitted_rows_are_as_good_as_new_ones(data, monkeypatch, interval, size):
    if size is not None:
        monkeypatch.setattr(predict, "LARGEST_MATRIX", size)  # several stretches of rows
    holes = data.assign(a=data["a"].mask(data.index % 7 == 0), zero=(data.index % 5 > 0).astype(float))
    fit = glm("count ~ a*g + b + C(h, contr.sum):c", holes, "poisson", exposure="time", weights="zero")
    ours, wanted = fit.predict(se=True, interval=interval), fit.predict(holes, se=True, interval=interval)
    pd.testing.assert_frame_equal(ours, wanted, rtol=1e-9, atol=1e-12)


def test_get_prediction_without_data(data):
    fit = glm("count ~ a + g", data, "poisson").with_covariance("HC0")
    pd.testing.assert_frame_equal(fit.get_prediction(level=0.9), fit.get_prediction(data, level=0.9), rtol=1e-9)


def test_single_precision_rows(data):
    fit = glm("count ~ a + g", data, "poisson", dtype="float32")
    np.testing.assert_allclose(fit.get_prediction(), fit.get_prediction(data), rtol=1e-5)


@pytest.mark.parametrize("streamed", [False, True])
def test_single_precision_rounds_columns_and_nothing_beside_them(streamed):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.integers(0, 8, 500) / 4.0, "y": rng.integers(2**30, 2**31, 500) + 0.5})
    frame["w"], frame["o"] = rng.uniform(1.0, 2.0, 500), rng.uniform(0.0, 1e-7, 500)
    given = (lambda: [frame[:200], frame[200:]]) if streamed else frame
    one, other = (
        glm("y ~ x", given, "gamma", link="log", weights="w", offset="o", dtype=dtype)
        for dtype in ("float64", "float32")
    )
    assert np.array_equal(one.params, other.params)
    assert np.array_equal(one.residuals("response"), other.residuals("response"))
    assert one.llf == other.llf


ASKED = [
    ({"scale": "zz"}, "scale="),
    ({"level": 2.0}, "level="),
    ({"new_levels": "zz"}, "new_levels="),
    ({"offset": [1.0]}, "offset= belongs to new rows"),
    ({"exposure": "time"}, "exposure= belongs to new rows"),
]


@pytest.mark.parametrize("options, words", ASKED)
def test_options_are_looked_at_without_data_too(data, options, words):
    with pytest.raises(errors.OptionError, match=words):
        glm("y ~ a", data).predict(**options)


def test_a_loaded_fit_has_no_rows(data, tmp_path):
    glm("y ~ a", data).save(tmp_path / "fit")
    with pytest.raises(errors.OptionError, match="without its data"):
        load(tmp_path / "fit").get_prediction()
