"""Laws of robust covariances, and the formulas of the small-sample corrections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from torchglm import covariances, glm, load
from torchglm.design.design import Design

FAMILIES = {"gaussian": "y", "poisson": "count", "binomial": "yes", "gamma": "positive"}
LINKS = {"gaussian": "identity", "poisson": "log", "binomial": "logit", "gamma": "log"}
RIGHT = "a * g + b"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    n = 180
    data = pd.DataFrame({"a": rng.normal(size=n), "b": rng.uniform(size=n), "g": rng.choice(list("pqr"), n)})
    data["firm"] = rng.choice([f"f{k}" for k in range(17)], n)
    data["year"] = rng.integers(2001, 2010, n)
    shock = data["firm"].map({f"f{k}": v for k, v in enumerate(rng.normal(scale=0.4, size=17))})
    shock += data["year"].map({2001 + k: v for k, v in enumerate(rng.normal(scale=0.4, size=9))})
    eta = 0.5 + 0.3 * data["a"] - 0.4 * data["b"] + 0.2 * (data["g"] == "q") + shock
    data["y"] = eta + rng.normal(size=n)
    data["count"] = rng.poisson(np.exp(eta))
    data["yes"] = (rng.random(n) < 1.0 / (1.0 + np.exp(0.3 - eta))).astype(int)
    data["positive"] = rng.gamma(4.0, np.exp(eta) / 4.0)
    data["times"] = rng.integers(1, 4, n)
    data["w"] = rng.uniform(0.5, 3.0, n)
    data["at"] = rng.permutation(n)
    data["row"] = np.arange(n)
    return data


def fit_of(data, family, right=RIGHT, **beside):
    return glm(f"{FAMILIES[family]} ~ {right}", data, family, LINKS[family], tolerance=1e-12, **beside)


def close(ours, wanted, rtol=1e-9) -> None:
    ours, wanted = np.asarray(ours), np.asarray(wanted)
    size = np.sqrt(np.abs(wanted.diagonal()))
    np.testing.assert_allclose(ours / np.outer(size, size), wanted / np.outer(size, size), rtol=0, atol=rtol)


KINDS = [
    ("HC0", {}),
    ("HC1", {}),
    ("HC2", {}),
    ("HC3", {}),
    ("cluster", {"cluster": "firm"}),
    ("cluster", {"cluster": ["firm", "year"]}),
    ("CR0", {"cluster": "firm"}),
    ("CR1S", {"cluster": "firm"}),
    ("CR2", {"cluster": "firm"}),
    ("CR3", {"cluster": "firm"}),
    ("driscoll_kraay", {"time": "year", "lag": 2}),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_frequencies_are_repeated_rows(data, family):
    repeated = data.loc[data.index.repeat(data["times"])].reset_index(drop=True)
    ours, wanted = fit_of(data, family, freq_weights="times"), fit_of(repeated, family)
    for kind, arguments in KINDS:
        under = ours.with_covariance(kind, **arguments), wanted.with_covariance(kind, **arguments)
        close(*(fit.cov_params() for fit in under))
        assert under[0].record.facts.reference_df == under[1].record.facts.reference_df
        assert under[0].covariance_note == under[1].covariance_note
    dfs = [
        fit.with_covariance("CR2", cluster="firm", df="satterthwaite").record.facts.coefficient_dfs
        for fit in (ours, wanted)
    ]
    np.testing.assert_allclose(dfs[0], dfs[1], rtol=1e-8)


@pytest.mark.parametrize("rows", [7, 64])
def test_blocks_are_the_whole(data, monkeypatch, rows):
    fits = {family: fit_of(data, family, weights="w") for family in ("gaussian", "poisson")}
    wholes = {
        (family, k): fit.with_covariance(kind, **arguments).cov_params()
        for family, fit in fits.items()
        for k, (kind, arguments) in enumerate([*KINDS, ("HAC", {"lag": 9, "order": "at"})])
    }
    monkeypatch.setattr(Design, "block_rows", property(lambda self: rows))
    for (family, k), whole in wholes.items():
        kind, arguments = [*KINDS, ("HAC", {"lag": 9, "order": "at"})][k]
        close(fits[family].with_covariance(kind, **arguments).cov_params(), whole, 1e-11)


@pytest.mark.parametrize("family", FAMILIES)
def test_clusters_of_one_row(data, family):
    """CR0 is HC0, CR2 and CR3 are HC2 and HC3."""
    fit = fit_of(data, family, weights="w")
    for clustered, rows in (("CR0", "HC0"), ("CR2", "HC2"), ("CR3", "HC3"), ("CR1S", "HC1")):
        ours = fit.with_covariance(clustered, cluster="row").cov_params()
        factor = len(data) / (len(data) - 1) * (len(data) - 1) / fit.df_resid if clustered == "CR1S" else 1.0
        wanted = fit.with_covariance("HC0" if clustered == "CR1S" else rows).cov_params() * factor
        close(ours, wanted)


def test_cr3_is_the_jackknife_of_least_squares(data):
    fit = fit_of(data, "gaussian")
    left = [fit_of(data[data["firm"] != firm], "gaussian").params for firm in data["firm"].unique()]
    gaps = np.array([(params - fit.params).to_numpy() for params in left])
    close(fit.with_covariance("CR3", cluster="firm").cov_params(), gaps.T @ gaps)


def test_hc3_is_the_jackknife_of_least_squares(data):
    fit = fit_of(data, "gaussian", "a + b")
    gaps = np.array([(fit_of(data.drop(index=k), "gaussian", "a + b").params - fit.params) for k in range(0, 180)])
    close(fit.with_covariance("HC3").cov_params(), gaps.T @ gaps)


def test_cr2_is_unbiased_under_the_model(data):
    """Least squares: the expectation over errors of variance phi is phi (X'X)^-1, exactly; it is linear in e e'."""
    data = data.head(50)
    x = np.column_stack([np.ones(50), data["a"], data["b"]])
    bread = np.linalg.inv(x.T @ x)
    rest = np.eye(50) - x @ bread @ x.T
    expected = np.zeros((3, 3))
    for root in np.linalg.svd(rest)[0][:, :47].T:  # errors along the residual space, one direction at a time
        fit = glm("e ~ a + b", data.assign(e=root), tolerance=1e-12)
        expected += fit.with_covariance("CR2", cluster="firm").cov_params().to_numpy()
    # every direction has the residual of itself; together they are an error of variance one
    close(expected, bread, 1e-8)


def test_score_sums_of_stretches_add_up(data):
    from torchglm.inference.covariance.groups import grouped, read_values
    from torchglm.inference.covariance.scores import group_scores

    estimate = fit_of(data, "poisson", weights="w").estimate
    firms = grouped(estimate, "cluster", *read_values(estimate, "cluster", "firm"))
    objective, theta = estimate.objective, 0.8 * estimate.solution.theta
    (whole,) = group_scores(objective, theta, [firms])
    parts = [
        group_scores(objective.on(objective.design.stretch(a, b)), theta, [replace(firms, codes=firms.codes[a:b])])[0]
        for a, b in ((0, 50), (50, 180))
    ]
    np.testing.assert_allclose(parts[0] + parts[1], whole, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(whole.sum(1), objective.slope(theta).gradient, rtol=1e-11, atol=1e-11)


def test_any_table(data):
    wanted = fit_of(data, "poisson")
    when = pd.Timestamp("2001-01-01") + pd.to_timedelta(data["at"], unit="D")
    dated = data.assign(when=when, firm=data["firm"].astype("category"))
    for table in (dated, pl.from_pandas(data.assign(when=when)), {name: dated[name].to_numpy() for name in dated}):
        fit = fit_of(table, "poisson")
        for kind, arguments in KINDS:
            close(
                fit.with_covariance(kind, **arguments).cov_params(),
                wanted.with_covariance(kind, **arguments).cov_params(),
            )
        close(
            fit.with_covariance("HAC", lag=2, order="when").cov_params(),
            wanted.with_covariance("HAC", lag=2, order="at").cov_params(),
        )


def test_no_lag_is_hc0(data):
    fit = fit_of(data, "poisson")
    close(fit.with_covariance("HAC", lag=0).cov_params(), fit.with_covariance("HC0").cov_params())


def test_the_order_of_rows_is_that_of_time(data):
    shuffled = data.sample(frac=1.0, random_state=1)
    wanted = fit_of(data.sort_values("at"), "poisson").with_covariance("HAC", lag=6).cov_params()
    close(fit_of(shuffled, "poisson").with_covariance("HAC", lag=6, order="at").cov_params(), wanted)


def test_the_default_lags(data):
    fit = fit_of(data, "poisson")
    assert "lag 4," in fit.with_covariance("HAC").covariance_note  # 4 (180 / 100)^(2/9) = 4.56
    assert "lag 1," in fit.with_covariance("driscoll_kraay", time="year").covariance_note  # 9^(1/4) = 1.73


def test_two_ways_that_are_one(data):
    fit = fit_of(data.assign(firm2=data["firm"]), "poisson")
    close(
        fit.with_covariance("cluster", cluster=["firm", "firm2"]).cov_params(),
        fit.with_covariance("cluster", cluster="firm").cov_params(),
    )


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_small_sample_corrections(data, family):
    fit = fit_of(data, family)
    raw, n, k = fit.with_covariance("CR0", cluster="firm").cov_params(), 180.0, float(fit.record.facts.rank)
    per_parameter = (n - 1) / (n - k)
    factors = {
        "r": 17 / 16,
        "stata": 17 / 16 * (per_parameter if family == "gaussian" else 1.0),
        "fixest": 17 / 16 * per_parameter,
    }
    for ssc, factor in factors.items():
        close(fit.with_covariance("cluster", cluster="firm", ssc=ssc).cov_params(), factor * raw)
    hc0 = fit.with_covariance("HC0").cov_params()
    rows = {"r": n / (n - k), "stata": n / (n - k) if family == "gaussian" else n / (n - 1), "fixest": n / (n - k)}
    for ssc, factor in rows.items():
        close(fit.with_covariance("HC1", ssc=ssc).cov_params(), factor * hc0)


def test_fixest_takes_the_fewest_clusters_for_every_part(data):
    fit = fit_of(data, "gaussian")
    two = ["firm", "year"]
    raw = fit.with_covariance("CR0", cluster=two).cov_params()
    ours = fit.with_covariance("cluster", cluster=two, ssc="fixest")
    close(ours.cov_params(), raw * 9 / 8 * 179 / fit.df_resid)
    assert ours.record.facts.reference_df == 8


REFERENCES = [
    ("gaussian", "HC3", {}, "resid"),
    ("poisson", "HC3", {}, None),
    ("gaussian", "cluster", {"cluster": "firm"}, "resid"),
    ("poisson", "cluster", {"cluster": "firm"}, None),
    ("poisson", "cluster", {"cluster": "firm", "df": "t"}, 16.0),
    ("poisson", "cluster", {"cluster": ["firm", "year"], "df": "t"}, 8.0),
    ("gaussian", "cluster", {"cluster": "firm", "ssc": "stata"}, 16.0),
    ("poisson", "cluster", {"cluster": "firm", "ssc": "stata"}, None),
    ("gaussian", "cluster", {"cluster": "firm", "ssc": "fixest"}, 16.0),
    ("gaussian", "cluster", {"cluster": "firm", "df": "z"}, None),
    ("poisson", "CR2", {"cluster": "firm"}, 16.0),
    ("poisson", "driscoll_kraay", {"time": "year", "df": "t"}, 8.0),
    ("poisson", "HC0", {"df": 7}, 7.0),
    ("poisson", None, {"df": "t"}, "resid"),
    ("poisson", None, {"cluster": "firm"}, None),
]


@pytest.mark.parametrize("family, kind, arguments, df", REFERENCES)
def test_what_tests_refer_to(data, family, kind, arguments, df):
    fit = fit_of(data, family).with_covariance(kind, **arguments)
    df = fit.df_resid if df == "resid" else df
    t = stats.norm() if df is None else stats.t(df)
    assert fit.use_t == (df is not None)
    np.testing.assert_allclose(fit.pvalues, 2.0 * t.sf(fit.tvalues.abs()), rtol=1e-9)
    np.testing.assert_allclose(fit.conf_int()[1], fit.params + t.ppf(0.975) * fit.bse, rtol=1e-9)
    wald = fit.wald_test("a = 0, b = 0")
    assert wald.df_denominator == df
    wanted = stats.chi2.sf(wald.statistic, 2) if df is None else stats.f.sf(wald.statistic, 2, df)
    assert wald.pvalue == pytest.approx(wanted, rel=1e-9)
    assert fit.t_test("a")["p.value"].iloc[0] == pytest.approx(fit.pvalues["a"], rel=1e-9)
    rows = fit.predict(data.head(3), se=True, interval="confidence", scale="link")
    np.testing.assert_allclose((rows["upper"] - rows["predicted"]) / rows["se"], t.ppf(0.975), rtol=1e-9)


def test_the_summary_says_which(data):
    fit = fit_of(data, "poisson")
    text = " ".join(str(fit.summary(covariance="cluster", cluster="firm", ssc="fixest", df="t")).split())
    assert "sandwich clustered by firm (17 clusters), G / (G - 1) (n - 1) / (n - rank), G the smallest" in text
    assert "bread of the expected information; tests refer to t(16)" in text
    assert "refer" not in fit.with_covariance("HC3").covariance_note


def test_a_summary_under_another_covariance_leaves_the_fit(data):
    fit = fit_of(data, "poisson")
    before = fit.bse.copy()
    other = fit.summary(covariance="CR2", cluster="firm").coefficients["std err"]
    np.testing.assert_allclose(other, fit.with_covariance("CR2", cluster="firm").bse)
    pd.testing.assert_series_equal(fit.bse, before)


def test_at_the_fit_as_after_it(data):
    after = fit_of(data, "poisson").with_covariance("cluster", cluster="firm", ssc="fixest")
    at = fit_of(data, "poisson", covariance=covariances.Cluster("firm", ssc="fixest"))
    close(at.cov_params(), after.cov_params())
    assert at.covariance_note == after.covariance_note
    alone = fit_of(data, "poisson", cluster="firm")
    assert "clustered by firm (17 clusters), G / (G - 1)" in alone.covariance_note
    close(alone.with_covariance("CR2").cov_params(), after.with_covariance("CR2", cluster="firm").cov_params())


@pytest.mark.parametrize("spelling", [lambda d: d["firm"], lambda d: d["firm"].to_numpy(), lambda d: "firm.str[1:]"])
def test_spellings_of_a_cluster(data, spelling):
    wanted = fit_of(data, "poisson").with_covariance("cluster", cluster="firm").cov_params()
    close(fit_of(data, "poisson", cluster=spelling(data)).cov_params(), wanted)
    close(fit_of(data, "poisson").with_covariance(cluster=spelling(data)).cov_params(), wanted)
    shuffled = data["firm"].sample(frac=1.0, random_state=2)
    close(fit_of(data, "poisson").with_covariance(cluster=shuffled).cov_params(), wanted)  # by its index


def test_rows_without_a_cluster_are_dropped_at_the_fit(data):
    holes = data.assign(firm=data["firm"].where(data["row"] % 11 != 0))
    holes.loc[holes["row"] % 13 == 0, "a"] = np.nan
    complete = holes.dropna(subset=["a", "firm"])
    ours, wanted = fit_of(holes, "poisson", cluster="firm"), fit_of(complete, "poisson", cluster="firm")
    assert ours.rows_dropped == len(data) - len(complete)
    close(ours.cov_params(), wanted.cov_params())
    both = fit_of(holes, "poisson", cluster=["firm", "year"])
    assert both.rows_dropped == ours.rows_dropped
    at = fit_of(holes, "poisson", covariance=covariances.CR2("firm"))
    assert at.rows_dropped == ours.rows_dropped


def test_zero_weights_are_no_rows(data):
    zero = data.assign(w=data["w"].where(data["row"] % 4 != 0, 0.0))
    used = zero[zero["w"] > 0]
    ours, wanted = fit_of(zero, "poisson", weights="w"), fit_of(used, "poisson", weights="w")
    for kind, arguments in [*KINDS, ("HAC", {"order": "at", "lag": 3})]:
        close(
            ours.with_covariance(kind, **arguments).cov_params(), wanted.with_covariance(kind, **arguments).cov_params()
        )


def test_aliased_columns_are_not_there(data):
    data = data.assign(ab=data["a"] + data["b"])
    ours, wanted = fit_of(data, "poisson", "a + b + ab + g"), fit_of(data, "poisson", "a + b + g")
    for kind, arguments in KINDS:
        found = ours.with_covariance(kind, **arguments).cov_params()
        assert found["ab"].isna().all()
        close(found.drop(index="ab", columns="ab"), wanted.with_covariance(kind, **arguments).cov_params())
    dfs = ours.with_covariance("CR3", cluster="firm", df="satterthwaite").pvalues
    np.testing.assert_allclose(
        dfs.drop("ab"), wanted.with_covariance("CR3", cluster="firm", df="satterthwaite").pvalues, rtol=1e-7
    )


def test_a_column_far_from_zero_costs_no_digits(data):
    near, far = fit_of(data, "poisson", "a + b"), fit_of(data.assign(a=data["a"] + 1e5), "poisson", "a + b")
    for kind, arguments in KINDS:
        ours, wanted = far.with_covariance(kind, **arguments).bse, near.with_covariance(kind, **arguments).bse
        np.testing.assert_allclose(ours[["a", "b"]], wanted[["a", "b"]], rtol=1e-8)


@pytest.mark.parametrize("kind, arguments, most", [(*each, 2) for each in KINDS] + [("HAC", {"lag": 3}, 2)])
def test_a_covariance_takes_two_passes_at_most(data, kind, arguments, most):
    fit = fit_of(data, "poisson").with_covariance(kind, **arguments)
    before = fit.estimate.objective.meter.passes
    assert fit.bse.notna().all()
    assert fit.cov_params().notna().all().all()
    assert 1 <= fit.estimate.objective.meter.passes - before <= most


def test_loaded_fits_keep_what_tests_refer_to(data, tmp_path):
    for k, arguments in enumerate(({}, {"df": "satterthwaite"}, {"df": "z"})):
        fit = fit_of(data, "poisson").with_covariance("CR2", cluster="firm", **arguments)
        fit.save(tmp_path / f"{k}.fit")
        again = load(tmp_path / f"{k}.fit")
        pd.testing.assert_series_equal(again.pvalues, fit.pvalues)
        assert str(again.summary()) == str(fit.summary())


def test_a_file_of_the_first_version(data, tmp_path):
    import json
    import zipfile

    for family in ("poisson", "gaussian"):
        fit = fit_of(data, family)
        fit.save(tmp_path / "new.fit")
        with zipfile.ZipFile(tmp_path / "new.fit") as new, zipfile.ZipFile(tmp_path / "old.fit", "w") as old:
            for name in new.namelist():
                content = new.read(name)
                if name == "fit.json":
                    facts = json.loads(content)
                    facts["torchglm"] = 1
                    del facts["facts"]["reference_df"], facts["facts"]["coefficient_dfs"]
                    content = json.dumps(facts).encode()
                old.writestr(name, content)
        pd.testing.assert_series_equal(load(tmp_path / "old.fit").pvalues, fit.pvalues)
