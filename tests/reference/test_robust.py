"""White's sandwiches, as package sandwich has them."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.needs("robust")


@pytest.mark.parametrize("kind", ["HC0", "HC1"])
def test_sandwich(fit, expected, defined, close, rtol, kind):
    theirs = expected["robust"].get(kind)
    if theirs is None:
        pytest.skip("R has none")
    robust = fit.with_covariance(kind)
    close(robust.bse[defined], theirs["se"], 10 * rtol)
    if "vcov" in theirs:
        se = np.array(theirs["se"])
        scale = np.outer(se, se)
        ours = robust.cov_params().loc[defined, defined].to_numpy()
        np.testing.assert_allclose(ours / scale, np.array(theirs["vcov"]) / scale, rtol=0, atol=10 * rtol)


@pytest.mark.needs("wald_tests")
def test_robust_wald_test(reference, close):
    case = reference.cases["logit_birthwt_full"]
    wald = case["expected"]["wald_tests"][0]
    fit = reference.fit_of(case).with_covariance("HC0")
    ours = fit.wald_test("C(race)[T.black] = 0, C(race)[T.other] = 0")
    close([ours.statistic, ours.pvalue], [wald["chisq_HC0"], wald["p_HC0"]], 1e-8)
