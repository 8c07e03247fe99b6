"""Likelihood ratios of models of several linear predictors: of those only that are nested."""

from __future__ import annotations

import pytest
import torch

from torchglm import compare, custom, glm, hurdle, multinomial, ordinal, zero_inflated
from torchglm.errors import OptionError


def pair(name: str, data):
    """Two fits, the smaller first."""
    counts = data.assign(n=data["w"] * data["yes"])
    return {
        "a term": lambda: (ordinal("rating ~ x", data), ordinal("rating ~ x + g", data)),
        "another basis": lambda: (multinomial("choice ~ x", data), multinomial("choice ~ poly(x, 3)", data)),
        "levels merged": lambda: (multinomial("choice ~ I(g == 'b')", data), multinomial("choice ~ g", data)),
        "nominal": lambda: (ordinal("rating ~ x + z", data), ordinal("rating ~ x", data, nominal="~ z")),
        "nominal beside": lambda: (ordinal("rating ~ z", data), ordinal("rating ~ x", data, nominal="~ x + z")),
        "scale": lambda: (ordinal("rating ~ x", data), ordinal("rating ~ x", data, scale="~ z")),
        "zeros": lambda: (zero_inflated("n ~ x | 1", counts), zero_inflated("n ~ x | z", counts)),
        "no intercept": lambda: (hurdle("n ~ x | 1", counts), hurdle("n ~ 0 + g + x | g", counts)),
        "dispersion": lambda: (glm("z ~ x", data, dispersion="~ 1"), glm("z ~ x", data, dispersion="~ x")),
        "offset": lambda: (ordinal("rating ~ 1", data, offset="x"), ordinal("rating ~ x", data)),
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        *("a term", "another basis", "levels merged", "nominal", "nominal beside", "scale", "zeros"),
        *("no intercept", "dispersion", "offset"),
    ],
)
def test_nested_models_have_a_ratio(data, name):
    small, large = pair(name, data)
    frame = compare(small, large).frame
    assert frame["statistic"].iloc[1] == pytest.approx(2.0 * (large.llf - small.llf), rel=1e-12)
    turned = compare(large, small).frame
    assert turned["p.value"].iloc[1] == frame["p.value"].iloc[1]


def test_a_likelihood_of_ones_own(data):
    def normal(y, mean, log_sd):
        return log_sd + 0.5 * ((y - mean) * torch.exp(-log_sd)) ** 2

    fits = [custom(formula, data, normal) for formula in ("z ~ x", "z ~ x + g", "z ~ g")]
    assert compare(*fits[:2]).frame["df"].iloc[1] == 2
    with pytest.raises(OptionError, match="not nested"):
        compare(fits[0], fits[2])


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda d: (ordinal("rating ~ x", d), ordinal("rating ~ z + g", d)), "not nested: the columns of 'rating ~ x'"),
        (lambda d: (ordinal("rating ~ x + z", d), ordinal("rating ~ 1", d, nominal="~ g")), "not nested"),
        (lambda d: (ordinal("rating ~ x", d), multinomial("rating ~ x", d)), "different models"),
        (lambda d: (ordinal("rating ~ x", d, link="cauchit"), ordinal("rating ~ x + z", d)), "different models"),
        (lambda d: (zero_inflated("n ~ x | 1", d), zero_inflated("n ~ z + g | 1", d)), "not nested"),
        (lambda d: (zero_inflated("n ~ x | 1", d), zero_inflated("n ~ 1 | x + z", d)), "not nested"),
        (lambda d: (hurdle("n ~ x | 1", d), zero_inflated("n ~ x + z | z", d)), "different models"),
        (lambda d: (hurdle("n ~ x | 1", d), hurdle("n ~ x | 1", d, "negative_binomial")), r"theta_test\(\) tests"),
        (lambda d: (ordinal("rating ~ 1", d, offset="z"), ordinal("rating ~ x", d)), "not nested"),
    ],
)
def test_others_are_refused(data, make, words):
    small, large = make(data.assign(n=data["w"] ** 3 * data["yes"]))
    with pytest.raises(OptionError, match=words):
        compare(small, large)
