"""Bad input: a typed error that names the column, row or value, and says what to do."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest
import torch

import torchglm as tg
from torchglm import errors, glm
from torchglm.errors import (
    DataError,
    DeviceError,
    FormulaError,
    OptionError,
    ResponseError,
    UnknownNameError,
    WeightError,
)

N = 60
FORMULAS = [
    ("y ~ C(x.astype('float16'))", DataError, r"cannot be categorical: .* half-precision .*\(float16\)"),
    ("y ~ xx", UnknownNameError, "'xx'.*Did you mean 'x'"),
    ("yy ~ x", UnknownNameError, "'yy'.*Did you mean 'y'"),
    ("y ~ lgo(x)", UnknownNameError, "'lgo'.*Did you mean 'log'"),
    ("y ~ np.lgo(x)", FormulaError, "lgo"),
    ("y ~ I(1 / 0)", FormulaError, "division by zero"),
    ("y ~ log(g)", FormulaError, "'g' holds text"),
    ("y ~ I(g * x)", FormulaError, "'g' holds text"),
    ("y ~ x + y", FormulaError, "'y' stands on the right-hand side"),
    ("y ~ y:x", FormulaError, "'y' stands on the right-hand side"),
    ("y ~ 0", FormulaError, "no column left"),
    ("y ~ -1", FormulaError, "no column left"),
    ("y ~", FormulaError, "nothing on its right-hand side"),
    ("~ x", FormulaError, "no response"),
    ("x", FormulaError, "no response"),
    ("", FormulaError, "no response"),
    (None, FormulaError, "NoneType"),
    ("y ~ x +", FormulaError, "cannot be read"),
    ("y ~ (x", FormulaError, "cannot be read"),
    ("y ~ x ~ z", FormulaError, "cannot be read"),
    ("y ~ x | g", FormulaError, "more than one right-hand side"),
    ("y + x ~ z", FormulaError, "left-hand side"),
    ("y ~ x; z", FormulaError, "cannot be read"),
    ("y ~ 'a'", FormulaError, "cannot be read"),
    ("y ~ x + offset(w):z", FormulaError, "stand alone"),
    ("y ~ C(g, levels=['a', 'b'])", errors.LevelError, "'c'.*not among the levels"),
    ("y ~ C(g, contr.treatment('q'))", FormulaError, "'q'"),
    ("y ~ C(g, contr.foo)", FormulaError, "foo"),
    ("y ~ C(g, np.eye(2))", FormulaError, "do not fit its levels"),
    ("log(k) ~ x", DataError, "infinite .*-inf.* row"),
    ("y ~ log(k)", DataError, "'log\\(k\\)' is infinite"),
]


@pytest.mark.parametrize("formula, error, words", FORMULAS)
def test_formula(data, formula, error, words):
    with pytest.raises(error, match=words) as caught:
        glm(formula, data, family="poisson")
    assert "⧛" not in str(caught.value)


COLUMNS = [
    ([np.inf, *[0.0] * 59], DataError, "'o' is infinite \\(inf\\) in row 0"),
    ([-np.inf, *[0.0] * 59], DataError, "-inf"),
    ([np.nan] * N, DataError, "No row is complete.*'o' \\(60 rows\\)"),
    ([None] * N, DataError, "No row is complete"),
    ([[1]] * N, DataError, "'o' holds"),
    ([{"a": 1}] * N, DataError, "'o' holds"),
    ([1, "a"] * 30, DataError, "'o' holds text or objects"),
    (pd.date_range("2020", periods=N), DataError, "'o' holds dates"),
    (pd.date_range("2020", periods=N, tz="UTC"), DataError, "'o' holds dates"),
    ([datetime.date(2020, 1, 1 + i % 28) for i in range(N)], DataError, "'o' holds dates"),
    (pd.period_range("2020", periods=N), DataError, "'o' holds dates"),
    (pd.to_timedelta(range(N), unit="D"), DataError, "'o' holds time differences"),
    (np.ones(N) + 1j, DataError, "'o' holds complex"),
    (np.ones(N, dtype="float16"), DataError, "half-precision"),
]


@pytest.mark.parametrize("column, error, words", COLUMNS)
def test_column(data, column, error, words):
    with pytest.raises(error, match=words):
        glm("y ~ o", data.assign(o=column), family="poisson")


@pytest.mark.parametrize("column", [[[1]] * N, [{"a": 1}] * N])
def test_unhashable_objects_cannot_be_levels(data, column):
    with pytest.raises(DataError, match="unhashable"):
        glm("y ~ C(o)", data.assign(o=column))


TABLES = [
    (None, "NoneType"),
    (np.ones((3, 2)), "ndarray"),
    ([1, 2], "list"),
    (pd.Series([1.0]), "Series"),
    ("data.csv", "data.csv"),
    ({}, "empty dict"),
    ({"y": [1.0], "x": 2.0}, "'x' of the data is a single value"),
    ({"y": [1.0], "x": "ab"}, "'x' of the data is a single value"),
    ({"y": [1.0], "x": [1.0, 2.0]}, "different lengths: 'y': 1, 'x': 2"),
    ({"y": np.ones(3), "x": np.ones((3, 2))}, "'x' has 2 dimensions"),
    ({"y": np.ones(3), "x": torch.ones(3, dtype=torch.bfloat16)}, "half-precision"),
    ({"y": pd.Series([1.0, 2.0]), "x": pd.Series([1.0, 2.0], index=[1, 0])}, "different indexes"),
    (pd.DataFrame({"y": [], "x": []}), "no rows"),
    (pd.DataFrame([[1.0, 2.0, 3.0]], columns=["y", "x", "x"]), "2 columns named 'x'"),
]


@pytest.mark.parametrize("table, words", TABLES)
def test_table(table, words):
    with pytest.raises(DataError, match=words):
        glm("y ~ x", table)


def test_a_repeated_name_that_is_not_used_is_no_error(data):
    glm("y ~ x", pd.concat([data, data[["z"]]], axis=1))


RESPONSES = [
    ("poisson", -1.0, "non-negative.*row 4 has -1.0"),
    ("binomial", 2.0, "between 0 and 1.*row 4 has 2.0"),
    ("gamma", 0.0, "positive.*row 4 has 0.0"),
    ("inverse_gaussian", 0.0, "positive.*row 4 has 0.0"),
    ("negative_binomial", -2.0, "row 4 has -2.0"),
    ("tweedie", -2.0, "row 4 has -2.0"),
    ("quasipoisson", -2.0, "row 4 has -2.0"),
    ("quasibinomial", 1.5, "row 4 has 1.5"),
]


@pytest.mark.parametrize("family, value, words", RESPONSES)
def test_response_outside_the_support(data, family, value, words):
    from torchglm.families import NegativeBinomial

    inside = data.assign(y=0.5, x=data["x"].mask(data.index == 1))
    inside.loc[4, "y"] = value
    with pytest.raises(ResponseError, match=words):
        glm("y ~ x", inside, family=NegativeBinomial(theta=1.0) if family == "negative_binomial" else family)


OPTIONS = [
    ({"family": "poison"}, UnknownNameError, "Did you mean 'poisson'"),
    ({"link": "lgo"}, UnknownNameError, "Did you mean 'log'"),
    ({"solver": "irsl"}, UnknownNameError, "Did you mean 'irls'"),
    ({"covariance": "HC9"}, UnknownNameError, "HC"),
    ({"missing": "omit"}, OptionError, "'omit'"),
    ({"dispersion": "person"}, OptionError, "'person'"),
    ({"dispersion": 0.0}, OptionError, "0.0"),
    ({"dispersion": float("nan")}, OptionError, "nan"),
    ({"tolerance": -1.0}, OptionError, "-1.0"),
    ({"tolerance": "a"}, OptionError, "'a'"),
    ({"max_steps": 0}, OptionError, "0"),
    ({"dtype": "float16"}, OptionError, "float16"),
    ({"dtype": torch.float16}, OptionError, "float16"),
    ({"device": "tpu"}, DeviceError, "tpu"),
    ({"start": [0.0]}, OptionError, "2 finite coefficients"),
    ({"start": [0.0, np.nan]}, OptionError, "2 finite coefficients"),
    ({"start": "a"}, OptionError, "'a'"),
    ({"start": {"x": 1.0}}, OptionError, "Intercept"),
    ({"start": pd.Series({"z": 1.0, "Intercept": 0.0})}, OptionError, "z"),
    ({"contrasts": {"h": None}}, FormulaError, "'h'"),
    ({"contrasts": "sum"}, OptionError, "dict"),
    ({"weights": "w", "freq_weights": "w"}, OptionError, "weights= and freq_weights="),
]


@pytest.mark.parametrize("options, error, words", OPTIONS)
def test_option(data, options, error, words):
    with pytest.raises(error, match=words):
        glm("y ~ x", data, **{"family": "poisson", **options})


def test_contrasts_by_a_string(data):
    with pytest.raises(FormulaError, match=r"contr.foo"):
        glm("y ~ g", data, contrasts={"g": "contr.foo"})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(data):
    with pytest.raises(DeviceError, match="no CUDA device"):
        glm("y ~ x", data, device="cuda")


def test_the_mean_leaves_its_domain_at_the_start(data):
    with pytest.raises(errors.DomainError, match="start="):
        glm("y ~ x", data, family="poisson", link="identity", start=[-5.0, 0.0])


WEIGHTS = [
    ([-1.0, *[1.0] * 59], WeightError, "-1.0 in row 0"),
    ([0.0] * N, WeightError, "zero in every row"),
    ([1.0] * 3, WeightError, "3 values for 60 rows"),
    ([np.inf, *[1.0] * 59], DataError, "infinite"),
    ([np.nan] * N, DataError, "row"),
    (2.0, OptionError, "one value a row"),
    (np.ones((N, 1)), OptionError, "one value a row"),
    ("ww", UnknownNameError, "'ww'.*Did you mean 'w'"),
    ("g", DataError, "'weights=g' holds text"),
    (pd.Series(np.ones(N), index=range(5, 65)), DataError, "index"),
]


@pytest.mark.parametrize("weights, error, words", WEIGHTS)
def test_weights(data, weights, error, words):
    with pytest.raises(error, match=words):
        glm("y ~ x", data, weights=weights)


OFFSETS = [
    ({"offset": [1.0] * 3}, DataError, "3 values for 60 rows"),
    ({"offset": "g"}, DataError, "'offset=g' holds text"),
    ({"offset": "log(k)"}, DataError, "'offset=log\\(k\\)' is infinite"),
    ({"offset": 1.0}, OptionError, "one value a row"),
    ({"exposure": "k"}, DataError, "must be positive.*has 0.0"),
    ({"exposure": "x"}, DataError, "must be positive"),
]


@pytest.mark.parametrize("arguments, error, words", OFFSETS)
def test_offsets(data, arguments, error, words):
    with pytest.raises(error, match=words):
        glm("y ~ x", data, family="poisson", **arguments)


@pytest.mark.parametrize(
    "call",
    [
        tg.anova,
        lambda fit: tg.likelihood_ratio(fit, fit),
        tg.drop1,
        lambda fit: tg.add1(fit, "x"),
        tg.step,
        tg.update,
        lambda fit: tg.slopes(fit, "x"),
        lambda fit: tg.emmeans(fit, "g"),
        lambda fit: tg.vuong_test(fit, fit),
        tg.zero_inflation_test,
        tg.theta_test,
        tg.poisson_test,
        tg.proportionality_test,
        tg.scale_test,
        tg.classification.accuracy,
        tg.classification.log_loss,
    ],
)
def test_functions_of_fits_name_what_they_were_given(call):
    with pytest.raises(OptionError, match=r"takes what glm.* got dict"):
        call({"y": [1.0]})
