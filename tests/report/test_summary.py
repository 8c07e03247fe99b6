from __future__ import annotations

import dataclasses
import math
import pickle

import numpy as np
import pandas as pd
import pytest

from torchglm.report.summary import described, summarize

GOLDEN = """\
                           Generalized linear model
==============================================================================
Formula:     counts ~ outcome + treatment
Covariance:  model-based, expected information
Response:                      counts    Converged:                        yes
Family:                       poisson    Log-likelihood:              -23.3807
Link:                             log    AIC:                          56.7613
Scale:                      1 (fixed)    BIC:                          57.7474
Observations:                       9    Deviance:                      5.1291
Rows dropped:                       0    Null deviance:        10.5815 on 8 df
Df residuals:                       4    Pearson chi2:                  5.1732
Df model:                           4    Pseudo R2 (McFadden):          0.1044
Solver:      irls (4 steps, 5 passes)    D2 (deviance):                 0.5153
==============================================================================
                   coef      std err         z     P>|z|     [0.025     0.975]
------------------------------------------------------------------------------
Intercept        3.0445       0.1709    17.815    <0.001     2.7096     3.3795
outcome[T.2]    -0.4543       0.2022    -2.247     0.025    -0.8505    -0.0580
outcome[T.3]    -0.2930       0.1927    -1.520     0.128    -0.6708     0.0848
=============================================================================="""


def rows_of(summary) -> dict[str, list[str]]:
    lines = str(summary).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("-----"))
    stop = next(i for i in range(start, len(lines)) if lines[i].startswith("====="))
    return {line.split()[0]: line.split()[1:] for line in lines[start + 1 : stop]}


def facts_of(summary) -> dict[str, str]:
    return dict(summary.model + summary.facts)


def test_the_whole_summary(fit_double):
    assert str(summarize(fit_double())) == GOLDEN


def test_printed_numbers_are_those_of_the_fit(fit_double):
    fit = fit_double()
    for name, cells in rows_of(summarize(fit)).items():
        assert float(cells[0]) == pytest.approx(fit.params[name], abs=5e-5)
        assert float(cells[1]) == pytest.approx(fit.bse[name], abs=5e-5)
        assert float(cells[2]) == pytest.approx(fit.tvalues[name], abs=5e-4)


def test_coefficients_are_not_rounded(fit_double):
    fit = fit_double()
    frame = summarize(fit).coefficients
    assert list(frame.columns) == ["coef", "std err", "z", "P>|z|", "[0.025", "0.975]"]
    pd.testing.assert_series_equal(frame["coef"], fit.params, check_names=False)


def test_t_tests_are_called_t(fit_double):
    assert list(summarize(fit_double(use_t=True)).coefficients.columns)[2:4] == ["t", "P>|t|"]


@pytest.mark.parametrize("level, ends", [(0.9, ["[0.05", "0.95]"]), (0.99, ["[0.005", "0.995]"])])
def test_the_interval_names_its_level(fit_double, level, ends):
    assert list(summarize(fit_double(), level=level).coefficients.columns)[-2:] == ends


def test_exponentiate_shows_ratios_and_leaves_the_test(fit_double):
    fit = fit_double()
    summary = summarize(fit, exponentiate=True)
    frame = summary.coefficients
    assert list(frame.columns)[:3] == ["exp(coef)", "[0.025", "0.975]"]
    np.testing.assert_allclose(frame["exp(coef)"], [math.exp(b) for b in fit.params])
    np.testing.assert_allclose(frame["z"], fit.tvalues)
    assert float(rows_of(summary)["outcome[T.2]"][0]) == pytest.approx(math.exp(-0.454255), abs=5e-5)
    assert "ratios of means" in summary.notes[-1]


def test_exponentiate_overflows_to_inf_without_a_warning(fit_double):
    params = pd.Series({"Intercept": 800.0})
    assert rows_of(summarize(fit_double(params=params, bse=params / 10), exponentiate=True))["Intercept"][0] == "inf"


def test_stars_on_request(fit_double):
    rows = rows_of(summarize(fit_double(), stars=True))
    assert rows["Intercept"][-1] == "***"
    assert rows["outcome[T.2]"][-1] == "*"
    assert "Significance codes" in str(summarize(fit_double(), stars=True))
    assert "*" not in str(summarize(fit_double()))


def test_aliased_coefficients_are_nan_and_named_with_their_partners(fit_double):
    params = pd.Series({"Intercept": 1.0, "x1": 2.0, "x3": math.nan})
    summary = summarize(fit_double(params=params, bse=params / 10, aliased={"x3": ["x1", "x2"]}))
    assert rows_of(summary)["x3"] == ["NaN"] * 6
    assert "(1 not defined because of singularities: x3 = x1 + x2)" in str(summary)


def test_a_fit_that_has_not_converged_says_so_twice(fit_double):
    summary = summarize(fit_double(converged=False, status="100 steps were not enough; raise max_steps."))
    assert facts_of(summary)["Converged"] == "NO"
    assert summary.notes == ("Not converged: 100 steps were not enough; raise max_steps.",)


def test_infinite_coefficients_are_named_with_their_sign(fit_double):
    note = summarize(fit_double(infinite={"x1": "+", "x2": "-"})).notes[0]
    assert "x1 -> +inf, x2 -> -inf" in note


def test_weights_offset_rows_and_covariance_are_shown(fit_double):
    fit = fit_double(
        weights_note="precision weights: w", offset_note="log(Holders)", rows_dropped=3, rows_zero_weight=2
    )
    summary = summarize(fit)
    facts = facts_of(summary)
    assert facts["Weights"] == "precision weights: w"
    assert facts["Offset"] == "log(Holders)"
    assert facts["Rows dropped"] == "3"
    assert facts["Covariance"] == "model-based, expected information"
    assert summary.notes == ("Rows of zero weight, left out of all counts: 2",)


def test_a_family_without_likelihood_shows_no_criteria(fit_double):
    nothing = math.nan
    summary = summarize(fit_double(llf=nothing, llnull=nothing, aic=nothing, bic=nothing))
    assert not {"Log-likelihood", "AIC", "BIC", "Pseudo R2 (McFadden)"} & set(facts_of(summary))
    assert any("no likelihood" in note for note in summary.notes)


def test_a_fit_without_a_formula_has_no_formula_line(fit_double):
    assert "Formula" not in str(summarize(fit_double(formula=None)))


def test_long_formulas_and_names_wrap_or_widen(fit_double):
    formula = "counts ~ " + " + ".join(f"C(very_long_name_{i})" for i in range(12))
    params = pd.Series({"C(very_long_name_1)[T.a level with a very long name]": 1.0})
    lines = str(summarize(fit_double(formula=formula, params=params, bse=params / 7))).splitlines()
    ruler = len(lines[1])
    assert max(map(len, lines)) == ruler > 78
    assert " ".join(line.strip() for line in lines[2:6]).count("very_long_name") == 12


def test_a_long_fact_gets_its_own_line(fit_double):
    fit = fit_double(model=dataclasses.replace(fit_double().model, endog_names="cbind(successes_of_a, failures_of_a)"))
    summary = summarize(fit)
    assert "Response" in dict(summary.model)
    assert len(str(summary).splitlines()[1]) == 78


def test_every_rendering_holds_every_coefficient_and_fact(fit_double):
    summary = summarize(fit_double(weights_note="precision weights: w"), stars=True)
    texts = [summary.as_text(), summary.as_html(), summary.as_markdown(), summary.as_latex()]
    for text in texts:
        for part in ("Intercept", "3.0445", "-0.4543", "56.7613", "precision weights: w", "Significance codes"):
            assert part in text
    assert texts[1] == summary._repr_html_()
    assert texts[0] == str(summary) == repr(summary)


def test_html_escapes_names(fit_double):
    params = pd.Series({"<script>": 1.0})
    assert "<script>" not in summarize(fit_double(params=params, bse=params)).as_html()


def test_families_and_links_are_named_with_their_parameters():
    @dataclasses.dataclass(frozen=True)
    class Tweedie:
        power: float = 1.5
        link: str = "log"
        name = "tweedie"

    assert described(Tweedie()) == "tweedie(power=1.5)"


def test_a_summary_can_be_pickled(fit_double):
    summary = summarize(fit_double())
    assert str(pickle.loads(pickle.dumps(summary))) == str(summary)
