"""NIST's linear regressions of higher difficulty, to the digits that float64 allows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from torchglm import glm

FILIP = {  # certified coefficient and standard deviation of x**k
    "Intercept": (-1467.48961422980, 298.084530995537),
    "x1": (-2772.17959193342, 559.779865474950),
    "x2": (-2316.37108160893, 466.477572127796),
    "x3": (-1127.97394098372, 227.204274477751),
    "x4": (-354.478233703349, 71.6478660875927),
    "x5": (-75.1242017393757, 15.2897178747400),
    "x6": (-10.8753180355343, 2.23691159816033),
    "x7": (-1.06221498588947, 0.221624321934227),
    "x8": (-0.670191154593408e-01, 0.142363763154724e-01),
    "x9": (-0.246781078275479e-02, 0.535617408889821e-03),
    "x10": (-0.402962525080404e-04, 0.896632837373868e-05),
}


def digits(ours, certified) -> float:
    """How many digits of the worst number are right."""
    error = np.abs(np.asarray(ours, dtype=float) / np.asarray(certified, dtype=float) - 1.0)
    return -np.log10(max(error.max(), 1e-16))


@pytest.fixture
def certified(reference):
    return lambda name: reference.cases[name]["expected"]["certified"]


@pytest.mark.parametrize("name, least", [("nist_longley", 10), ("nist_wampler3", 10), ("nist_noint1", 14)])
def test_certified_values(reference, certified, name, least):
    fit, true = reference.fit_of(reference.cases[name]), certified(name)
    assert digits(fit.bse, true["se"]) >= min(least, 13.5)
    assert digits([fit.scale], [true["dispersion"]]) >= min(least, 13.5)
    if name == "nist_wampler3":  # the residuals are large: what counts is the distance in standard errors
        assert (np.abs(fit.params - true["coef"]) / fit.bse).max() < 1e-9
    else:
        assert digits(fit.params, true["coef"]) >= min(least, 13.5)


def test_an_exact_fit(reference, certified):
    fit = reference.fit_of(reference.cases["nist_wampler1"])
    assert fit.converged
    assert digits(fit.params, certified("nist_wampler1")["coef"]) >= 9
    assert fit.deviance < 1e-15 * fit.null_deviance
    assert fit.bse.max() < 1e-6


@pytest.fixture(scope="module")
def filip(reference) -> pd.DataFrame:
    data = pd.read_csv(reference.root / "data" / "filip.csv")
    return data.assign(**{f"x{k}": data["x"] ** k for k in range(1, 11)})


@pytest.fixture(scope="module")
def fit(filip):
    return glm("y ~ " + " + ".join(list(FILIP)[1:]), filip)


def test_filip(fit):
    assert fit.aliased == {}
    assert digits(fit.params[list(FILIP)], [value for value, _ in FILIP.values()]) >= 7
    assert digits(fit.bse[list(FILIP)], [se for _, se in FILIP.values()]) >= 7
    # its terms are 1e4 times their sum, so that the residuals have lost four digits
    assert digits([fit.scale**0.5], [0.334801051324544e-02]) >= 8.5


def test_filip_written_as_powers(filip, fit):
    powers = glm("y ~ " + " + ".join(["x"] + [f"I(x**{k})" for k in range(2, 11)]), filip)
    assert digits(powers.params, fit.params) >= 7


def test_filip_against_exact_arithmetic(filip, fit):
    names = list(FILIP)[1:]
    x = [[Fraction(1), *map(Fraction, row)] for row in filip[names].to_numpy().tolist()]
    exact = least_squares(x, [Fraction(v) for v in filip["y"].tolist()])
    assert digits(fit.params[list(FILIP)], [float(v) for v in exact]) >= 7


def least_squares(x: list[list[Fraction]], y: list[Fraction]) -> list[Fraction]:
    """The exact solution of the normal equations, by elimination."""
    p = len(x[0])
    rows = [
        [sum(r[i] * r[j] for r in x) for j in range(p)] + [sum(r[i] * v for r, v in zip(x, y, strict=True))]
        for i in range(p)
    ]
    for i in range(p):
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for k in range(p):
            if k != i:
                share = rows[k][i]
                rows[k] = [a - share * b for a, b in zip(rows[k], rows[i], strict=True)]
    return [row[-1] for row in rows]
