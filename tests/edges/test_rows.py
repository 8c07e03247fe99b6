"""Which rows enter: missing values, subset=, zero weights, levels without rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import errors, glm


@pytest.mark.parametrize("name", ["y", "x", "g", "w", "z"])
def test_a_missing_value_anywhere_drops_its_row(data, name):
    holes = data.astype({"g": object})
    holes.loc[[2, 30], name] = np.nan if name != "g" else None
    found = glm("y ~ scale(x) + g", holes, family="poisson", weights="w", offset="z")
    plain = glm("y ~ scale(x) + g", data.drop(index=[2, 30]), family="poisson", weights="w", offset="z")
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-10, atol=1e-14)
    assert found.llf == pytest.approx(plain.llf, rel=1e-12)
    assert (found.rows_dropped, found.nobs) == (2, 58)
    assert list(np.flatnonzero(found.fittedvalues.isna())) == [2, 30]
    with pytest.raises(errors.DataError, match=f"'{name}'.* at row 2\\b"):
        glm("y ~ scale(x) + g", holes, family="poisson", weights="w", offset="z", missing="raise")


@pytest.mark.parametrize("role", ["weights", "freq_weights", "prob_weights", "offset", "exposure"])
@pytest.mark.parametrize("kind", [np.array, list, pd.Series, lambda v: pd.array(v, dtype="Float64"), torch.tensor])
def test_missing_values_of_an_array_drop_their_rows(data, role, kind):
    values = [np.nan, *data["w"][1:]]
    holes = data.assign(x=data["x"].mask(data.index == 5))
    found = glm("y ~ x", holes, family="poisson", **{role: kind(values)})
    plain = glm("y ~ x", data.drop(index=[0, 5]), family="poisson", **{role: "w"})
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-10)
    assert found.nobs == plain.nobs


def test_a_transform_that_makes_values_missing_drops_their_rows_and_learns_again(data):
    found = glm("y ~ log(x) + scale(z)", data, family="poisson")
    plain = glm("y ~ log(x) + scale(z)", data[data["x"] > 0], family="poisson")
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-12)
    assert found.rows_dropped == int((data["x"] <= 0).sum())
    with pytest.raises(errors.DataError, match="subset="):
        glm("y ~ scale(log(x))", data, family="poisson")
    with pytest.raises(errors.DataError, match=r"makes .* missing"):
        glm("y ~ log(x)", data, family="poisson", missing="raise")


LIMIT = 0.2


@pytest.mark.parametrize(
    "subset",
    [
        "x > LIMIT",
        "(x > 0.2) & (k >= 0)",
        lambda d: d["x"] > 0.2,
        lambda d: (d["x"] > 0.2).sample(frac=1.0, random_state=1),
        lambda d: (d["x"] > 0.2).to_numpy(),
        lambda d: (d["x"] > 0.2).tolist(),
        lambda d: torch.tensor((d["x"] > 0.2).to_numpy()),
        lambda d: (d["x"] > 0.2).astype("boolean").mask(d["x"] < -1),
    ],
)
def test_subset_of_every_kind(data, subset):
    given = subset if isinstance(subset, str) else subset(data)
    found = glm("y ~ scale(x)", data, family="poisson", subset=given, weights=data["w"].to_numpy())
    plain = glm("y ~ scale(x)", data[data["x"] > 0.2], family="poisson", weights="w")
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-12)
    assert found.rows_dropped == 0
    assert found.fittedvalues.notna().sum() == found.nobs == len(data[data["x"] > 0.2])


@pytest.mark.parametrize(
    "subset, words",
    [
        ([True], "each of the 60 rows"),
        (list(range(60)), "True or False"),
        ("w", "True or False"),
        ("x > 100", "leaves none"),
        (pd.Series([True] * 60, index=range(1, 61)), "index"),
    ],
)
def test_a_subset_that_chooses_nothing_or_means_nothing(data, subset, words):
    with pytest.raises(errors.TorchGLMError, match=words):
        glm("y ~ x", data, subset=subset)


def test_rows_of_zero_weight_count_nowhere_but_are_fitted(data):
    zero = data.assign(w=data["w"].mask(data["k"] == 0, 0.0))
    found = glm("y ~ x + z", zero, weights="w")
    plain = glm("y ~ x + z", zero[zero["w"] > 0], weights="w")
    for number in ("llf", "aic", "bic", "scale", "df_resid", "nobs", "null_deviance", "deviance", "df_null"):
        assert getattr(found, number) == pytest.approx(getattr(plain, number), rel=1e-12), number
    np.testing.assert_allclose(found.bse, plain.bse, rtol=1e-12)
    assert found.fittedvalues.notna().all()
    assert found.rows_zero_weight == int((zero["w"] == 0).sum())


@pytest.mark.parametrize("how", ["declared", "subset", "missing"])
def test_levels_without_rows_have_no_column(data, how):
    if how == "declared":
        g = pd.Categorical(data["g"], categories=["none", "a", "b", "c", "q"])
        found = glm("y ~ g", data.assign(g=g), family="poisson")
        plain = glm("y ~ g", data, family="poisson")
    else:
        x = data["x"].mask(data["g"] == "a") if how == "missing" else data["x"]
        found = glm("y ~ g + x", data.assign(x=x), family="poisson", subset="g != 'a'" if how == "subset" else None)
        plain = glm("y ~ g + x", data[data["g"] != "a"], family="poisson")
    assert list(found.params.index) == list(plain.params.index)
    np.testing.assert_allclose(found.params, plain.params, rtol=1e-12)


def test_an_ordered_category_keeps_its_order(data):
    ordered = pd.Categorical(data["g"], categories=["c", "a", "b"], ordered=True)
    assert list(glm("y ~ g", data.assign(g=ordered)).params.index) == ["Intercept", "g[T.a]", "g[T.b]"]
