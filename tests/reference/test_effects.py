"""Slopes, comparisons, averaged predictions and marginal means against marginaleffects' definitions and emmeans."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pandas as pd
import pytest

import torchglm
from torchglm import glm
from torchglm.effects import comparisons, emmeans, predictions, slopes

R = json.loads((pathlib.Path(__file__).parent / "effects.json").read_text())
FUNCTIONS = {"slopes": slopes, "comparisons": comparisons, "predictions": predictions}
METHODS = {"trt.vs.ctrl1": "reference", "consec": "sequential", "eff": "mean", "revpairwise": "reverse pairwise"}
FITS: dict[str, torchglm.Fit] = {}


def fit_of(name: str, reference) -> torchglm.Fit:
    if name not in FITS:
        model = R["models"][name]
        beside = {"weights": model["weights"]} if "weights" in model else {}
        data = reference.read(model["data"])
        FITS[name] = glm(model["formula"], data, model["family"], model["link"], tolerance=1e-11, **beside)
    return FITS[name]


def name_of(case: dict) -> str:
    return " ".join([case["model"], *(str(value) for value in case["call"].values() if value is not None)])


@pytest.mark.parametrize("effect", R["effects"], ids=name_of)
def test_effects(effect, reference, close):
    call = {name: value for name, value in effect["call"].items() if value is not None}
    ours = FUNCTIONS[call.pop("what")](fit_of(effect["model"], reference), **call)
    close(ours["estimate"], effect["value"]["estimate"], 1e-7)
    close(ours["std.error"], effect["value"]["se"], 1e-7)


@pytest.fixture(params=range(len(R["means"])), ids=[f"{m['model']} {m['specs']} {m['by']}" for m in R["means"]])
def means(request, reference):
    """A case of marginal means: what R gives, and ours on both scales."""
    case = R["means"][request.param]
    specs = case["specs"] if isinstance(case["specs"], str) else list(case["specs"])
    call = {"by": case["by"], "at": case["at"], "offset": case["offset"]}
    fit = fit_of(case["model"], reference)
    return case, {scale: emmeans(fit, specs, scale=scale, **call) for scale in ("link", "response")}


def check(ours: pd.DataFrame, theirs: dict, close, rtol: float) -> None:
    for name, column in {"estimate": "estimate", "SE": "std.error", "low": "conf.low", "high": "conf.high"}.items():
        close(ours[column], theirs[name], rtol)


@pytest.mark.parametrize("scale", ["link", "response"])
def test_marginal_means(means, close, scale):
    case, ours = means
    frame = ours[scale].frame
    for name in ours[scale].labels:
        assert list(map(str, frame[name])) == list(map(str, case[scale][name]))
    check(frame, case[scale], close, 1e-8)


@pytest.mark.parametrize("adjust", ["tukey", "holm", "bonferroni", "fdr", "sidak", "none"])
def test_pairs(means, close, adjust):
    case, ours = means
    pairs, theirs = ours["link"].pairs(adjust), case["pairs"][adjust]
    # R finds quantiles of the studentized range to six digits
    check(pairs, theirs, close, 1e-6 if adjust == "tukey" else 1e-8)
    close(pairs["statistic"], theirs["statistic"], 1e-8)
    np.testing.assert_allclose(
        pairs["p.value"], np.array(theirs["p.value"], dtype=float), rtol=1e-6, atol=1e-8 if adjust == "tukey" else 1e-14
    )


def test_pairs_of_the_response_scale(means, close):
    case, ours = means
    check(ours["response"].pairs("none"), case["ratios"], close, 1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_contrasts(means, close, method):
    case, ours = means
    found, theirs = ours["link"].contrasts(METHODS[method], "sidak"), case["contrasts"][method]
    check(found, theirs, close, 1e-8)
    np.testing.assert_allclose(found["p.value"], np.array(theirs["p.value"], dtype=float), rtol=1e-6, atol=1e-14)


@pytest.mark.needs("ame")
def test_average_marginal_effects(fit, expected, close):
    for theirs in expected["ame"]:
        name = theirs["variable"]
        if theirs["type"] == "continuous":
            ours = slopes(fit, name).iloc[0]
        else:
            high, low = (_as_in_data(fit, name, level) for level in theirs["contrast"].split(" - "))
            ours = comparisons(fit, {name: (low, high)}).iloc[0]
        close([ours["estimate"], ours["std.error"]], [theirs["estimate"], theirs["se"]], 1e-8)


def _as_in_data(fit, name: str, level: str):
    column = fit.estimate.prepared.source.column(name)
    return float(level) if pd.api.types.is_numeric_dtype(column.dtype) else level


@pytest.mark.needs("emmeans")
def test_marginal_means_of_the_cases(fit, expected, close):
    theirs = expected["emmeans"]
    for scale in ("link", "response"):
        means = emmeans(fit, theirs["specs"], by=theirs["by"], scale=scale)
        for name, column in {"estimate": "estimate", "SE": "std.error", "lo": "conf.low", "hi": "conf.high"}.items():
            close(means.frame[column], [row[name] for row in theirs[scale]], 1e-8)
