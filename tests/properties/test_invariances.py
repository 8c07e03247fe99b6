"""What must not change a fit, and how it must change where it does."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchglm import glm

_spec = importlib.util.spec_from_file_location("properties_data", pathlib.Path(__file__).with_name("conftest.py"))
_data = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_data)
made, RESPONSES = _data.made, _data.RESPONSES

LINKS = {"gaussian": "identity", "poisson": "log", "binomial": "logit", "gamma": "log"}
seeds = st.integers(0, 10_000)
families = st.sampled_from(sorted(RESPONSES))


def fit_of(data: pd.DataFrame, family: str, right: str = "x + z + g", **beside):
    return glm(f"{RESPONSES[family]} ~ {right}", data, family, LINKS[family], **beside)


def same(ours, wanted, names=None, tolerance: float = 1e-8) -> None:
    """Coefficients to `tolerance` standard errors, where the search stops; all else to as many digits."""
    names = wanted.params.index if names is None else names
    assert (np.abs(ours.params[names].to_numpy() - wanted.params.to_numpy()) / wanted.bse.to_numpy()).max() < tolerance
    np.testing.assert_allclose(ours.bse[names], wanted.bse, rtol=tolerance)
    for total in ("deviance", "null_deviance", "pearson_chi2", "llf", "aic", "bic", "nobs", "df_resid", "scale"):
        assert getattr(ours, total) == pytest.approx(getattr(wanted, total), rel=tolerance), total


@given(seeds, families)
def test_the_order_of_rows(seed, family):
    data = made(seed)
    shuffled = data.sample(frac=1.0, random_state=seed)
    ours, wanted = fit_of(shuffled, family), fit_of(data, family)
    same(ours, wanted)
    np.testing.assert_allclose(ours.fittedvalues.sort_index(), wanted.fittedvalues, rtol=1e-9)


@given(seeds, families, st.integers(-8, 8), st.integers(-8, 8))
def test_the_scale_of_columns(seed, family, first, second):
    data = made(seed)
    by_x, by_z = 10.0**first, 10.0**second
    ours = fit_of(data.assign(x=data["x"] * by_x, z=data["z"] * by_z), family)
    wanted = fit_of(data, family)
    assert ours.aliased == {}
    np.testing.assert_allclose(
        [ours.params["x"] * by_x, ours.params["z"] * by_z], wanted.params[["x", "z"]], rtol=1e-7, atol=1e-9
    )
    np.testing.assert_allclose([ours.bse["x"] * by_x, ours.bse["z"] * by_z], wanted.bse[["x", "z"]], rtol=1e-8)
    assert ours.deviance == pytest.approx(wanted.deviance, rel=1e-10)
    np.testing.assert_allclose(ours.pvalues, wanted.pvalues, rtol=1e-6)


@given(seeds, families, st.sampled_from([1e2, 1e4, -1e4, 1e6]))
def test_the_place_of_a_column(seed, family, shift):
    data = made(seed)
    ours, wanted = fit_of(data.assign(x=data["x"] + shift), family), fit_of(data, family)
    assert ours.aliased == {}
    slopes = ["x", "z", "g[T.b]", "g[T.c]"]
    assert ((ours.params[slopes] - wanted.params[slopes]) / wanted.bse[slopes]).abs().max() < 1e-8
    np.testing.assert_allclose(ours.bse[slopes], wanted.bse[slopes], rtol=1e-8)
    np.testing.assert_allclose(ours.fittedvalues, wanted.fittedvalues, rtol=1e-8)


@given(seeds, families)
def test_frequencies_are_repeated_rows(seed, family):
    data = made(seed)
    repeated = data.loc[data.index.repeat(data["times"])].reset_index(drop=True)
    ours, wanted = fit_of(data, family, freq_weights="times"), fit_of(repeated, family)
    same(ours, wanted)
    for kind in ("HC0", "HC1"):
        np.testing.assert_allclose(ours.with_covariance(kind).bse, wanted.with_covariance(kind).bse, rtol=1e-8)


@given(seeds, families)
def test_a_row_split_in_two(seed, family):
    data = made(seed).assign(times=3.0)
    halves = pd.concat([data.assign(times=1.0), data.assign(times=2.0)])
    same(fit_of(halves, family, freq_weights="times"), fit_of(data, family, freq_weights="times"))


@given(seeds, families, st.permutations(["one", "two", "three"]))
def test_the_names_of_levels(seed, family, labels):
    data = made(seed)
    new = dict(zip("abc", labels, strict=True))
    renamed = data.assign(g=pd.Categorical(data["g"].map(new), categories=labels))
    ours, wanted = fit_of(renamed, family), fit_of(data, family)
    same(ours, wanted, ["Intercept", "x", "z", f"g[T.{labels[1]}]", f"g[T.{labels[2]}]"])


@given(seeds, families, st.sampled_from("abc"))
def test_the_base_level(seed, family, base):
    data = made(seed)
    ours, wanted = fit_of(data, family, f'x + z + C(g, contr.treatment("{base}"))'), fit_of(data, family)
    np.testing.assert_allclose(ours.fittedvalues, wanted.fittedvalues, rtol=1e-9)
    assert (ours.deviance, ours.llf) == pytest.approx((wanted.deviance, wanted.llf), rel=1e-10)


@given(seeds, families, st.floats(-3.0, 3.0))
def test_a_constant_in_the_offset_goes_to_the_intercept(seed, family, constant):
    data = made(seed)
    ours, wanted = fit_of(data, family, offset=np.full(len(data), constant)), fit_of(data, family)
    moved = ours.params.copy()
    moved["Intercept"] += constant
    assert ((moved - wanted.params) / wanted.bse).abs().max() < 1e-8
    np.testing.assert_allclose(ours.bse, wanted.bse, rtol=1e-8)
    assert (ours.deviance, ours.null_deviance) == pytest.approx((wanted.deviance, wanted.null_deviance), rel=1e-9)


@given(seeds)
def test_failures_for_successes_turn_the_signs(seed):
    data = made(seed)
    ours, wanted = fit_of(data.assign(yes=1 - data["yes"]), "binomial"), fit_of(data, "binomial")
    assert ((ours.params + wanted.params) / wanted.bse).abs().max() < 1e-8
    np.testing.assert_allclose(ours.bse, wanted.bse, rtol=1e-8)
    assert (ours.deviance, ours.llf) == pytest.approx((wanted.deviance, wanted.llf), rel=1e-10)


@given(seeds, st.floats(0.01, 100.0))
def test_weights_that_are_all_the_same(seed, weight):
    """Precision weights: phi grows with them and the standard errors stay."""
    data = made(seed)
    for family in ("gaussian", "gamma"):
        ours = fit_of(data.assign(w=weight), family, weights="w")
        wanted = fit_of(data, family)
        assert ((ours.params - wanted.params) / wanted.bse).abs().max() < 1e-8
        np.testing.assert_allclose(ours.bse, wanted.bse, rtol=1e-8)
        assert ours.scale == pytest.approx(weight * wanted.scale, rel=1e-9)


@given(seeds)
def test_four_ways_to_write_a_binomial_response(seed):
    data = made(seed)
    cells = data.groupby("g")["yes"].agg(["sum", "count"]).reset_index()
    cells = cells.assign(failed=cells["count"] - cells["sum"], share=cells["sum"] / cells["count"])
    rows = glm("yes ~ g", data, "binomial")
    named = glm("yes ~ g", data.assign(yes=data["yes"].map({0: "no", 1: "yes"})), "binomial")
    counts = glm("cbind(sum, failed) ~ g", cells, "binomial")
    shares = glm("share ~ g", cells, "binomial", weights="count")
    same(named, rows)
    same(counts, shares)
    assert ((counts.params - rows.params) / rows.bse).abs().max() < 1e-8
    np.testing.assert_allclose(counts.bse, rows.bse, rtol=1e-8)


@given(seeds, families)
def test_zero_weight_is_no_row(seed, family):
    data = made(seed).assign(w=lambda d: (d["times"] > 1).astype(float))
    ours, wanted = fit_of(data, family, weights="w"), fit_of(data[data["w"] > 0], family)
    same(ours, wanted)
    assert ours.fittedvalues.notna().all()


@given(seeds, families)
def test_subset_is_the_subset(seed, family):
    data = made(seed)
    same(fit_of(data, family, subset="x > -0.5"), fit_of(data[data["x"] > -0.5], family))
