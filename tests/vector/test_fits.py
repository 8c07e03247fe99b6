"""What is refitted: bootstrap, profile intervals, tests of terms and update(), against fits made one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from torchglm import anova, drop1, errors, glm, load, multinomial, ordinal, truncated, update, zero_inflated
from torchglm.errors import OptionError, StatusWarning, UnknownNameError


def same(ours, theirs, rtol: float = 1e-8) -> None:
    np.testing.assert_allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=rtol, atol=1e-10)


def drawn_rows(n: int, replicates: int, seed: int) -> np.ndarray:
    """The rows that bootstrap() draws."""
    return np.random.default_rng(seed).integers(0, n, size=(replicates, n), dtype=np.uint32)


@pytest.mark.parametrize("which", ["ordinal", "multinomial", "hurdle NB", "gamma dispersion", "custom"])
def test_replicates_are_fits_of_the_rows_drawn(data, models, which):
    fit = models[which](data)
    boot = fit.bootstrap(3, seed=5)
    for row, drawn in enumerate(drawn_rows(len(data), 3, 5)):
        again = models[which](data.iloc[drawn])
        np.testing.assert_allclose(boot.replicates.iloc[row], again.params, atol=1e-5 * float(fit.bse.max()))
    assert list(boot.replicates.columns) == list(fit.params.index)
    assert boot.failed == 0


def test_every_kind_of_bootstrap_is_near_its_standard_error(data, models):
    fit = models["ordinal"](data)
    robust = fit.with_covariance("HC0").bse
    for kind in ("rows", "parametric", "wild"):
        share = fit.bootstrap(80, kind=kind, seed=1).bse / (fit.bse if kind == "parametric" else robust)
        assert share.between(0.75, 1.3).all(), (kind, share)
    clustered = fit.with_covariance("CR0", cluster="site").bse
    share = fit.bootstrap(80, kind="clusters", cluster="site", seed=1).bse / clustered
    assert share.between(0.75, 1.3).all()
    boot = fit.bootstrap(60, seed=2)
    for kind in ("percentile", "basic", "normal", "bca"):
        ends = boot.conf_int(kind=kind)
        assert ((ends[0] < fit.params) & (fit.params < ends[1])).all()
    same(fit.with_covariance(boot.cov_params()).bse, boot.bse)


def test_a_frequency_is_drawn_as_often(data, models):
    few = data.iloc[:60]
    written = few.loc[few.index.repeat(few["w"])].reset_index(drop=True)
    fit, rows = models["multinomial"](few, freq_weights="w"), models["multinomial"](written)
    assert (fit.bootstrap(100).bse / rows.bootstrap(100).bse).between(0.6, 1.6).all()
    with pytest.raises(OptionError, match="write rows of freq_weights="):
        fit.bootstrap(10, kind="parametric")


def test_a_replicate_that_lacks_a_class_has_failed(data):
    rare = pd.concat([data[data["choice"] != "bus"], data[data["choice"] == "bus"].iloc[:1]])
    fit = multinomial("choice ~ 1", rare)
    with pytest.warns(StatusWarning, match="of 40 replicates"):
        boot = fit.bootstrap(40, seed=0)
    absent = [1 - (drawn == len(rare) - 1).any() for drawn in drawn_rows(len(rare), 40, 0)]
    assert boot.failed == sum(absent) > 5
    assert boot.replicates.isna().all(axis=1).sum() == boot.failed


@pytest.mark.parametrize("which", ["ordinal", "truncated"])
def test_profile_ends_are_where_the_likelihood_ratio_is(data, which):
    make, formula, given = {
        "ordinal": (ordinal, "rating ~ {}g", "rating ~ x + g"),
        "truncated": (truncated, "t ~ {}g", "t ~ x + g"),
    }[which]
    fit = make(given, data, weights="w", offset="o")
    ends = fit.conf_int(method="profile", parameters="x", level=0.9)
    for value in ends.loc["x"]:
        held = make(formula.format(""), data, weights="w", offset=data["o"] + value * data["x"])
        assert 2.0 * (fit.llf - held.llf) == pytest.approx(stats.chi2.ppf(0.9, 1), rel=1e-7)


def test_profile_intervals_of_two_classes_are_those_of_a_logit(data):
    two = data[data["choice"] != "car"]
    fit = multinomial("choice ~ x + g", two)
    reference = glm("I((choice == 'train') * 1) ~ x + g", two, "binomial").conf_int(method="profile")
    same(fit.conf_int(method="profile"), reference, 1e-7)
    with pytest.raises(OptionError, match="Score intervals"):
        fit.conf_int(method="score")


def test_an_aliased_coefficient_has_no_profile(data):
    fit = multinomial("choice ~ x + I(2 * x)", data)
    ends = fit.conf_int(method="profile")
    assert ends.isna().all(axis=1).tolist() == fit.params.isna().tolist()
    same(ends.dropna(), multinomial("choice ~ x", data).conf_int(method="profile"), 1e-6)


FULL = {"zero-inflated": ("c ~ x + g | z + x", {"count_x": "c ~ g | z + x", "count_g": "c ~ x | z + x",
                                               "zero_z": "c ~ x + g | x", "zero_x": "c ~ x + g | z"})}  # fmt: skip


@pytest.mark.parametrize("weights", [{}, {"freq_weights": "w"}, {"weights": "w", "offset": "o"}])
def test_terms_are_tested_by_leaving_them_out(data, weights):
    full, smaller = FULL["zero-inflated"]
    fit = zero_inflated(full, data, **weights)
    frame, whole = drop1(fit, "Chisq").frame, anova(fit, type="II").frame
    assert list(frame.index[1:]) == list(smaller) == list(whole.index)
    for term, formula in smaller.items():
        refitted = zero_inflated(formula, data, **weights)
        assert frame.loc[term, "statistic"] == pytest.approx(2.0 * (fit.llf - refitted.llf), abs=1e-6)
        assert frame.loc[term, "aic"] == pytest.approx(refitted.aic, abs=1e-6)
        assert whole.loc[term, "statistic"] == pytest.approx(frame.loc[term, "statistic"], abs=1e-9)
        assert whole.loc[term, "p.value"] == pytest.approx(
            stats.chi2.sf(whole.loc[term, "statistic"], whole.loc[term, "df"]), rel=1e-9
        )


def test_tests_in_turn_add_up(data):
    fit = ordinal("rating ~ x * g", data, nominal="~ z", scale="~ w")
    frame = anova(fit).frame
    assert list(frame.index) == ["<null>", "x", "g", "x:g", "nominal:z", "scale:w"]
    assert frame["statistic"].sum() == pytest.approx(2.0 * (fit.llf - fit.llnull), rel=1e-6)
    assert frame.loc["x:g", "residual.deviance"] == pytest.approx(-2.0 * ordinal("rating ~ x * g", data).llf, rel=1e-8)
    assert list(drop1(fit).frame.index) == ["<none>", "x:g", "nominal:z", "scale:w"]


def test_wald_tests_of_terms_are_those_of_their_coefficients(data):
    fit = multinomial("choice ~ x + g", data).with_covariance("HC0")
    frame = anova(fit, type="III").frame
    expected = fit.wald_test("car:g[T.b] = 0, car:g[T.c] = 0, train:g[T.b] = 0, train:g[T.c] = 0")
    assert frame.loc["g", "statistic"] == pytest.approx(expected.statistic, rel=1e-9)
    with pytest.raises(OptionError, match="covariance of this fit"):
        anova(fit, test="Chisq")
    with pytest.raises(UnknownNameError, match="no term 'h'"):
        drop1(fit.with_covariance("model"), scope="h")


UPDATES = {
    "formula": (lambda f: f.update(". ~ . + z"), lambda d: ordinal("rating ~ x + g + z", d, weights="w")),
    "right side": (lambda f: f.update("- g"), lambda d: ordinal("rating ~ x", d, weights="w")),
    "link": (lambda f: update(f, link="probit"), lambda d: ordinal("rating ~ x + g", d, "probit", weights="w")),
    "nominal": (lambda f: update(f, nominal="~ z"), lambda d: ordinal("rating ~ x + g", d, nominal="~ z", weights="w")),
    "weights": (lambda f: update(f, weights=None), lambda d: ordinal("rating ~ x + g", d)),
    "subset": (lambda f: update(f, subset="z > 0"), lambda d: ordinal("rating ~ x + g", d[d["z"] > 0], weights="w")),
    "robust": (lambda f: update(f, covariance="HC1"),
               lambda d: ordinal("rating ~ x + g", d, weights="w", covariance="HC1")),
}  # fmt: skip


@pytest.mark.parametrize("which", UPDATES)
def test_update_is_the_changed_call(data, which):
    changed, made = UPDATES[which]
    found, expected = changed(ordinal("rating ~ x + g", data, weights="w")), made(data)
    same(found.params, expected.params)
    same(found.bse, expected.bse)
    assert list(found.params.index) == list(expected.params.index)


def test_update_of_other_models(data, models):
    zeros = zero_inflated("c ~ x", data, covariance="HC0")
    same(zeros.update(". ~ . | z").bse, zero_inflated("c ~ x | z", data, covariance="HC0").bse)
    same(zeros.update("+ z").params, zero_inflated("c ~ x + z", data).params)
    both = update(zero_inflated("c ~ x | z", data), count="negative_binomial", zero_link="probit")
    same(both.params, zero_inflated("c ~ x | z", data, "negative_binomial", zero_link="probit").params)
    classes = update(multinomial("choice ~ x", data, base="car"), base="train")
    assert classes.classes[0] == "train"
    spread = models["dispersion"](data)
    same(update(spread, dispersion="~ . + x").params, glm("y ~ x", data, dispersion="~ z + x").params)
    same(update(spread, dispersion="ml").bse, glm("y ~ x", data, dispersion="ml").bse)
    same(update(glm("y ~ x", data), dispersion="~ z").params, spread.params)
    nb1 = models["NB1"](data)
    same(nb1.update("- g").params, models["NB1"](data).update(". ~ x").params)
    assert "theta" in nb1.update("- g").estimated_values
    same(models["beta"](data).update(". ~ . + z | .").params, models["beta"](data).update("+ z").params)
    same(models["custom"](data).update(data=data.iloc[:120]).params, models["custom"](data.iloc[:120]).params)


def test_update_keeps_what_the_data_of_the_first_call_had(data):
    holes = data.assign(z=data["z"].mask(data.index % 7 == 0))
    fit = zero_inflated("c ~ x | z", holes)
    assert (fit.nobs, fit.update(". ~ . | 1").nobs) == (137, 160)  # the rows that z alone had lost are back


def test_contrasts_of_factors_that_are_gone(data):
    import numpy

    coded = numpy.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    fit = multinomial("choice ~ x + g", data, contrasts={"g": coded})
    same(fit.update("- g").params, multinomial("choice ~ x", data).params)
    same(fit.update("+ z").params, multinomial("choice ~ x + g + z", data, contrasts={"g": coded}).params)


REFUSED = {
    "argument": (lambda f: update(f, count="poisson"), OptionError, "has link=, nominal=, scale="),
    "base": (lambda f: update(f, base="l"), OptionError, "of multinomial"),
    "term": (lambda f: f.update("- q"), UnknownNameError, "no term 'q'"),
    "parts": (lambda f: f.update(". ~ . | z"), errors.FormulaError, "takes one"),
}


@pytest.mark.parametrize("which", REFUSED)
def test_update_refuses(data, which):
    ask, error, message = REFUSED[which]
    with pytest.raises(error, match=message):
        ask(ordinal("rating ~ x", data))


def test_a_loaded_fit_has_no_call(data, tmp_path):
    ordinal("rating ~ x", data).save(tmp_path / "fit")
    fit = load(tmp_path / "fit")
    for ask in (fit.update, fit.bootstrap, fit.simulate, lambda: anova(fit), lambda: fit.conf_int(method="profile")):
        with pytest.raises(OptionError, match="loaded without its data"):
            ask()
    assert anova(fit, test="Wald").frame.loc["x", "df"] == 1.0
