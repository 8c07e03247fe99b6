"""How a summary looks in the less usual cases."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from torchglm.report.summary import summarize
from torchglm.report.table import estimates, statistic


def halves(summary) -> tuple[list[str], list[str]]:
    """The labels on the left and on the right of the printed facts."""
    lines = str(summary).splitlines()
    facts = [line for line in lines[lines.index("=" * 78) :] if "Covariance" not in line and ":" in line[:14]]
    facts = [line for line in facts if not line.startswith("Formula")]
    parts = [[half.partition(":")[0].strip() for half in (line[:38], line[40:])] for line in facts]
    left, right = zip(*parts, strict=True)
    return [name for name in left if name], [name for name in right if name]


def test_facts_stay_on_their_side_without_a_likelihood(fit_double):
    whole = halves(summarize(fit_double()))
    nothing = math.nan
    less = halves(summarize(fit_double(llf=nothing, llnull=nothing, aic=nothing, bic=nothing)))
    assert less[0] == whole[0]
    assert less[1] == [name for name in whole[1] if name in less[1]]
    assert less[1] == ["Converged", "Deviance", "Null deviance", "Pearson chi2", "D2 (deviance)"]


@pytest.mark.parametrize("kind, shown", [("fixed at 2", "2 (fixed)"), ("Pearson chi2 / df", "2 (Pearson chi2 / df)")])
def test_a_fixed_scale_is_said_once(fit_double, kind, shown):
    assert dict(summarize(fit_double(scale=2.0, dispersion_kind=kind)).facts)["Scale"] == shown


def test_no_negative_zero():
    assert estimates([-1e-9, -0.00004, -0.00006], 0.5) == ["0.0000", "0.0000", "-0.0001"]
    assert [statistic(x) for x in (-1e-7, -0.0006)] == ["0.000", "-0.001"]


def test_separated_coefficients_stand_in_plain_numbers(fit_double):
    params = pd.Series({"Intercept": -104.49, "x1": 35.2, "x2": -0.5})
    bse = pd.Series([938468259.0, 119958031.0, 0.25], params.index)
    text = str(summarize(fit_double(params=params, bse=bse, infinite={"Intercept": "-", "x1": "+"})))
    rows = {line.split()[0]: line.split()[1:3] for line in text.splitlines() if line[:9].strip() in params.index}
    assert rows == {
        "Intercept": ["-104", "938468259"],
        "x1": ["35", "119958031"],
        "x2": ["-0.5000", "0.2500"],
    }
