"""What cannot be tested, dropped, added or compared is refused in words that help."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from torchglm import add1, anova, compare, drop1, glm, likelihood_ratio, step, update
from torchglm.errors import DataError, FormulaError, LevelError, OptionError, UnknownNameError


@pytest.fixture
def fit(data):
    return glm("y ~ x + g", data, "poisson")


def test_an_unknown_type_or_test(fit):
    with pytest.raises(OptionError, match=r"type= is .*III.*got 'IV'"):
        anova(fit, type="IV")
    with pytest.raises(UnknownNameError, match=r"no test 'Chi'.*Did you mean 'Chisq'"):
        anova(fit, test="Chi")
    with pytest.raises(UnknownNameError, match="no test 'Wald' here"):
        drop1(fit, "Wald")
    with pytest.raises(OptionError, match='test="F" needs a dispersion that is estimated; here phi is 1'):
        anova(fit, test="F")
    with pytest.raises(OptionError, match=r'has no use for the covariance of this fit.*Say test="Wald"'):
        anova(fit.with_covariance("HC0"), test="Chisq")
    with pytest.raises(OptionError, match="nothing to test"):
        anova(glm("y ~ 1", fit.estimate.prepared.source.table, "poisson"))


def test_a_chi_squared_test_of_a_quasi_family_is_scaled(data):
    quasi = glm("y ~ x + g", data, "quasipoisson")
    plain = glm("y ~ x + g", data, "poisson")
    ours = anova(quasi, test="Chisq")
    np.testing.assert_allclose(ours.frame["statistic"] * quasi.scale, anova(plain).frame["statistic"])
    assert "deviance / phi" in str(ours)


def test_scope_terms_that_are_not_there(fit, data):
    with pytest.raises(UnknownNameError, match=r"The fit has no term 'z'\. Known: g, x"):
        drop1(fit, scope="z")
    with pytest.raises(UnknownNameError, match=r"'zz' is neither a column.*Did you mean 'z'"):
        add1(fit, "zz")
    with pytest.raises(OptionError, match="no term that 'y ~ x \\+ g' lacks"):
        add1(fit, "~ x")
    with pytest.raises(FormulaError, match="A scope is terms"):
        add1(fit, [])
    with pytest.raises(UnknownNameError, match=r"no term 'xx' to remove\. Did you mean 'x'"):
        update(fit, ". ~ . - xx")
    with pytest.raises(LevelError, match="one level only"):
        glm("y ~ x", data.assign(one="a"), "poisson").score_test("C(one)")


def test_rows_that_differ(data):
    holes = data.copy()
    holes.loc[[3, 8, 9], "z"] = np.nan
    short, long = glm("y ~ x", holes, "poisson"), glm("y ~ x + z", holes, "poisson")
    with pytest.raises(OptionError, match=r"different rows: 'y ~ x' 60, 'y ~ x \+ z' 57.*missing values in 'z' \(3\)"):
        compare(short, long)
    for ask in (short.score_test, lambda z: add1(short, z), lambda z: step(short, z)):
        with pytest.raises(DataError, match=r"3 of 60 have a missing value in 'z' \(3\).*dropna"):
            ask("z")
    with pytest.raises(DataError, match="use 60 rows instead of 57"):
        step(glm("y ~ x + z", holes, "poisson"), criterion=1000.0)
    whole = glm("y ~ x", holes.dropna(), "poisson")  # other rows by name, the same by value
    assert compare(whole, long).frame["df"].iloc[1] == 1.0


def test_models_that_are_not_nested(fit, data):
    with pytest.raises(OptionError, match=r"not nested: the columns of 'y ~ z'.*aic or bic"):
        compare(glm("y ~ z", data, "poisson"), fit)
    with pytest.raises(OptionError, match="not nested"):
        compare(glm("y ~ x", data, "poisson", offset="z"), fit)
    with pytest.raises(OptionError, match="gaussian with link identity"):
        compare(glm("y ~ x", data), fit)
    with pytest.raises(OptionError, match="different responses: 'k' and 'y'"):
        compare(glm("k ~ x", data, "poisson"), fit)
    with pytest.raises(OptionError, match="different weights"):
        compare(glm("y ~ x", data, "poisson", weights="w"), fit)
    with pytest.raises(OptionError, match="two fits or more"):
        likelihood_ratio(fit)
    with pytest.raises(OptionError, match="names= has 1 names for 2 fits"):
        compare(fit, fit, names=["one"])
    with pytest.raises(OptionError, match="stars= is for fits side by side"):
        compare(fit, fit, stars=True)
    with pytest.raises(OptionError, match="one list of them"):
        compare([fit], fit)


def test_equal_models_have_nothing_to_test(fit):
    row = compare(fit, fit).frame.iloc[1]
    assert row["df"] == 0.0
    assert np.isnan(row["p.value"])


def test_no_likelihood_to_compare(data):
    sampled = glm("b ~ x + z", data, "binomial", prob_weights="w")
    with pytest.raises(OptionError, match="sampled with unequal probabilities"):
        drop1(sampled)
    firth = glm("b ~ x + z", data, "binomial", penalty="firth")
    with pytest.raises(OptionError, match="under a penalty"):
        anova(firth)
    assert anova(firth, type=3, test="Wald").frame.loc["x", "df"] == 1.0
    with pytest.raises(OptionError, match="quasipoisson family has no likelihood, and so no AIC"):
        step(glm("y ~ x", data, "quasipoisson"))
    with pytest.raises(OptionError, match="direction= is"):
        step(glm("y ~ x", data, "poisson"), direction="up")
    with pytest.raises(OptionError, match="criterion= is"):
        step(glm("y ~ x", data, "poisson"), criterion="cp")


def test_a_fit_without_its_data(fit):
    loaded = pickle.loads(pickle.dumps(fit))
    for ask in (
        anova,
        drop1,
        step,
        update,
        lambda f: add1(f, "z"),
        lambda f: f.score_test("z"),
        lambda f: f.update("+ z"),
        lambda f: compare(f, f),
    ):
        with pytest.raises(OptionError, match="loaded without its data"):
            ask(loaded)


def test_data_written_over(data):
    columns = {name: data[name].to_numpy().copy() for name in ("y", "x", "z", "k")}
    fit = glm("y ~ x + z", columns, "poisson")
    columns["x"] *= 2.0
    for ask in (anova, drop1, step, lambda f: add1(f, "k"), lambda f: f.score_test("k")):
        with pytest.raises(DataError, match="written over"):
            ask(fit)


def test_score_tests_of_nothing(fit, data):
    with pytest.raises(OptionError, match="adds none"):
        fit.score_test("x")
    with pytest.raises(OptionError, match="adds nothing: the columns of the fit span it"):
        fit.score_test("I(2.0 * x)")
    with pytest.raises(OptionError, match="adds nothing"):
        fit.score_test("I(2.0 * x)", robust=True)
    with pytest.raises(FormulaError, match="A scope is terms"):
        fit.score_test(3)


@pytest.mark.parametrize(
    "hypothesis, error, match",
    [
        ("xx / Intercept = 1", UnknownNameError, "'xx' is no coefficient. Did you mean 'x'"),
        ("foo(x) = 1", UnknownNameError, "is no coefficient"),
        ("x = = 1", OptionError, "cannot be read"),
        ("x = 1 = 2", OptionError, 'one "=" in each'),
        ("exp(x", OptionError, "missing"),
        ("", OptionError, "restricts nothing"),
        ("2 + 3 = 5", OptionError, "does not depend"),
        ("log(0 * x) = 0", OptionError, "value -inf"),
        ("abs(x)^0.5 / 0", OptionError, "no finite slope|value"),
        ("0 * x = 1", OptionError, "flat at the estimates"),
        ("x^2, 2 * x^2 = 0", OptionError, "repeat each other"),
        (3, OptionError, "A hypothesis is text"),
        (lambda theta: 1.0, OptionError, "gives a tensor"),
        (lambda theta: theta.detach(), OptionError, "does not depend"),
    ],
)
def test_nonlinear_hypotheses_that_cannot_be_tested(fit, hypothesis, error, match):
    with pytest.raises(error, match=match):
        fit.nonlinear_test(hypothesis)


def test_an_aliased_coefficient_in_a_function(data):
    fit = glm("y ~ x + z + twice", data.assign(twice=2.0 * data["x"]), "poisson")
    with pytest.raises(OptionError, match="not defined"):
        fit.nonlinear_test("exp(twice) = 1")
    with pytest.raises(OptionError, match="not defined"):
        fit.nonlinear_test(lambda theta: theta.sum())
    assert fit.nonlinear_test(lambda theta: torch.exp(theta[1])).joint.df == 1


def test_a_constant_response_has_no_tests(data):
    fit = glm("c ~ x + g", data.assign(c=3.0))
    assert fit.scale == 0.0
    assert fit.tvalues.isna().all()
    assert fit.pvalues.isna().all()
    assert fit.tidy()["p.value"].isna().all()
    for ask in (
        lambda: anova(fit),
        lambda: anova(fit, test="Rao"),
        lambda: drop1(fit, "F"),
        lambda: add1(fit, "z", "Rao"),
        lambda: fit.score_test("z"),
        lambda: compare(glm("c ~ x", data.assign(c=3.0)), fit),
    ):
        with pytest.raises(OptionError, match="divides by the dispersion, and that is zero"):
            ask()
    for ask in (fit.get_distribution, fit.quantile_residuals):
        with pytest.raises(OptionError, match="dispersion is zero"):
            ask()
    assert "the dispersion is zero" in str(fit.check())


def test_a_fit_without_degrees_of_freedom_has_no_tests(data):
    few = data.head(4).assign(g=list("abcd"))
    fit = glm("z ~ x + g", few)
    with pytest.raises(OptionError, match="The term 'x' cannot be tested: the coefficients have no standard errors"):
        anova(fit, test="Wald")
    assert drop1(fit, "F").frame["statistic"].isna().all()
    assert fit.conf_int(method="profile").isna().all(axis=None)
