"""Effects: exact mathematics, autograd, rows written out, and other ways to the same number."""

from __future__ import annotations

import formulaic
import numpy as np
import pandas as pd
import pytest
import torch

import torchglm
from torchglm import glm
from torchglm.effects import comparisons, emmeans, predictions, slopes

PAIRS = [
    ("gaussian", "identity", "y"),
    ("gaussian", "log", "positive"),
    ("poisson", "log", "count"),
    ("poisson", "sqrt", "count"),
    ("binomial", "logit", "yes"),
    ("binomial", "probit", "yes"),
    ("binomial", "cloglog", "yes"),
    ("binomial", "loglog", "yes"),
    ("binomial", "cauchit", "yes"),
    ("gamma", "log", "positive"),
    ("gamma", "inverse", "positive"),
    ("inverse_gaussian", "log", "positive"),
    ("inverse_gaussian", "inverse_squared", "positive"),
    ("quasipoisson", "log", "count"),
]
NUMBERS = ["estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high"]


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 240
    x, z = rng.normal(size=n), rng.uniform(0.5, 4.0, n)
    g, h = rng.choice(["a", "b", "c"], n), rng.choice(["u", "v"], n)
    eta = 0.3 * x + 0.4 * np.log(z) + 0.2 * (g == "b") - 0.1 * x * (g == "c")
    return pd.DataFrame(
        {
            "x": x,
            "z": z,
            "g": g,
            "h": h,
            "y": 2.0 + eta + rng.normal(size=n),
            "count": rng.poisson(np.exp(0.5 + eta)),
            "yes": rng.binomial(1, 1 / (1 + np.exp(-eta))),
            "positive": rng.gamma(20.0, np.exp(0.2 * eta) / 20.0),
            "times": rng.integers(0, 4, n),
            "chance": rng.uniform(0.2, 1.0, n),
            "hours": rng.uniform(1.0, 3.0, n),
            "old": rng.random(n) < 0.4,
        },
        index=pd.Index([f"r{k}" for k in range(n)]),
    )


def assert_same(ours: pd.DataFrame, theirs: pd.DataFrame, rtol: float = 1e-8) -> None:
    columns = [name for name in NUMBERS if name in ours and name in theirs]
    assert "std.error" in columns
    np.testing.assert_allclose(ours[columns], theirs[columns], rtol=rtol, atol=1e-10)


@pytest.mark.parametrize("family, link, response", PAIRS)
def test_slopes_are_those_of_autograd(data, family, link, response):
    fit = glm(f"{response} ~ x * g + log(z)", data, family, link)
    matrix = formulaic.model_matrix("1 + x * g + log(z)", data)[list(fit.params.index)]
    X = torch.tensor(matrix.to_numpy(np.float64))
    theta, covariance = torch.tensor(fit.params.to_numpy()), torch.tensor(fit.cov_params().to_numpy())
    names = list(matrix.columns)
    in_x, in_z = torch.zeros_like(X), torch.zeros_like(X)
    in_x[:, names.index("x")] = 1.0
    for level in "bc":
        in_x[:, names.index(f"x:g[T.{level}]")] = torch.tensor((data["g"] == level).to_numpy(np.float64))
    in_z[:, names.index("log(z)")] = torch.tensor(1.0 / data["z"].to_numpy())
    for variable, change in (("x", in_x), ("z", in_z)):

        def average(theta: torch.Tensor, change: torch.Tensor = change) -> torch.Tensor:
            step = torch.zeros(len(X), dtype=torch.float64, requires_grad=True)
            mean = fit.family.link.inverse(X @ theta + step * (change @ theta))
            return torch.autograd.grad(mean.sum(), step, create_graph=True)[0].mean()

        gradient = torch.autograd.functional.jacobian(average, theta)
        ours = slopes(fit, variable).iloc[0]
        assert ours["estimate"] == pytest.approx(float(average(theta).detach()), rel=1e-9)
        assert ours["std.error"] == pytest.approx(float((gradient @ covariance @ gradient).sqrt()), rel=1e-9)


@pytest.mark.parametrize("covariance", ["model", "HC0", "HC1"])
def test_the_slope_of_a_straight_line_is_its_coefficient(data, covariance):
    fit = glm("y ~ x + z + g", data, covariance=covariance)
    table, tests = slopes(fit), fit.t_test("x, z")
    assert_same(table, tests, 1e-10)
    assert list(table["term"]) == ["x", "z"]
    assert_same(comparisons(fit, "g"), fit.t_test("g[T.b], g[T.c]"), 1e-10)


def test_ratios_under_a_log_link_are_exponentiated_coefficients(data):
    fit = glm("count ~ x + g", data, "poisson")
    table = comparisons(fit, {"x": 1, "g": None}, kind="ratio")
    names = ["x", "g[T.b]", "g[T.c]"]
    np.testing.assert_allclose(table["estimate"], np.exp(fit.params[names]), rtol=1e-10)
    np.testing.assert_allclose(table["std.error"], np.exp(fit.params[names]) * fit.bse[names], rtol=1e-10)
    np.testing.assert_allclose(table["statistic"], (table["estimate"] - 1.0) / table["std.error"], rtol=1e-12)
    lift = comparisons(fit, {"x": 1, "g": None}, kind="lift")
    np.testing.assert_allclose(lift["estimate"], table["estimate"] - 1.0, rtol=1e-10)
    own = comparisons(fit, {"x": 1, "g": None}, kind=lambda high, low: high / low - 1.0)
    assert_same(own, lift)


def test_comparisons_of_levels(data):
    fit = glm("yes ~ x * g + h + old", data, "binomial", "probit")
    pairs = comparisons(fit, {"g": "pairwise"}).set_index("contrast")
    assert list(pairs.index) == ["b - a", "c - a", "c - b"]
    assert pairs.loc["c - b", "estimate"] == pytest.approx(
        pairs.loc["c - a", "estimate"] - pairs.loc["b - a", "estimate"]
    )
    assert_same(comparisons(fit, {"g": ("b", "c")}), pairs.loc[["c - b"]])
    assert_same(comparisons(fit, {"g": "sequential"}), pairs.loc[["b - a", "c - b"]])
    assert_same(comparisons(fit, "g"), pairs.loc[["b - a", "c - a"]])
    assert list(comparisons(fit, "old")["contrast"]) == ["True - False"]
    everything = comparisons(fit)
    assert list(everything["term"]) == ["x", "g", "g", "h", "old"]
    assert everything["contrast"][0] == "(x + 1) - x"
    high, low = (fit.predict(data.assign(g=level)).mean() for level in "cb")
    assert pairs.loc["c - b", "estimate"] == pytest.approx(high - low, rel=1e-12)


@pytest.mark.parametrize("scale", ["response", "link"])
def test_averages_are_those_of_the_rows(data, scale):
    fit = glm("count ~ x * g + log(z)", data, "poisson", prob_weights="chance")
    weights = data["chance"].to_numpy()
    one = {"scale": scale, "average": False}
    for rows, average in (
        (slopes(fit, "z", **one), slopes(fit, "z", scale=scale)),
        (comparisons(fit, {"x": 2}, **one), comparisons(fit, {"x": 2}, scale=scale)),
        (predictions(fit, **one), predictions(fit, average=True, scale=scale)),
    ):
        assert rows.index.equals(data.index)
        assert average["estimate"][0] == pytest.approx(np.average(rows["estimate"], weights=weights), rel=1e-10)
    rows, groups = slopes(fit, "x", **one), slopes(fit, "x", by=["g", "h"], scale=scale, weights=False)
    means = rows["estimate"].groupby([data["g"], data["h"]]).mean()
    np.testing.assert_allclose(groups["estimate"], means, rtol=1e-10)
    assert list(zip(groups["g"], groups["h"], strict=True)) == list(means.index)


def test_the_error_of_one_row_is_that_of_the_average_over_it(data):
    fit = glm("yes ~ x * g + log(z)", data, "binomial")
    one = data.iloc[[7]]
    assert_same(slopes(fit, data=one), slopes(fit, data=one, average=False))
    assert_same(slopes(fit, average=False).loc[["r7"]], slopes(fit, data=one))
    ratio = comparisons(fit, {"g": ("a", "b")}, kind="ratio", average=False)
    assert_same(ratio.loc[["r7"]], comparisons(fit, {"g": ("a", "b")}, kind="ratio", data=one))


def test_frequency_weights_are_rows_written_out(data):
    out = data.loc[data.index.repeat(data["times"])].reset_index(drop=True)
    formula = "count ~ x * g + poly(z, 2) + offset(log(hours))"
    short, long = glm(formula, data, "quasipoisson", freq_weights="times"), glm(formula, out, "quasipoisson")
    assert_same(slopes(short), slopes(long))
    assert_same(slopes(short, by="h"), slopes(long, by="h"))
    assert_same(
        comparisons(short, {"x": "sd", "z": "iqr", "g": None}), comparisons(long, {"x": "sd", "z": "iqr", "g": None})
    )
    assert_same(predictions(short, average=True), predictions(long, average=True))
    assert_same(predictions(short, {"x": [0, 1]}), predictions(long, {"x": [0, 1]}))
    assert_same(emmeans(short, "g").frame, emmeans(long, "g").frame)


def test_sampling_weights_of_trials_average_over_rows(data):
    out = data.loc[data.index.repeat(data["times"])].reset_index(drop=True)
    grouped = glm("cbind(count, hours) ~ x", data.assign(hours=data["times"]), "binomial", prob_weights="times")
    written = glm("cbind(count, hours) ~ x", out.assign(hours=out["times"]), "binomial")
    assert slopes(grouped)["estimate"].item() == pytest.approx(slopes(written)["estimate"].item(), rel=1e-9)


def test_precision_weights_and_rows_of_zero_weight(data):
    some = data.assign(w=np.where(data["x"] > 1.0, 0.0, 0.5))
    fit, kept = glm("y ~ log(z) + x", some, weights="w"), glm("y ~ log(z) + x", some[some["w"] > 0])
    assert slopes(fit)["estimate"].to_numpy() == pytest.approx(slopes(kept)["estimate"].to_numpy(), rel=1e-9)
    assert slopes(fit, average=False)["estimate"].notna().all()


def test_missing_rows_are_nan_and_not_averaged(data):
    gaps = data.copy()
    gaps.loc["r3", "x"] = np.nan
    gaps.loc["r9", "y"] = np.nan
    fit = glm("y ~ x * g + log(z)", gaps)
    rows = slopes(fit, "z", average=False)
    assert list(rows.index[rows["estimate"].isna()]) == ["r3", "r9"]
    assert slopes(fit, "z")["estimate"][0] == pytest.approx(rows["estimate"].mean(), rel=1e-12)
    new = slopes(fit, "z", data=gaps, average=False)
    assert list(new.index[new["estimate"].isna()]) == ["r3"]
    complete = gaps.drop(index="r3")
    assert_same(slopes(fit, data=gaps), slopes(fit, data=complete))
    by = slopes(fit, "x", data=complete.assign(k=complete["g"].where(complete["g"] != "b")), by="k")
    assert by["k"].isna().tolist() == [False, False, True]


def test_an_offset_is_in_every_effect(data):
    hours = np.log(data["hours"].to_numpy())
    inside = glm("count ~ x + g + offset(log(hours))", data, "poisson")
    array = glm("count ~ x + g", data, "poisson", offset=hours)
    exposed = glm("count ~ x + g", data, "poisson", exposure="hours")
    assert_same(slopes(array), slopes(inside))
    assert_same(slopes(exposed), slopes(inside))
    assert_same(slopes(array, data=data, offset=hours), slopes(inside))
    assert_same(predictions(array, {"g": None}, offset=0.5), predictions(inside, {"g": None, "hours": np.exp(0.5)}))
    assert_same(emmeans(array, "g").frame, emmeans(inside, "g").frame)
    assert_same(emmeans(exposed, "g", at={"hours": 2.0}).frame, emmeans(inside, "g", offset=np.log(2.0)).frame)
    # eta of a row changes by 1 / hours through the offset, so the slope of mu is mu / hours
    only = glm("count ~ x + g + hours + offset(log(hours))", data, "poisson")
    through = (only.fittedvalues * (1.0 / data["hours"] + only.params["hours"])).mean()
    assert slopes(only, "hours")["estimate"][0] == pytest.approx(through, rel=1e-9)


def test_predictions_on_rows_and_grids_are_those_of_predict(data):
    fit = glm("positive ~ x * g + log(z)", data, "gamma")
    frame = predictions(fit, {"x": [-1.0, 1.0], "g": None}, level=0.9)
    assert list(frame["g"]) == ["a", "b", "c"] * 2
    theirs = fit.predict(frame[["x", "g", "z"]], se=True, interval="confidence", level=0.9)
    ours = frame[["estimate", "std.error", "conf.low", "conf.high"]]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    assert (frame["conf.low"] < frame["conf.high"]).all()
    assert frame["z"].to_numpy() == pytest.approx(data["z"].mean())
    typical = predictions(fit, {"x": 0})
    assert list(typical["g"]) == [data["g"].mode()[0]]
    rows = predictions(fit)[["estimate", "std.error", "conf.low", "conf.high"]]
    np.testing.assert_allclose(rows, fit.predict(data, se=True, interval="confidence"), rtol=1e-10)
    counterfactual = predictions(fit, {"g": None}, average=True)
    means = [fit.predict(data.assign(g=level)).mean() for level in "abc"]
    np.testing.assert_allclose(counterfactual["estimate"], means, rtol=1e-12)
    differences = comparisons(fit, "g")["estimate"]
    np.testing.assert_allclose(np.diff(means[:2]), differences[:1], rtol=1e-9)


def test_a_loaded_fit_needs_data_and_then_says_the_same(data, tmp_path):
    fit = glm("count ~ bs(x, df=4) + g * z", data, "poisson")
    fit.save(tmp_path / "fit")
    loaded = torchglm.load(tmp_path / "fit")
    assert_same(slopes(loaded, data=data), slopes(fit))
    assert_same(comparisons(loaded, ["g", "z"], data=data), comparisons(fit, ["g", "z"]))
    assert_same(emmeans(loaded, "g", data=data).pairs(), emmeans(fit, "g").pairs())


def test_an_aliased_column_counts_as_dropped(data):
    both = data.assign(twice=2.0 * data["x"] + 1.0)
    fit, plain = glm("count ~ x + g + twice", both, "poisson"), glm("count ~ x + g", data, "poisson")
    assert np.isnan(fit.params["twice"])
    assert_same(slopes(fit, "x"), slopes(plain, "x"))
    assert slopes(fit, "twice")["estimate"][0] == 0.0
    # at the means the columns keep their relation, so the marginal means can be told
    assert_same(emmeans(fit, "g").frame, emmeans(plain, "g").frame)
    with pytest.raises(AssertionError, match="nan"):
        assert_same(emmeans(fit, "g", at={"x": 3.0}).frame, emmeans(plain, "g", at={"x": 3.0}).frame)


def test_marginal_means_are_averages_of_predictions(data):
    fit = glm("count ~ x * g + h + old", data, "poisson")
    means = emmeans(fit, "g | old", level=0.9)
    grid = predictions(fit, {"old": None, "g": None, "h": None, "x": data["x"].mean()}, scale="link")
    theirs = grid.groupby(["old", "g"])["estimate"].mean()
    np.testing.assert_allclose(means.frame["estimate"], theirs, rtol=1e-12)
    assert list(means.frame["old"]) == [False] * 3 + [True] * 3
    assert "levels of h" in repr(means)
    custom = means.contrasts({"b and c against a": [-1, 0.5, 0.5]})
    L = np.array([-1, 0.5, 0.5]) @ means.matrix[:3].numpy()
    assert custom["estimate"][0] == pytest.approx(L @ fit.params.to_numpy(), rel=1e-12)
    assert custom["std.error"][0] == pytest.approx(np.sqrt(L @ fit.cov_params().to_numpy() @ L), rel=1e-12)
    assert list(custom["contrast"]) == ["b and c against a"] * 2
    assert_same(means.contrasts([[-1, 1, 0], [-1, 0, 1]]), means.contrasts("reference"))


def test_other_tables_say_the_same(data):
    polars = pytest.importorskip("polars")
    fit = glm("count ~ x * g + log(z)", data, "poisson")
    table = polars.from_pandas(data)
    other = glm("count ~ x * g + log(z)", table, "poisson")
    assert_same(slopes(other, by="h"), slopes(fit, by="h"))
    assert_same(comparisons(fit, data=table), comparisons(fit))


def test_many_rows_and_joined_factors():
    rng = np.random.default_rng(3)
    n = 60_000
    many = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(list("abc"), n), "h": rng.choice(list("uv"), n)})
    many["y"] = rng.poisson(np.exp(0.2 * many["x"] + 0.3 * (many["g"] == "b") * many["x"]))
    fit = glm("y ~ x * g + h", many, "poisson")
    first = slopes(fit, "x", data=many.iloc[:40_000])["estimate"][0]
    second = slopes(fit, "x", data=many.iloc[40_000:])["estimate"][0]
    assert slopes(fit, "x")["estimate"][0] == pytest.approx((2.0 * first + second) / 3.0, rel=1e-10)
    high, low = (fit.predict(many.assign(g=level)).mean() for level in "ba")
    assert comparisons(fit, {"g": ("a", "b")})["estimate"][0] == pytest.approx(high - low, rel=1e-10)
