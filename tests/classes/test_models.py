"""Models of classes: what must hold whatever the data, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import torchglm
from torchglm import glm
from torchglm.classes import multinomial, ordinal
from torchglm.counts import zero_inflated
from torchglm.design.design import Design
from torchglm.errors import ConvergenceWarning, DomainError, FormulaError, OptionError, ResponseError, SeparationWarning

MODELS = {
    "ordinal": lambda data, **more: ordinal("rating ~ x + g", data, **more),
    "cauchit": lambda data, **more: ordinal("rating ~ x + g", data, "cauchit", **more),
    "nominal and scale": lambda data, **more: ordinal("rating ~ x", data, nominal="~ z", scale="~ g", **more),
    "multinomial": lambda data, **more: multinomial("choice ~ x + z + g", data, base="car", **more),
}
both = pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))


def same(ours, theirs, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=rtol, atol=1e-12)


def test_two_classes_are_a_binomial_logit(data):
    reference = glm("yes ~ x + g", data, "binomial", weights="w", offset="o")
    fit = multinomial("yes ~ x + g", data, weights="w", offset="o")
    same(fit.params, reference.params)
    same(fit.cov_params(), reference.cov_params(), 1e-8)
    same([fit.llf, fit.llnull, fit.aic, fit.df_null, fit.df_model], [
        reference.llf, reference.llnull, reference.aic, reference.df_null, reference.df_model
    ])  # fmt: skip
    same(fit.predict()[1], reference.fittedvalues)
    same(fit.predict(se=True)[("se", 1)], reference.predict(se=True)["se"], 1e-8)
    for kind in ("HC0", "HC1"):
        same(fit.with_covariance(kind).bse, reference.with_covariance(kind).bse, 1e-8)
    cut = ordinal("yes ~ x + g", data, weights="w", offset="o")
    same(cut.params, [*reference.params.iloc[1:], -reference.params.iloc[0]], 1e-8)


@pytest.mark.parametrize("link", ["probit", "cloglog"])
def test_two_ordered_classes_are_a_binomial_of_that_link(data, link):
    # P(Y <= first) = F(cut - eta): for cloglog the binomial is of the first class
    first = glm("I(1 - yes) ~ x + g", data, "binomial", link)
    fit = ordinal("yes ~ x + g", data, link)
    same(fit.params, [*-first.params.iloc[1:], first.params.iloc[0]], 1e-7)
    assert fit.llf == pytest.approx(first.llf, rel=1e-12)


@both
def test_a_frequency_is_as_many_rows(data, model):
    written = data.loc[data.index.repeat(data["w"])].reset_index(drop=True)
    fit, rows = model(data, freq_weights="w"), model(written)
    for name in ("params", "bse", "pvalues"):
        same(getattr(fit, name), getattr(rows, name), 1e-8)
    for name in ("nobs", "llf", "aic", "bic", "llnull", "df_resid", "df_null", "deviance", "null_deviance"):
        assert getattr(fit, name) == pytest.approx(getattr(rows, name), rel=1e-10), name
    for kind in ("HC0", "HC1"):
        same(fit.with_covariance(kind).cov_params(), rows.with_covariance(kind).cov_params(), 1e-7)
    same(fit.with_covariance("cluster", cluster="g").bse, rows.with_covariance("cluster", cluster="g").bse, 1e-7)
    for name in ("accuracy", "log_loss", "auc"):
        assert getattr(fit, name)() == pytest.approx(getattr(rows, name)(), rel=1e-10), name
    assert (fit.confusion() == rows.confusion()).all(axis=None)


@both
def test_blocks_make_no_difference(data, model, monkeypatch):
    whole = model(data, weights="w")
    monkeypatch.setattr(Design, "block_rows", property(lambda self: 37))
    split = model(data, weights="w")
    assert ((split.params - whole.params) / whole.bse).abs().max() < 1e-12
    same(split.bse, whole.bse, 1e-12)
    assert (split.llf, split.llnull) == pytest.approx((whole.llf, whole.llnull), rel=1e-13)
    same(split.with_covariance("HC1").bse, whole.with_covariance("HC1").bse, 1e-12)
    same(split.predict(se=True), whole.predict(se=True), 1e-11)


def zeros(data, **more):
    return zero_inflated("w2 ~ x | z", data.assign(w2=data["w"] * data["yes"]), **more)


@pytest.mark.parametrize("model", [*MODELS.values(), zeros], ids=[*MODELS, "zeros"])
@pytest.mark.parametrize("solver", ["newton_cg", "lbfgs"])
def test_solvers_reach_one_maximum(data, model, solver):
    reference = model(data, weights="w")
    fit = model(data, weights="w", solver=solver, max_steps=1000)
    assert fit.converged
    assert ((fit.params - reference.params) / reference.bse).abs().max() < 1e-6
    same(fit.bse, reference.bse, 1e-5)


def test_sgd_reaches_the_maximum(data):
    for model in (MODELS["ordinal"], MODELS["multinomial"], zeros):
        reference = model(data)
        fit = model(data, solver=torchglm.SGD(epochs=20, batch_rows=64))
        assert ((fit.params - reference.params) / reference.bse).abs().max() < 1e-6


def test_adding_the_base_changes_nothing_but_names(data):
    fits = {base: multinomial("choice ~ x + z", data, base=base) for base in ("bus", "car", "train")}
    for base, fit in fits.items():
        assert fit.classes[0] == base
        assert fit.llf == pytest.approx(fits["bus"].llf, rel=1e-12)
        same(fit.predict()[list(fits["bus"].classes)], fits["bus"].predict(), 1e-8)
    assert fits["car"].params["bus:x"] == pytest.approx(-fits["bus"].params["car:x"], rel=1e-8)


def test_weights_of_zero_and_missing_rows_do_not_count(data):
    holes = data.assign(x=data["x"].mask(data.index == 5), v=np.where(data.index < 20, 0.0, 1.0))
    fit = multinomial("choice ~ x + z", holes, weights="v")
    reference = multinomial("choice ~ x + z", data.iloc[20:])
    same(fit.params, reference.params)
    assert (fit.nobs, fit.rows_dropped, fit.rows_zero_weight) == (280, 1, 19)
    predicted = fit.predict()
    assert predicted.index.equals(data.index)
    assert predicted.isna().any(axis=1).tolist() == [k == 5 for k in range(300)]
    assert fit.predict(kind="class").isna().sum() == 1
    assert fit.accuracy() == pytest.approx(reference.accuracy())
    assert fit.log_loss() == pytest.approx(reference.log_loss(), rel=1e-10)


def test_aliased_columns_are_named(data):
    fit = multinomial("choice ~ x + I(2 * x) + z", data)
    reference = multinomial("choice ~ x + z", data)
    assert fit.aliased == {"car:I(2 * x)": ["car:x"], "train:I(2 * x)": ["train:x"]}
    assert fit.params[list(fit.aliased)].isna().all()
    assert fit.bse[list(fit.aliased)].isna().all()
    same(fit.params.dropna(), reference.params, 1e-8)
    same(fit.predict(data.iloc[:9]), reference.predict(data.iloc[:9]), 1e-8)
    assert (fit.df_resid, fit.aic) == pytest.approx((reference.df_resid, reference.aic))
    assert "car:I(2 * x) = car:x" in str(fit.summary())


def test_separation_is_said(data):
    alone = data.assign(x=np.where(data["choice"] == "bus", 1.0, -1.0) * (data["x"].abs() + 0.1))
    with pytest.warns(SeparationWarning, match="car:x -> -inf, train:x -> -inf"):
        fit = multinomial("choice ~ x + z", alone)
    assert fit.infinite == {"car:x": "-", "train:x": "-"}
    assert fit.aliased == {}
    assert "predicted perfectly" in str(fit.summary())
    # what is left is the choice between the two other classes
    rest = multinomial("choice ~ x + z", alone[alone["choice"] != "bus"])
    assert fit.llf == pytest.approx(rest.llf, abs=1e-6)
    assert fit.params["train:z"] - fit.params["car:z"] == pytest.approx(rest.params["train:z"], abs=1e-6)
    never = data[(data["choice"] != "bus") | (data["g"] != "c")]
    with pytest.warns(SeparationWarning):
        fit = multinomial("choice ~ g + x", never)
    assert fit.infinite == {"car:g[T.c]": "+", "train:g[T.c]": "+"}
    steps = data.assign(x=data["rating"].cat.codes + data["x"].abs().clip(upper=0.9))
    with pytest.warns(SeparationWarning):
        fit = ordinal("rating ~ x", steps)
    assert fit.infinite == {"x": "+", "l|m": "+", "m|n": "+", "n|h": "+"}


def test_data_far_from_separation_are_not_warned_of(data):
    far = data.assign(x=1e6 + data["x"], z=1e-8 * data["z"])
    for fit in (multinomial("choice ~ x + z", far), ordinal("rating ~ x + z", far)):
        assert fit.infinite == {}


def test_a_search_that_stopped_early_is_no_separation(data):
    for model in MODELS.values():
        with pytest.warns(ConvergenceWarning, match="max_steps=10 or start="):
            assert model(data, max_steps=1).infinite == {}
    steps = data.assign(x=data["rating"].cat.codes + data["x"].abs().clip(upper=0.9))
    with pytest.warns(SeparationWarning):
        assert ordinal("rating ~ x", steps, max_steps=8).infinite["x"] == "+"


def test_standard_errors_of_what_is_lost_are_nan(data):
    alone = data.assign(x=np.where(data["choice"] == "bus", 1.0, -1.0) * (data["x"].abs() + 0.1))
    with pytest.warns(SeparationWarning):
        fit = multinomial("choice ~ x", alone)
    assert fit.params.notna().all()
    assert fit.bse[["car:x", "train:x"]].isna().all()


def test_empty_classes_are_left_out_and_said(data):
    declared = data.assign(choice=pd.Categorical(data["choice"], ["bus", "tram", "car", "train"]))
    fit = multinomial("choice ~ x", declared)
    same(fit.params, multinomial("choice ~ x", data).params)
    assert fit.classes == ("bus", "car", "train")
    assert "Classes without rows, left out: tram" in str(fit.summary())


REFUSED = {
    "one class": (lambda d: multinomial("choice ~ x", d.assign(choice="bus")), ResponseError, "1 class"),
    "no order": (lambda d: ordinal("choice ~ x", d), ResponseError, "without an order.*ordered=True"),
    "a number": (lambda d: multinomial("x ~ z", d), ResponseError, "300 distinct values"),
    "201": (lambda d: multinomial("k ~ x", d.assign(k=np.arange(300) % 201)), ResponseError, "201 distinct"),
    "base": (lambda d: multinomial("choice ~ x", d, base="trian"), OptionError, "no class.*'train'"),
    "base text": (
        lambda d: multinomial("k ~ x", d.assign(k=np.arange(300) % 3), base="2"), OptionError, "type int: say base=2"
    ),
    "base number": (
        lambda d: multinomial("k ~ x", d.assign(k=np.resize(["1", "2"], 300)), base=2), OptionError, "say base='2'"
    ),
    "no cuts": (lambda d: ordinal("rating ~ 0 + x", d), FormulaError, "cuts"),
    "bare nominal": (lambda d: ordinal("rating ~ x", d, nominal="~ 0 + z"), FormulaError, "cuts"),
    "sided nominal": (lambda d: ordinal("rating ~ x", d, nominal="z"), FormulaError, "nominal= is a formula"),
    "two parts": (lambda d: ordinal("rating ~ x | z", d), FormulaError, "2 parts"),
    "log link": (lambda d: ordinal("rating ~ x", d, "log"), OptionError, "probit"),
    "weightless": (
        lambda d: multinomial("choice ~ x", d, weights=(d["choice"] != "car").astype(float)), ResponseError, "'car'"
    ),
    "columns": (lambda d: multinomial("cbind(yes, yes) ~ x", d), ResponseError, "one column"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(data, name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call(data)


LATER = {
    "HC2": lambda fit: fit.with_covariance("HC2"),
    "HC3": lambda fit: fit.with_covariance("HC3"),
    "CR2": lambda fit: fit.with_covariance("CR2", cluster="g"),
    "CR3": lambda fit: fit.with_covariance("CR3", cluster="g"),
    "Rao": lambda fit: torchglm.anova(fit, test="Rao"),
    "F": lambda fit: torchglm.drop1(fit, "F"),
    "add1": lambda fit: torchglm.add1(fit, "z"),
    "score test": lambda fit: torchglm.term_tests.score_test(fit, "z", {}, False),
    "against a glm": lambda fit: torchglm.likelihood_ratio(glm("x ~ z", {"x": [1.0, 2, 4], "z": [1.0, 0, 3]}), fit),
    "step": lambda fit: torchglm.step(fit),
    "ordinal argument": lambda fit: torchglm.update(fit, nominal="~ z"),
    "deviance residual": lambda fit: fit.residuals("deviance"),
    "pearson residual": lambda fit: fit.resid_pearson,
    "probability scale": lambda fit: fit.residuals("probability_scale"),
    "quantile residual": lambda fit: fit.quantile_residuals(),
    "surrogate": lambda fit: fit.surrogate_residuals(),
    "slopes": lambda fit: torchglm.slopes(fit),
    "emmeans": lambda fit: torchglm.emmeans(fit, "g"),
    "class with se": lambda fit: fit.predict(kind="class", se=True),
    "kind": lambda fit: fit.predict(kind="probabilites"),
    "offset": lambda fit: fit.predict(offset=1.0),
    "itself": lambda fit: torchglm.compare(fit, fit),
}


@pytest.mark.parametrize("name", LATER)
def test_what_a_fit_refuses(data, name):
    with pytest.raises(OptionError):
        LATER[name](multinomial("choice ~ x + g", data))


def test_likelihood_ratio(data):
    from scipy import stats

    small, large = multinomial("choice ~ x", data), multinomial("choice ~ x + z", data)
    frame = torchglm.compare(small, large, names=["without", "with"]).frame
    statistic = 2 * (large.llf - small.llf)
    assert frame.loc["with", ["df", "statistic"]].tolist() == pytest.approx([2, statistic])
    assert frame.loc["with", "p.value"] == pytest.approx(stats.chi2.sf(statistic, 2), rel=1e-10)
    with pytest.raises(OptionError, match="not nested"):
        torchglm.compare(small, multinomial("choice ~ z", data))
    with pytest.raises(OptionError, match="other rows"):
        torchglm.compare(small, multinomial("choice ~ x + z", data.iloc[:200]))


def test_a_sampling_weight_is_a_sandwich(data):
    fit = multinomial("choice ~ x + z", data, prob_weights="w")
    n = len(data)
    plain = multinomial("choice ~ x + z", data, weights="w").with_covariance("HC0")
    same(fit.cov_params(), plain.cov_params() * n / (n - 1), 1e-10)
    assert fit.covariance_note == "sampling-weight sandwich, n / (n - 1), bread of the observed information"


def test_covariances_in_time_are_those_of_the_scores(data):
    fit = multinomial("choice ~ x + z", data, weights="w")
    x = np.column_stack([np.ones(len(data)), data["x"], data["z"]])
    off = (pd.get_dummies(data["choice"]).to_numpy(float) - fit.predict().to_numpy())[:, 1:]
    scores = np.hstack([x * off[:, [k]] for k in range(2)]) * data[["w"]].to_numpy()
    meat = scores.T @ scores
    for lag in (1, 2):
        cross = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / 3) * (cross + cross.T)
    bread = fit.cov_params().to_numpy()
    n, p = scores.shape
    found = fit.with_covariance("HAC", lag=2)
    expected = bread @ meat @ bread * (n / (n - p) if "n - rank" in found.covariance_note else 1.0)
    same(found.cov_params(), expected, 1e-8)


def test_any_table_and_any_labels(data):
    import polars

    fit = ordinal("rating ~ x + g", data)
    coded = ordinal("k ~ x + g", data.assign(k=data["rating"].cat.codes))
    same(coded.params, fit.params)
    assert list(coded.params.index[-3:]) == ["0|1", "1|2", "2|3"]
    declared = ordinal("C(rating.astype(str), levels=['l', 'm', 'n', 'h']) ~ x + g", data)
    same(declared.params, fit.params)
    assert declared.accuracy(data) == fit.accuracy()
    rows = polars.DataFrame(data[["x", "g"]].head(5))
    same(fit.predict(rows), fit.predict().iloc[:5])
    one = fit.predict({"x": [0.5], "g": ["b"]}, "class")
    assert one.tolist() == [fit.predict({"x": [0.5], "g": ["b"]}).iloc[0].idxmax()]


def test_a_start_is_the_users(data):
    fit = ordinal("rating ~ x", data)
    again = ordinal("rating ~ x", data, start=fit.params)
    assert again.n_steps <= 1
    same(again.params, fit.params)
    with pytest.raises(DomainError, match="not finite at start="):
        ordinal("rating ~ x", data, start=[1.0, 4.0, 3.0, 2.0])  # cuts that cross


def test_tests_of_proportionality_are_of_ordinal_fits(data):
    with pytest.raises(OptionError, match="ordinal models"):
        torchglm.proportionality_test(multinomial("choice ~ x", data))
    with pytest.raises(OptionError, match="one cut"):
        torchglm.proportionality_test(ordinal("yes ~ x", data))
    with pytest.raises(OptionError, match="already"):
        torchglm.scale_test(ordinal("rating ~ x", data, scale="~ x"))


def test_tests_of_proportionality_keep_the_call(data):
    some = {"weights": "w", "offset": "o", "subset": "x > -1"}
    fit = ordinal("rating ~ x * g", data, "probit", scale="~ z", **some)
    frame = torchglm.proportionality_test(fit).frame
    assert list(frame.index) == ["<none>", "x", "g", "x:g", "all terms"]
    larger = ordinal("rating ~ x * g", data, "probit", nominal="~ g", scale="~ z", **some)
    assert frame.loc["g", "logLik"] == pytest.approx(larger.llf, rel=1e-9)
    assert frame.loc["g", "df"] == 4.0
    moved = torchglm.scale_test(fit).frame
    larger = ordinal("rating ~ x * g", data, "probit", scale="~ z + x", **some)
    assert moved.loc["x", "logLik"] == pytest.approx(larger.llf, rel=1e-9)


def test_separated_tests_count_every_coefficient(data):
    never = data[(data["rating"] != "l") | (data["g"] != "c")]
    table = torchglm.proportionality_test(ordinal("rating ~ x + g", never))
    assert table.frame.loc["g", "df"] == 4.0
    assert "g: some coefficients are infinite" in str(table)
