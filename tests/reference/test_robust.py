"""White's sandwiches, as package sandwich has them."""

from __future__ import annotations

import numpy as np
import pytest

from torchglm.covariances import HAC

pytestmark = pytest.mark.needs("robust")


@pytest.mark.parametrize("kind", ["HC0", "HC1", "HC2", "HC3"])
def test_sandwich(fit, expected, defined, close, rtol, kind):
    theirs = expected["robust"].get(kind)
    if theirs is None:
        pytest.skip("R has none")
    same(fit.with_covariance(kind), theirs, defined, close, rtol)


CLUSTERED = {("HC1", True): "CR1S", ("HC0", True): "cluster", ("HC0", False): "CR0"}


def test_clusters(fit, expected, defined, close, rtol):
    for theirs in expected["robust"].get("cluster", []):
        kind = CLUSTERED[theirs["type"], theirs["cadjust"]]
        same(fit.with_covariance(kind, cluster=theirs["columns"]), theirs, defined, close, rtol)


def test_newey_west(fit, expected, defined, close, rtol):
    for theirs in expected["robust"].get("newey_west", []):
        same(fit.with_covariance(HAC(theirs["lag"], adjust=theirs["adjust"])), theirs, defined, close, rtol)


def same(robust, theirs, defined, close, rtol):
    bse = robust.bse[defined].fillna(0.0)  # R shows the root of a negative variance as zero here
    close(bse, theirs["se"], 10 * rtol)
    if "vcov" in theirs:
        wanted = np.array(theirs["vcov"])
        se = np.sqrt(np.abs(wanted.diagonal()))
        ours = robust.cov_params().loc[defined, defined].to_numpy(copy=True)
        negative = wanted.diagonal() < 0  # NaN here
        np.testing.assert_array_equal(np.isnan(ours.diagonal()), negative)
        np.fill_diagonal(ours, np.where(negative, wanted.diagonal(), ours.diagonal()))
        scale = np.outer(se, se)
        np.testing.assert_allclose(ours / scale, wanted / scale, rtol=0, atol=10 * rtol)


@pytest.mark.needs("wald_tests")
def test_robust_wald_test(reference, close):
    case = reference.cases["logit_birthwt_full"]
    wald = case["expected"]["wald_tests"][0]
    fit = reference.fit_of(case).with_covariance("HC0")
    ours = fit.wald_test("C(race)[T.black] = 0, C(race)[T.other] = 0")
    close([ours.statistic, ours.pvalue], [wald["chisq_HC0"], wald["p_HC0"]], 1e-8)
