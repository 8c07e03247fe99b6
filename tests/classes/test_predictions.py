"""What models of classes predict, and how well they tell classes apart; saved and pickled fits."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

import torchglm
from torchglm import classification, glm
from torchglm.classes import multinomial, ordinal
from torchglm.counts import zero_inflated
from torchglm.errors import DataError, LevelError, OptionError, ResponseError

FITS = {
    "ordinal": lambda d: ordinal("rating ~ x + g", d, offset="o"),
    "nominal": lambda d: ordinal("rating ~ bs(x, df=4)", d, nominal="~ g", scale="~ z", weights="w"),
    "multinomial": lambda d: multinomial("choice ~ x + scale(z) + g", d, base="train", freq_weights="w"),
    "numbers": lambda d: multinomial("w ~ x + offset(o)", d, covariance="HC1"),
    "zeros": lambda d: zero_inflated("w2 ~ x | z", d.assign(w2=d["w"] * d["yes"])),
}
some = pytest.mark.parametrize("name", FITS)


@pytest.fixture(scope="module")
def fits(data):
    return {name: make(data) for name, make in FITS.items()}


@some
def test_fitted_rows_are_predictions_for_their_data(fits, data, name):
    fit = fits[name]
    for kind in fit.kinds:
        own, new = fit.predict(kind=kind), fit.predict(data, kind)
        assert own.index.equals(data.index)
        (pd.testing.assert_frame_equal if own.ndim == 2 else pd.testing.assert_series_equal)(own, new)
    pd.testing.assert_frame_equal(fit.predict(data.iloc[:7]), fit.predict(data).iloc[:7]) if fit.classes else None


@some
def test_standard_errors_are_those_of_the_delta_method(fits, data, name):
    fit, rows = fits[name], data.iloc[[3, 50]]
    covariance = fit.cov_params().to_numpy()
    for kind in set(fit.kinds) - {"class"}:
        found = fit.predict(rows, kind, se=True)
        errors = found["se"].to_numpy().ravel()
        gradient = []
        for j in range(len(covariance)):  # central differences in each coefficient
            h = 1e-5 * max(fit.bse.iloc[j], 1e-3)
            ends = [shifted(fit, j, sign * h).predict(rows, kind).to_numpy().ravel() for sign in (1, -1)]
            gradient.append((ends[0] - ends[1]) / (2 * h))
        expected = np.sqrt(np.einsum("ji,jk,ki->i", gradient, covariance, gradient))
        np.testing.assert_allclose(errors, expected, rtol=1e-5, atol=1e-8)


def shifted(fit, place: int, by: float):
    from dataclasses import replace

    from torchglm.saving import stored

    record = stored(fit.record)
    theta = record.numbers.theta.clone()
    theta[place] += by
    return type(fit)(replace(record, numbers=replace(record.numbers, theta=theta)))


def test_names_and_sums(fits, data):
    fit = fits["ordinal"]
    chances, cumulative = fit.predict(data), fit.predict(data, "cumulative")
    assert list(chances) == list("lmnh")
    assert list(cumulative) == ["l|m", "m|n", "n|h"]
    np.testing.assert_allclose(chances.cumsum(axis=1).iloc[:, :3], cumulative, rtol=1e-12)
    assert list(fit.predict(data, "link")) == ["eta", "l|m", "m|n", "n|h"]
    eta = fit.predict(data, "eta")
    np.testing.assert_allclose(cumulative["l|m"], 1 / (1 + np.exp(eta - fit.params["l|m"])), rtol=1e-12)
    most = fit.predict(data, "class")
    assert most.cat.ordered
    assert (most == chances.idxmax(axis=1)).all()
    nominal = fits["multinomial"]
    assert list(nominal.predict(data, "link")) == ["bus", "car"]
    assert list(nominal.predict(data)) == ["train", "bus", "car"]


def test_an_offset_enters_eta(fits, data):
    fit = fits["ordinal"]
    moved = fit.predict(data.assign(o=data["o"] + 1.0), "eta")
    np.testing.assert_allclose(moved, fit.predict(data, "eta") + 1.0, rtol=1e-12)
    shifted = fits["numbers"].predict(data.assign(o=data["o"] + 1.0), "link")
    np.testing.assert_allclose(shifted, fits["numbers"].predict(data, "link") + 1.0, rtol=1e-12)


def test_rows_without_a_prediction(fits, data):
    fit, rows = fits["multinomial"], data.iloc[:4].assign(x=[1.0, np.nan, 2.0, 3.0])
    assert fit.predict(rows).isna().all(axis=1).tolist() == [False, True, False, False]
    assert fit.predict(rows, "class").isna().tolist() == [False, True, False, False]
    with pytest.raises(LevelError, match="'new'"):
        fit.predict(rows.assign(g="new"))
    assert fit.predict(rows.assign(g=["new", "a", "b", "c"]), new_levels="nan").isna().any(axis=1).sum() == 2
    nothing = fit.predict(rows.assign(x=np.nan), se=True)
    assert nothing.shape == (4, 6)
    assert nothing.isna().all(axis=None)


# how well classes are told apart


@pytest.mark.parametrize("name", ["ordinal", "multinomial", "numbers"])
def test_scores_are_those_of_sklearn(fits, data, name):
    fit = fits[name]
    weights = data["w"] if name == "multinomial" else None
    truth = data[fit.record.facts.response]
    chances, labels = fit.predict(), list(fit.classes)
    most = fit.predict(kind="class").astype(truth.dtype)
    assert fit.accuracy() == pytest.approx(metrics.accuracy_score(truth, most, sample_weight=weights), rel=1e-12)
    np.testing.assert_array_equal(
        fit.confusion(), metrics.confusion_matrix(truth, most, labels=labels, sample_weight=weights)
    )
    ordered = sorted(labels)
    text = truth.astype(str)
    loss = metrics.log_loss(text, chances[ordered], labels=list(map(str, ordered)), sample_weight=weights)
    assert fit.log_loss() == pytest.approx(loss, rel=1e-12)
    for average in ("macro", "weighted", None):
        area = metrics.roc_auc_score(
            text, chances[ordered], multi_class="ovr", labels=list(map(str, ordered)), average=average,
            sample_weight=weights,
        )  # fmt: skip
        ours = fit.auc(average=average)
        np.testing.assert_allclose(ours[ordered] if average is None else ours, area, rtol=1e-12)
    if weights is None:
        assert fit.accuracy(data) == fit.accuracy()
        assert fit.auc(data) == fit.auc()
    assert fit.log_loss(data, weights="w") == pytest.approx(fit.log_loss(weights="w"), rel=1e-12)


def test_scores_of_a_binomial_fit(data):
    fit = glm("yes ~ x + z", data, "binomial", weights="w")
    p = fit.fittedvalues
    given = {"sample_weight": data["w"]}
    assert classification.accuracy(fit) == pytest.approx(metrics.accuracy_score(data["yes"], p > 0.5, **given))
    assert classification.auc(fit) == pytest.approx(metrics.roc_auc_score(data["yes"], p, **given), rel=1e-12)
    assert classification.log_loss(fit) == pytest.approx(metrics.log_loss(data["yes"], p, **given), rel=1e-12)
    table = classification.confusion(fit, data, threshold=0.3)
    np.testing.assert_array_equal(table, metrics.confusion_matrix(data["yes"], p > 0.3))
    text = data.assign(answer=np.where(data["yes"] == 1, "yes", "no"))
    named = glm("answer ~ x + z", text, "binomial", weights="w")
    assert list(classification.confusion(named)) == ["no", "yes"]
    assert classification.auc(named, text.iloc[:50], weights="w") == pytest.approx(
        classification.auc(fit, data.iloc[:50], weights="w")
    )


def test_trials_are_rows(data):
    counts = (
        data.groupby("g").agg(a=("yes", "sum"), n=("yes", "size"), x=("x", "mean")).assign(b=lambda t: t["n"] - t["a"])
    )
    rows = pd.concat([counts.loc[counts.index.repeat(counts[c])].assign(yes=int(c == "a")) for c in "ab"])
    grouped, single = glm("cbind(a, b) ~ x", counts, "binomial"), glm("yes ~ x", rows, "binomial")
    for score in (classification.accuracy, classification.auc, classification.log_loss):
        assert score(grouped) == pytest.approx(score(single), rel=1e-9)
        assert score(grouped, counts) == pytest.approx(score(single), rel=1e-9)


def test_what_has_no_score(fits, data):
    for fit in (fits["zeros"], glm("w ~ x", data, "poisson")):
        with pytest.raises(OptionError, match="classes"):
            classification.accuracy(fit)
    with pytest.raises(ResponseError, match="no class of the fit"):
        fits["multinomial"].accuracy(data.assign(choice="boat"))
    with pytest.raises(DataError, match="no row here"):
        fits["multinomial"].auc(data[data["choice"] != "bus"])
    with pytest.raises(OptionError, match="two classes"):
        classification.accuracy(fits["multinomial"], threshold=0.3)
    for threshold in (-0.1, 1.5, float("nan"), "0.5"):
        with pytest.raises(OptionError, match="threshold= is a probability"):
            classification.accuracy(glm("yes ~ x", data, "binomial"), threshold=threshold)


# away from the data


@some
@pytest.mark.parametrize("how", ["saved", "pickled"])
def test_a_fit_comes_back(fits, data, name, how, tmp_path):
    fit = fits[name]
    if how == "saved":
        fit.save(tmp_path / "one.fit")
        again = torchglm.load(tmp_path / "one.fit")
    else:
        again = pickle.loads(pickle.dumps(fit))
    assert type(again) is type(fit)
    pd.testing.assert_series_equal(again.params, fit.params)
    pd.testing.assert_frame_equal(again.cov_params(), fit.cov_params())
    assert str(again.summary()) == str(fit.summary())
    pd.testing.assert_frame_equal(again.glance(), fit.glance())
    pd.testing.assert_frame_equal(again.tidy(conf_int=True), fit.tidy(conf_int=True))
    assert (again.classes, again.kinds, again.formula) == (fit.classes, fit.kinds, fit.formula)
    for kind in fit.kinds:
        own, new = fit.predict(data, kind), again.predict(data, kind)
        (pd.testing.assert_frame_equal if own.ndim == 2 else pd.testing.assert_series_equal)(new, own)
    if fit.classes:
        assert again.accuracy(data) == fit.accuracy(data)
        with pytest.raises(OptionError, match="Give data="):
            again.accuracy()
    with pytest.raises(OptionError, match="without its data"):
        again.predict()
    with pytest.raises(OptionError, match="without its data"):
        again.with_covariance("HC0")


def test_dates_and_bools_are_classes(data, tmp_path):
    days = data.assign(day=pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"] * 100), late=data["yes"] == 1)
    for fit in (multinomial("day ~ x", days), multinomial("late ~ x", days)):
        fit.save(tmp_path / "one.fit")
        assert torchglm.load(tmp_path / "one.fit").classes == fit.classes


def test_summary_says_what_it_is(fits):
    text = str(fits["multinomial"].summary(exponentiate=True))
    assert "Multinomial regression" in text
    assert "model-based, observed information" in text
    assert "odds ratios against the base" in text
    assert "nan" not in text.lower()
    assert "HC1 sandwich" in str(fits["numbers"].summary())
    side = str(torchglm.compare({"one": fits["ordinal"], "two": fits["multinomial"]}))
    assert "bus:x" in side
    assert "cumulative" in side


def test_rows_missing_in_any_part_are_left_out_of_all(data):
    holes = data.assign(z=data["z"].mask(data["z"] > 1), x=data["x"].mask(data["x"] > 1.5))
    fit = ordinal("rating ~ x", holes, nominal="~ z", scale="~ g", freq_weights="w")
    kept = (data["z"] <= 1) & (data["x"] <= 1.5)
    reference = ordinal("rating ~ x", data[kept], nominal="~ z", scale="~ g", freq_weights="w")
    pd.testing.assert_series_equal(fit.params, reference.params)
    assert (fit.nobs, fit.rows_dropped) == (data.loc[kept, "w"].sum(), (~kept).sum())
    assert fit.predict().notna().all(axis=1).tolist() == kept.tolist()
    assert fit.accuracy() == reference.accuracy()


def test_arrays_and_functions_of_the_caller(data):
    def squared(values):
        return values**2

    array = data["o"].to_numpy()
    fit = ordinal("rating ~ x", data, nominal="~ squared(z)", offset=array)
    named = ordinal("rating ~ x", data.assign(s=data["z"] ** 2), nominal="~ s", offset="o")
    np.testing.assert_allclose(fit.params, named.params, rtol=1e-10)
    with pytest.raises(DataError, match="Give offset="):
        fit.predict(data)
    pd.testing.assert_frame_equal(fit.predict(data, offset=array), fit.predict())
    assert torchglm.proportionality_test(fit).frame.loc["x", "df"] == 2.0
