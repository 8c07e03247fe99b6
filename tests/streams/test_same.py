"""A streamed fit is the fit in memory: the same coefficients, standard errors, totals and text."""

from __future__ import annotations

import numpy as np
import pytest

import torchglm
from torchglm import SGD, glm, hurdle, multinomial, negative_binomial, ordinal, stream, zero_inflated

CLOSE = 1e-12


def assert_same(one, other):
    assert list(one.params.index) == list(other.params.index)
    scale = np.maximum(one.params.abs(), one.bse)
    assert np.nanmax(np.abs(one.params - other.params) / scale) < CLOSE
    assert np.nanmax(np.abs(other.bse / one.bse - 1.0)) < CLOSE
    assert np.isnan(one.params).equals(np.isnan(other.params))
    assert abs(other.llf / one.llf - 1.0) < CLOSE
    assert (one.nobs, one.rows_dropped) == (other.nobs, other.rows_dropped)
    assert str(one.summary()) == str(other.summary())


FITS = [
    ("y ~ x0 + x1 + x2 + town + size", "poisson", {}),
    ("y ~ x0 * town + size:x1 + C(firm) + scale(x2)", "poisson", {}),
    ("y ~ bs(x0, df=4) + poly(x1, 2) + town:size + year", "poisson", {"offset": "log(time)", "freq_weights": "copies"}),
    ("y ~ x0 + log(x1 + 3)", "poisson", {"exposure": "time", "prob_weights": "copies", "subset": "x3 > 0"}),
    ("y ~ x0 + town", "poisson", {"cluster": "firm"}),
    ("y ~ x0 + x1", "poisson", {"cluster": "town", "weights": "1 / time", "covariance": "CR3"}),
    ("y ~ x0 + center(x2)", "poisson", {"covariance": "HC3"}),
    ("bought ~ x0 + x2", "binomial", {}),
    ("bought ~ x0 + x2", "binomial", {"penalty": "firth"}),
    ("bought ~ x0 + x2", "binomial", {"solver": "lbfgs"}),
    ("bought ~ x0 + x2", "binomial", {"solver": SGD(epochs=2, batch_rows=512)}),
    ("cbind(won, lost) ~ x0 + x2", "binomial", {}),
    ("exp(x0) ~ x1 + x2 + year", "gamma", {"link": "log"}),
    ("exp(x0) ~ x1", "gamma", {"link": "log", "dispersion": "~ x3"}),
    ("x1 ~ x2 + year + I(2 * year)", "gaussian", {}),
    ("x1 ~ 1", "gaussian", {}),
]


@pytest.mark.parametrize("formula, family, options", FITS, ids=[f"{fit[0]} {list(fit[2])}" for fit in FITS])
def test_a_glm(frame, streamed, formula, family, options):
    one, other = (glm(formula, data, family, **options) for data in (frame, streamed))
    assert_same(one, other)


@pytest.mark.parametrize(
    "model, formula",
    [
        (negative_binomial, "y ~ x0 + x1 + town"),
        (ordinal, "grade ~ x0 + x2 + town"),
        (multinomial, "town ~ x0 + x2"),
        (zero_inflated, "y ~ x0 + x2 | x1"),
        (hurdle, "y ~ x0 + x2 | scale(x1)"),
    ],
)
def test_a_model_of_several_predictors(frame, streamed, model, formula):
    assert_same(model(formula, frame), model(formula, streamed))
    one, other = (model(formula, data, freq_weights="copies") for data in (frame, streamed))
    assert_same(one, other)
    assert np.allclose(one.predict(), other.predict(), rtol=1e-9, equal_nan=True)


def test_what_comes_after_a_fit(frame, streamed):
    one, other = (glm("y ~ x0 * town + x2", data, "poisson") for data in (frame, streamed))
    assert np.array_equal(one.residuals(), other.residuals(), equal_nan=True)
    assert np.array_equal(one.predict(), other.predict(), equal_nan=True)
    assert str(torchglm.drop1(one)) == str(torchglm.drop1(other))
    assert str(torchglm.add1(one, "x3")) == str(torchglm.add1(other, "x3"))
    assert torchglm.slopes(one).equals(torchglm.slopes(other))
    assert_same(one.update(". ~ . + x3"), other.update(". ~ . + x3"))
    assert_same(one.with_covariance("CR2", cluster="firm"), other.with_covariance("CR2", cluster="firm"))


@pytest.mark.parametrize(
    "formula, family", [("y ~ x0 * town + x2 + year", "poisson"), ("cbind(won, lost) ~ x0", "binomial")]
)
def test_rows_of_weight_zero_have_fitted_values(frame, streamed, formula, family):
    one, other = (glm(formula, data, family, weights="copies") for data in (frame, streamed))
    assert_same(one, other)
    assert np.allclose(one.fittedvalues, other.fittedvalues, rtol=CLOSE, equal_nan=True)
    assert np.allclose(one.residuals(), other.residuals(), rtol=1e-10, equal_nan=True)
    assert np.allclose(one.augment(frame).iloc[:, -3:], other.augment(frame).iloc[:, -3:], rtol=1e-9, equal_nan=True)
    assert np.allclose(one.model_matrix(), other.model_matrix(), rtol=CLOSE, equal_nan=True)
    assert_same(one.with_covariance("cluster", cluster="firm"), other.with_covariance("cluster", cluster="firm"))
    assert_same(one.update(". ~ . + x3"), other.update(". ~ . + x3"))
    assert str(torchglm.drop1(one)) == str(torchglm.drop1(other))


def as_dataset(frame, files):
    return pytest.importorskip("pyarrow.dataset").dataset(files)


def as_lazy(frame, files):
    return pytest.importorskip("polars").scan_parquet(files / "*.parquet")


def as_duckdb(frame, files):
    duckdb = pytest.importorskip("duckdb")
    return duckdb.sql(f"SELECT * FROM read_parquet('{files}/*.parquet')")


KINDS = {
    "pattern": lambda frame, files: str(files / "*.parquet"),
    "list": lambda frame, files: sorted(files.glob("*.parquet")),
    "dataset": as_dataset,
    "lazy": as_lazy,
    "duckdb": as_duckdb,
    "frames": lambda frame, files: lambda: (frame.iloc[k : k + 900] for k in range(0, len(frame), 900)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_stream(frame, files, kind):
    data = KINDS[kind](frame, files)
    one = glm("y ~ x0 + scale(x2) + town", frame, "poisson", cluster="firm")
    assert_same(one, glm("y ~ x0 + scale(x2) + town", data, "poisson", cluster="firm", memory_limit="1 MB"))


def test_variables_beside_the_data_are_cut_with_it(frame, streamed):
    shift = np.linspace(0.0, 1.0, len(frame))
    wanted = shift > 0.3
    one, other = (
        glm("y ~ x0 + I(x1 * shift)", data, "poisson", offset=shift, subset=wanted, weights=1.0 + shift)
        for data in (frame, streamed)
    )
    assert_same(one, other)


def test_rows_are_labelled_by_their_place_in_the_stream(frame, files):
    bad = frame["y"].astype(float)
    bad.iloc[7_123] = -1.0
    changed = frame.assign(y=bad)
    with pytest.raises(torchglm.errors.ResponseError, match="row 7123 has -1"):
        glm("y ~ x0", stream(lambda: (changed.iloc[k : k + 900] for k in range(0, len(frame), 900))), "poisson")


@pytest.mark.parametrize("kind", ["NB2", "NB1"])
def test_a_negative_binomial_is_encoded_once(frame, kind):
    passes = []

    def frames():
        passes.append(1)
        return (frame[:400], frame[400:])

    data = stream(frames)
    passes.clear()
    glm("y ~ x0 + x1", data, "poisson")
    poisson = len(passes)
    fit = negative_binomial("y ~ x0 + x1", data, kind=kind)
    assert len(passes) == 2 * poisson
    assert_same(negative_binomial("y ~ x0 + x1", frame, kind=kind), fit)
