"""zero_inflated(), hurdle() and truncated() against pscl, at the optimum that Newton's method gives in R."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from torchglm.count_tests import vuong_test
from torchglm.counts import hurdle, truncated, zero_inflated

HERE = pathlib.Path(__file__).resolve().parent
DISTS = {"poisson": "poisson", "negbin": "negative_binomial"}
MODELS = {"zeroinfl": zero_inflated, "hurdle": hurdle}
STORED = json.loads((HERE / "counts.json").read_text())
SHARED = json.loads((HERE.parent / "reference" / "cases.json").read_text())["cases"]


def _of_shared(case: dict) -> dict:
    """A case of the shared set, as those of counts.json are written."""
    code, expected = case["r_code"]["default"], case["expected"]
    first = expected["predict_first10"]
    return {
        "name": case["id"],
        "data": case["data"],
        "kind": case["kind"],
        "dist": "negbin" if 'dist = "negbin"' in code else "poisson",
        "zero_link": case["python"]["zero_link"],
        "formula": code[code.index("(") + 1 : code.index(", data")],
        "params": expected["coef"],
        "mean": first["response_mean"],
        "count": first["count_mean"],
        "zero_part": first["zero"],
        "zero": first["prob_of_zero"],
        **{name: expected[name] for name in ("se", "vcov", "loglik", "aic")},
    }


# Of "zinb trips" statsmodels 0.15.0 (ZeroInflatedNegativeBinomialP) gives a log-likelihood of NaN.
CASES = [*STORED["cases"], *(_of_shared(c) for c in SHARED if c["kind"] in MODELS)]


def fit_of(case: dict, data):
    given = {"freq_weights": "w"} if "weights = w" in case.get("r", "") else {}
    if ", offset = " in case.get("r", ""):
        given["offset"] = "np.log(phd)"
    formula = case["formula"].replace("log(", "np.log(")
    return MODELS[case["kind"]](formula, data[case["data"]], DISTS[case["dist"]], zero_link=case["zero_link"], **given)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_numbers_are_those_of_pscl(case, data):
    fit = fit_of(case, data)
    se = np.array(case["se"])
    assert fit.converged
    assert np.abs(fit.params.to_numpy() - case["params"]).max() < 1e-7 * se.max()
    assert (np.abs(fit.params.to_numpy() - case["params"]) / se).max() < 1e-7
    np.testing.assert_allclose(fit.bse, se, rtol=1e-7)
    scaled = (fit.cov_params().to_numpy() - np.array(case["vcov"])) / np.outer(se, se)
    assert np.abs(scaled).max() < 2e-7
    assert fit.llf == pytest.approx(case["loglik"], rel=1e-11)
    assert fit.aic == pytest.approx(case["aic"], rel=1e-11)
    own = "structural_zero" if case["kind"] == "zeroinfl" else "positive"
    for kind, name in (("mean", "mean"), ("count", "count"), (own, "zero_part"), ("zero", "zero")):
        np.testing.assert_allclose(fit.predict(kind=kind)[:10], case[name], rtol=1e-7, err_msg=kind)


@pytest.mark.parametrize("case", STORED["cases"], ids=lambda case: case["name"])
def test_probabilities_of_counts(case, data):
    fit = fit_of(case, data)
    found = fit.predict(kind="probabilities", at=case["at"])
    assert list(found.columns) == case["at"]
    # pscl's own optimum is 1e-5 standard errors away or more
    np.testing.assert_allclose(found[:5], case["probabilities"], rtol=3e-3)
    np.testing.assert_allclose(found[0], fit.predict(kind="zero"), rtol=1e-12)


@pytest.mark.parametrize("case", STORED["truncated"], ids=lambda case: case["name"])
def test_zero_truncated_counts_are_the_count_part_of_a_hurdle(case, data):
    frame = data[case["data"]]
    response = case["formula"].split(" ~ ")[0]
    fit = truncated(case["formula"], frame[frame[response] > 0], DISTS[case["dist"]])
    assert (np.abs(fit.params.to_numpy() - case["params"]) / case["se"]).max() < 1e-7
    np.testing.assert_allclose(fit.bse, case["se"], rtol=1e-7)
    assert fit.llf == pytest.approx(case["loglik"], rel=1e-10)


@pytest.fixture(scope="module")
def compared(articles):
    from torchglm import glm

    formula = "art ~ fem + mar + kid5 + phd + ment"
    return {
        "zip": zero_inflated(formula, articles),
        "zinb": zero_inflated(f"{formula} | ment", articles, "negative_binomial"),
        "hurdle": hurdle(formula, articles),
        "poisson": glm(formula, articles, "poisson"),
    }


@pytest.mark.parametrize("case", STORED["vuong"], ids=lambda case: case["name"])
@pytest.mark.filterwarnings("ignore:A plain count model")
def test_vuong(case, compared):
    first, second = (compared[name] for name in case["name"].split())
    found = vuong_test(first, second).frame
    np.testing.assert_allclose(found["statistic"], case["statistic"], rtol=2e-6)
    np.testing.assert_allclose(found["p.value"], case["p"], rtol=1e-5)
    swapped = vuong_test(second, first).frame
    np.testing.assert_allclose(swapped["statistic"], -found["statistic"], rtol=1e-9)
    assert list(found["model"]) == [1.0] * 3
    assert list(swapped["model"]) == [2.0] * 3
