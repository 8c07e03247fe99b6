"""Covariances that cannot be had, and those of the user's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import covariances, glm
from torchglm.errors import DataError, OptionError, UnknownNameError
from torchglm.numerics.ranks import Ranks


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.normal(size=40), "z": rng.normal(size=40), "firm": np.repeat(list("abcdefgh"), 5)})
    data["y"] = rng.poisson(np.exp(0.5 + 0.3 * data["x"]))
    data["one"], data["half"] = "same", data["firm"].where(data.index != 7)
    data["time"], data["year"] = np.arange(40), np.tile(range(5), 8)
    data["pair"] = np.arange(40) // 20
    return data


@pytest.fixture(scope="module")
def fit(data):
    return glm("y ~ x + z", data, "poisson")


REFUSED = [
    ("HC3", {"cluster": "firm"}, OptionError, "'HC3' has no use for cluster=.*'cluster', 'CR0', 'CR1S', 'CR2', 'CR3'"),
    ("model", {"ssc": "r"}, OptionError, "'model' has no use for ssc="),
    ("HC2", {"lag": 3}, OptionError, "'HC2' has no use for lag=.*HAC"),
    ("CR2", {"cluster": "firm", "ssc": "stata"}, OptionError, "no use for ssc="),
    ("HC3x", {}, UnknownNameError, "Did you mean 'HC"),
    (3, {}, OptionError, "A covariance is a name"),
    ("cluster", {}, OptionError, "needs clusters"),
    ("CR2", {}, OptionError, "needs clusters"),
    ("cluster", {"cluster": "frim"}, UnknownNameError, "frim.*Did you mean 'firm'"),
    ("cluster", {"cluster": ["firm", "yaer"]}, UnknownNameError, "yaer.*'year'"),
    ("cluster", {"cluster": "one"}, DataError, "cluster=one is the same in every row.*'same'"),
    ("cluster", {"cluster": "half"}, DataError, r"missing in row 7 of the fit \(1 row.*glm\(\.\.\., cluster='half'\)"),
    ("cluster", {"cluster": np.arange(39)}, DataError, "39 values for 40 rows"),
    ("cluster", {"cluster": {"a": 1}}, OptionError, "takes a column name"),
    ("cluster", {"cluster": "firm", "ssc": "stta"}, OptionError, "Did you mean 'stata'"),
    ("cluster", {"cluster": "firm", "df": "q"}, OptionError, 'df= is "z", "t"'),
    ("cluster", {"cluster": "firm", "df": -1}, OptionError, "positive number"),
    ("HC3", {"df": "satterthwaite"}, OptionError, 'df= is "z", "t"'),
    ("CR2", {"cluster": ["firm", "year"]}, OptionError, "CR2 takes one way"),
    ("HAC", {"lag": -1}, OptionError, "whole number from 0; got -1"),
    ("HAC", {"lag": 2.5}, OptionError, "whole number from 0; got 2.5"),
    ("HAC", {"lag": 40}, OptionError, "no lag of 40 rows: the longest is 39"),
    ("HAC", {"order": "year"}, DataError, "0 and 5 both have 0.*driscoll_kraay"),
    ("HAC", {"order": "tme"}, UnknownNameError, "Did you mean 'time'"),
    ("driscoll_kraay", {}, OptionError, "needs times"),
    ("driscoll_kraay", {"time": "year", "lag": 5}, OptionError, "no lag of 5 times"),
    ("driscoll_kraay", {"time": "one"}, DataError, "time=one is the same"),
]


@pytest.mark.parametrize("kind, arguments, error, message", REFUSED)
def test_what_cannot_be_had(fit, kind, arguments, error, message):
    with pytest.raises(error, match=message):
        fit.with_covariance(kind, **arguments).bse  # noqa: B018


def test_wrong_names_are_refused_before_the_fit(data):
    for arguments in ({"covariance": "HC9"}, {"covariance": "HC3", "cluster": "firm"}, {"cluster": "frim"}):
        with pytest.raises(OptionError):
            glm("y ~ x", data, "poisson", **arguments)
    with pytest.raises(DataError, match="cluster=half is missing in 1 row"):
        glm("y ~ x", data, "poisson", cluster="half", missing="raise")
    with pytest.raises(OptionError, match=r"no kernel 'barlett'.*'bartlett'"):
        covariances.HAC(kernel="barlett")


def test_frequencies_have_no_order(data):
    fit = glm("y ~ x", data, "poisson", freq_weights=np.full(40, 2.0))
    with pytest.raises(OptionError, match="a row's copies have no order"):
        fit.with_covariance("HAC", lag=2)


def test_leverage_one(data):
    alone = data.assign(g=np.where(data.index == 11, "alone", "rest"))
    fit = glm("y ~ x + g", alone.set_axis([f"r{k}" for k in range(40)]), "poisson")
    assert fit.with_covariance("HC1").bse.notna().all()
    for kind in ("HC2", "HC3"):
        with pytest.raises(DataError, match=f"{kind} is not defined: the fit goes through row 'r11'"):
            fit.with_covariance(kind).bse  # noqa: B018


def test_more_restrictions_than_clusters(data):
    fit = glm("y ~ x + z", data, "poisson").with_covariance("cluster", cluster="pair")
    with pytest.raises(OptionError, match="fewer clusters than restrictions"):
        fit.wald_test("x = 0, z = 0")


def test_a_negative_variance_has_no_root():
    """Two ways over rows whose scores cancel within both, but not within their crossings."""
    data = pd.DataFrame({"y": [1.0, -1.0, -1.0, 1.0], "a": [0, 0, 1, 1], "b": [0, 1, 0, 1]})
    fit = glm("y ~ 1", data).with_covariance("CR0", cluster=["a", "b"])
    assert np.isnan(fit.bse["Intercept"])


def test_a_matrix_of_the_users_own(fit):
    names = list(fit.params.index)
    matrix = np.array([[2.0, 0.1, 0.0], [0.1, 1.0, 0.2], [0.0, 0.2, 3.0]])
    shown = pd.DataFrame(matrix, names, names)
    for given in (matrix, matrix.tolist(), torch.from_numpy(matrix), shown.iloc[::-1, ::-1], lambda fit: matrix):
        np.testing.assert_array_equal(fit.with_covariance(given).cov_params(), shown)
    scaled = fit.with_covariance(lambda fit: 4.0 * fit.cov_params(), df=9)
    np.testing.assert_allclose(scaled.bse, 2.0 * fit.bse)
    assert scaled.record.facts.reference_df == 9
    assert scaled.covariance_note == "given by a function; tests refer to t(9)"


def test_a_matrix_at_the_fit(data, fit):
    at = glm("y ~ x + z", data, "poisson", covariance=np.eye(3))
    assert at.bse.tolist() == [1.0, 1.0, 1.0]
    assert "given" in at.covariance_note
    at = glm("y ~ x + z", data, "poisson", covariance=lambda fit: 2.0 * fit.cov_params())
    np.testing.assert_allclose(at.bse, np.sqrt(2.0) * fit.bse)


MATRICES = [
    (np.eye(2), "is (3, 3)"),
    (np.arange(9.0).reshape(3, 3) + 9 * np.eye(3), "not symmetric"),
    (np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), "not positive semi-definite"),
    (-np.eye(3), "not positive semi-definite"),
    (np.diag([1.0, np.nan, 1.0]), "nan at 'x'"),
    ([["a"]], "matrix of numbers"),
    (pd.DataFrame(np.eye(3), list("abc"), list("abc")), "'a' of the covariance is no coefficient"),
    (pd.DataFrame(np.eye(2), ["x", "z"], ["x", "z"]), "no row (or two) for 'Intercept'"),
]


@pytest.mark.parametrize("matrix, message", MATRICES, ids=[message for _, message in MATRICES])
def test_what_is_no_covariance(fit, matrix, message):
    with pytest.raises(OptionError) as caught:
        fit.with_covariance(matrix)
    assert message in str(caught.value)


def test_a_matrix_with_aliased_coefficients(data):
    fit = glm("y ~ x + x2", data.assign(x2=2.0 * data["x"]), "poisson")
    kept = ["Intercept", "x"]
    given = fit.with_covariance(pd.DataFrame(np.eye(2), kept, kept)).cov_params()
    assert given.loc[kept, kept].to_numpy().tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert given["x2"].isna().all()


def test_data_written_over_are_refused(data):
    mine = {name: data[name].to_numpy(copy=True) for name in ("y", "x", "firm")}
    fit = glm("y ~ x", mine, "poisson").with_covariance("CR2", cluster="firm")
    mine["x"][:] = 5.0
    with pytest.raises(DataError, match="written over"):
        fit.bse  # noqa: B018


@pytest.mark.parametrize("kind, options", [("CR3", {"cluster": "firm"}), ("CR2", {"cluster": "firm"}), ("HAC", {})])
def test_several_processes_are_refused_what_needs_all_rows(kind, options):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"y": rng.poisson(2.0, 60), "x": rng.normal(size=60), "firm": np.arange(60) % 7})
    fit = glm("y ~ x", data, "poisson")
    objective = fit.estimate.objective
    shared = objective.on(replace(objective.design, ranks=Ranks(0, 2), shares=(60, 60)))
    estimate = replace(fit.estimate, objective=shared)
    record = replace(fit.record, numbers=replace(fit.record.numbers, estimate=estimate))
    with pytest.raises(OptionError, match="2 processes"):
        replace(fit, record=record, estimate=estimate).with_covariance(kind, **options).cov_params()
