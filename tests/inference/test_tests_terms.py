"""Tests of terms and hypotheses against refits, matrices and mathematics."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from torchglm import add1, anova, compare, drop1, glm, likelihood_ratio, step


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    n = 240
    x, z, u = rng.normal(size=(3, n))
    g = rng.integers(0, 4, n)
    h = rng.integers(0, 2, n)
    eta = 0.3 + 0.3 * x - 0.2 * z * (h == 1) + 0.25 * (g == 2)
    return pd.DataFrame(
        {
            "y": rng.poisson(np.exp(eta)).astype(float),
            "r": eta + rng.normal(size=n),
            "b": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float),
            "x": x,
            "z": z,
            "u": u,
            "x2": x + z,
            "g": np.array(list("abcd"))[g],
            "h": np.array(["no", "yes"])[h],
            "w": rng.integers(0, 4, n).astype(float),
            "o": 0.2 * u,
        }
    )


def statistic(table) -> pd.Series:
    return table.frame["statistic"]


@pytest.mark.parametrize("kind", ["I", "II", "III"])
@pytest.mark.parametrize(
    "formula", ["r ~ x * h + z * C(g)", "r ~ x + z + x2 + C(g):h + C(g) + h", "r ~ 0 + C(g) + x:h"]
)
def test_wald_is_f_in_a_linear_model(data, kind, formula):
    # the deviance of a linear model is quadratic: every Wald test is its F test, aliased columns or not
    fit = glm(formula, data)
    by_deviance = anova(fit, type=kind, test="F").frame
    by_wald = anova(fit, type=kind, test="Wald").frame.loc[by_deviance.index.drop("<null>", errors="ignore")]
    by_deviance = by_deviance.drop(index="<null>", errors="ignore")
    np.testing.assert_array_equal(by_wald["df"], by_deviance["df"])
    np.testing.assert_allclose(by_wald["statistic"] / by_wald["df"], by_deviance["statistic"], rtol=1e-7, atol=1e-9)


def test_aliased_terms_are_tested_by_what_they_add(data):
    frame = anova(glm("r ~ x + z + x2 + u", data), type="II").frame
    assert frame["df"].to_dict() == {"x": 0.0, "z": 0.0, "x2": 0.0, "u": 1.0}
    assert frame["statistic"].isna().tolist() == [True, True, True, False]


@pytest.mark.parametrize("weights", ["weights", "freq_weights"])
def test_rows_of_the_table_are_refits(data, weights):
    fit = glm("y ~ x + C(g) + x:h", data, "poisson", offset="o", **{weights: "w"})
    smaller = glm("y ~ x + C(g)", data, "poisson", offset="o", **{weights: "w"})
    drop = smaller.deviance - fit.deviance
    assert drop1(fit).frame.loc["x:h", "deviance"] == pytest.approx(smaller.deviance)
    assert statistic(anova(fit))["x:h"] == pytest.approx(drop)
    assert statistic(compare(smaller, fit)).iloc[1] == pytest.approx(drop)
    assert drop1(fit).frame.loc["x:h", "aic"] == pytest.approx(smaller.aic)
    assert add1(smaller, "x:h").frame.loc["x:h", "aic"] == pytest.approx(fit.aic)
    assert fit.df_resid == anova(fit).frame["df.residual"].iloc[-1]


def test_a_frequency_is_so_many_rows(data):
    repeated = data.loc[data.index.repeat(data["w"].astype(int))].reset_index(drop=True)
    one = glm("r ~ x + C(g)", data, freq_weights="w")
    other = glm("r ~ x + C(g)", repeated)
    for test in ("F", "Chisq", "Rao"):
        for table in (anova, drop1):
            np.testing.assert_allclose(table(one, test=test).frame, table(other, test=test).frame, rtol=1e-9)
        a, b = (add1(fit, "z + h", test).frame for fit in (one, other))
        np.testing.assert_allclose(a, b, rtol=1e-9)
    for robust in (False, True):
        a, b = (fit.score_test("z + h", robust=robust) for fit in (one, other))
        assert a.statistic == pytest.approx(b.statistic, rel=1e-9)
    a, b = (anova(fit.with_covariance("HC0"), type=2).frame for fit in (one, other))
    np.testing.assert_allclose(a, b, rtol=1e-8)


def dense(fit) -> np.ndarray:
    design = fit.estimate.prepared.design
    return design.columns[0].to_dense(design.n).numpy()


@pytest.mark.parametrize("robust", [False, True])
def test_score_test_by_hand(data, robust):
    fit = glm("b ~ x + C(g)", data, "binomial", weights="w", offset="o")
    test = fit.score_test("z * h", robust=robust)
    X = dense(fit.update("+ z * h"))
    used = (data["w"] > 0).to_numpy()
    w, y, mu = data["w"][used].to_numpy(), data["b"][used].to_numpy(), fit.fittedvalues[used].to_numpy()
    scores = X * (w * (y - mu))[:, None]
    information = X.T @ (X * (w * mu * (1 - mu))[:, None])
    U = scores.sum(0)
    if robust:
        old = np.array([name in fit.params.index for name in fit.update("+ z * h").params.index])
        A = np.linalg.solve(information[np.ix_(old, old)], information[np.ix_(old, ~old)])
        scores = scores[:, ~old] - scores[:, old] @ A
        wanted = scores.sum(0) @ np.linalg.solve(scores.T @ scores, scores.sum(0))
    else:
        wanted = U @ np.linalg.solve(information, U)
    assert test.df == 3
    assert test.statistic == pytest.approx(wanted, rel=1e-7)
    assert ("Robust score" if robust else "Score") in str(test)


def test_score_test_without_an_intercept(data):
    fit = glm("y ~ 0 + x", data, "poisson")
    X, mu = dense(fit.update("+ C(g)")), fit.fittedvalues.to_numpy()
    U = X.T @ (data["y"].to_numpy() - mu)
    assert fit.score_test("C(g)").statistic == pytest.approx(U @ np.linalg.solve(X.T @ (X * mu[:, None]), U), rel=1e-7)


def test_many_levels_and_a_spline():
    rng = np.random.default_rng(0)
    many = pd.DataFrame({"id": rng.integers(0, 1500, 6000), "x": rng.normal(size=6000), "z": rng.normal(size=6000)})
    many["y"] = np.exp(0.1 * many["x"] + 0.3 * np.sin(many["id"])) + rng.normal(size=6000)
    larger, smaller = (glm(f"y ~ {first}bs(x, df=4) + z", many) for first in ("C(id) + ", ""))
    frame = anova(larger, type="II").frame
    assert frame["df"].tolist()[1:] == [4.0, 1.0]
    df = frame.loc["C(id)", "df"]
    assert df == larger.df_model - smaller.df_model
    f = (smaller.deviance - larger.deviance) / df / larger.scale
    assert frame.loc["C(id)", "statistic"] == pytest.approx(f, rel=1e-8)


def test_sampling_weights_are_tested_by_wald(data):
    fit = glm("b ~ x + C(g)", data.assign(w=data["w"] + 0.5), "binomial", prob_weights="w")
    table = anova(fit, type=3)
    chi2 = statistic(table)["C(g)"]
    joint = fit.wald_test("C(g)[T.b] = 0, C(g)[T.c] = 0, C(g)[T.d] = 0")
    assert chi2 == pytest.approx(joint.statistic)
    assert "sampling" in str(table)


def test_clusters_bring_their_degrees_of_freedom(data):
    fit = glm("r ~ x + h", data).with_covariance(cluster="g")
    table = anova(fit, type=3)
    joint = fit.wald_test("x = 0")
    assert statistic(table)["x"] == pytest.approx(joint.statistic)
    assert table.frame.loc["x", "p.value"] == pytest.approx(joint.pvalue)


def test_loaded_fits_are_tested_by_wald(data, tmp_path):
    from torchglm import load

    fit = glm("y ~ x * h", data, "poisson")
    fit.save(tmp_path / "fit")
    again = load(tmp_path / "fit")
    pd.testing.assert_frame_equal(anova(again, type=2, test="Wald").frame, anova(fit, type=2, test="Wald").frame)


def test_a_nonlinear_test_of_a_linear_hypothesis_is_the_linear_one(data):
    fit = glm("r ~ x + z + C(g)", data)
    text = ["x = 0.3", "C(g)[T.b] - C(g)[T.c] = 0"]
    linear, joint = fit.t_test(text), fit.wald_test(text)
    found = fit.nonlinear_test(text)
    pd.testing.assert_frame_equal(found.estimates, linear)
    assert found.joint.statistic == pytest.approx(joint.statistic)
    assert found.joint.pvalue == pytest.approx(joint.pvalue)


def test_the_gradient_of_a_function_by_differences(data):
    fit = glm("y ~ x + z", data, "poisson")

    def odds(theta):
        return torch.stack([theta[1] / theta[2], torch.exp(theta[0]) * theta[1] ** 2])

    found = fit.nonlinear_test(odds)
    theta, V, step = fit.params.to_numpy(), fit.cov_params().to_numpy(), 1e-6
    G = np.array(
        [(odds(torch.tensor(theta + e)) - odds(torch.tensor(theta - e))).numpy() / (2 * step) for e in step * np.eye(3)]
    ).T
    np.testing.assert_allclose(found.estimates["std.error"], np.sqrt(np.diag(G @ V @ G.T)), rtol=1e-7)
    same = fit.nonlinear_test("x / z, exp(Intercept) * x ^ 2").estimates
    np.testing.assert_allclose(same, found.estimates, rtol=1e-12)
    assert list(found.estimates.index) == ["odds[0]", "odds[1]"]


def test_both_sides_of_a_nonlinear_hypothesis(data):
    fit = glm("y ~ x + z", data, "poisson")
    two = fit.nonlinear_test("exp(x) = exp(z)").estimates.iloc[0]
    one = fit.nonlinear_test("exp(x) - exp(z) = 0").estimates.iloc[0]
    assert two.tolist() == pytest.approx(one.tolist())
    ratio = fit.nonlinear_test("x / z = -2").estimates.iloc[0]
    assert ratio["estimate"] == pytest.approx(fit.params["x"] / fit.params["z"])
    assert ratio["statistic"] == pytest.approx((ratio["estimate"] + 2) / ratio["std.error"])


def test_step_ends_where_no_single_term_helps(data):
    start = glm("y ~ x + z + u + C(g) + h", data, "poisson")
    shown = []
    found = step(start, "~ . + x:h + z:h", criterion="bic", trace=shown.append)
    assert len(shown) >= len(found.path.frame)
    for change, cost in drop1(found.fit, k=np.log(240)).frame["aic"].items():
        assert cost >= found.path.frame["aic"].iloc[-1] - 1e-9, change
    assert found.fit.bic == pytest.approx(found.path.frame["aic"].iloc[-1])
    assert str(found).endswith(found.fit.formula)


def test_step_keeps_margins(data):
    found = step(glm("y ~ 1", data, "poisson"), "~ x * h * z", direction="forward", criterion=0.01)
    labels = [set(t.label.split(":")) for t in found.fit.estimate.prepared.parsed.terms if t.factors]
    assert all({name} in labels for term in labels for name in term)


def test_nested_by_span_not_by_name(data):
    # C(g) is the sum of its dummies; x2 = x + z
    coarse = glm("y ~ x2 + I(1.0 * (g == 'c'))", data, "poisson")
    fine = glm("y ~ x + z + C(g)", data, "poisson")
    assert likelihood_ratio(coarse, fine).frame["df"].iloc[1] == 3
    with_offset = glm("y ~ x", data, "poisson", offset="z")
    assert compare(with_offset, glm("y ~ x + z", data, "poisson")).frame["df"].iloc[1] == 1


def test_lists_are_compared_side_by_side(data):
    one, two = glm("y ~ x", data, "poisson"), glm("r ~ z", data)
    both = compare([one, two], names=["one", "two"], stars=True)
    assert list(both.frame.columns.get_level_values(0).unique()) == ["one", "two"]
    nested = compare(one, one.update("+ z"), names=["small", "large"])
    assert list(nested.frame.index) == ["small", "large"]


def test_a_table_prints_everywhere(data):
    table = anova(glm("y ~ x + C(g)", data, "poisson"))
    assert "| C(g)" in table.as_markdown()
    assert "Analysis of deviance" in table.as_html()
    assert r"\toprule" in table.as_latex()
    assert "<null>" in str(table)
    assert repr(table) == str(table)
