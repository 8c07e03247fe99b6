"""Deviances and log likelihoods that R 4.2.2 prints, from R's own fitted values and deviances.

glm(counts ~ outcome + treatment, poisson)                      data of Dobson (1990), as in ?glm
glm(lot1 ~ log(u), Gamma);  glm(lot2 ~ log(u), inverse.gaussian)     clotting, as in ?glm
glm(cbind(dead, alive) ~ sex * ldose, binomial)                 budworm, Venables & Ripley (2002), section 7.2
glm(breaks ~ wool + tension, poisson, weights = pw)             warpbreaks, pw = .5, 1, 2, .25, .5, ...
glm(breaks ~ wool + tension, Gamma("identity"), weights = fw)   warpbreaks, fw = 1, 2, 3, 1, ...
glm(breaks ~ wool * tension, gaussian("log"), weights = pw)     warpbreaks
glm(Days ~ Eth + Sex + Age + Lrn, negative.binomial(2))         quine, package MASS
"""

from __future__ import annotations

import math

import pytest
import torch

from torchglm.families import Binomial, Gamma, Gaussian, InverseGaussian, NegativeBinomial, Poisson


def column(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def numbers(text: str) -> torch.Tensor:
    return column([float(word) for word in text.split()])


DOBSON = column([18, 17, 15, 20, 10, 20, 25, 13, 12])
LOT1 = column([118, 58, 42, 35, 27, 25, 21, 19, 18])
LOT2 = column([69, 35, 26, 21, 18, 16, 13, 12, 12])
BUDWORM = column([1, 4, 9, 13, 18, 20, 0, 2, 6, 10, 12, 16]) / 20
BREAKS = numbers(
    """
    26 30 54 25 70 52 51 26 67 18 21 29 17 12 18 35 30 36 36 21 24 18 10 43 28 15 26 27 14 29 19 29 31 41 20 44 42
    26 19 16 39 28 21 39 29 20 21 24 17 13 15 15 16 28
    """
)
PRECISION = column([0.5, 1.0, 2.0, 0.25]).repeat(14)[:54]
FREQUENCY = column([1.0, 2.0, 3.0]).repeat(18)
QUINE = numbers(
    """
    2 11 14 5 5 13 20 22 6 6 15 7 14 6 32 53 57 14 16 16 17 40 43 46 8 23 23 28 34 36 38 3 5 11 24 45 5 6 6 9 13 23
    25 32 53 54 5 5 11 17 19 8 13 14 20 47 48 60 81 2 0 2 3 5 10 14 21 36 40 6 17 67 0 0 2 7 11 12 0 0 5 5 5 11 17 3
    4 22 30 36 8 0 1 5 7 16 27 0 30 10 14 27 41 69 25 10 11 20 33 5 7 0 1 5 5 5 5 7 11 15 5 14 6 6 7 28 0 5 14 2 2 3
    8 10 12 1 1 9 22 3 3 5 15 18 22 37
    """
)

LIKELIHOODS = [
    ("dobson", Poisson(), DOBSON, None, 5.129141077001145, -23.38065920097884),
    ("clotting lot1", Gamma(), LOT1, None, 0.016729715178484074, -15.99496197477719),
    ("clotting lot2", InverseGaussian(), LOT2, None, 0.00860933096288108, -22.420542212341104),
    ("budworm", Binomial(), BUDWORM, column([20.0] * 12), 4.993727307620338, -17.552064154518405),
    ("weighted poisson", Poisson(), BREAKS, PRECISION, 173.21964407541017, -212.99307686905863),
    ("weighted gamma", Gamma(), BREAKS, FREQUENCY, 14.57255003522656, -400.4563239477575),
    ("weighted gaussian", Gaussian(), BREAKS, PRECISION, 3861.9636332143214, -201.26873672553108),
    ("quine", NegativeBinomial(theta=2.0), QUINE, None, 239.1110554823319, -553.259602262382),
]


@pytest.mark.parametrize(
    "name, family_of_case, y, w, deviance, log_likelihood", LIKELIHOODS, ids=[c[0] for c in LIKELIHOODS]
)
def test_log_likelihoods(name, family_of_case, y, w, deviance, log_likelihood):
    w = torch.ones_like(y) if w is None else w
    saturated = family_of_case.saturated(y, w).sum().item()
    ours = family_of_case.log_likelihood(deviance, len(y), w.sum().item(), saturated)
    assert math.isclose(ours, log_likelihood, rel_tol=1e-11)


DEVIANCES = [
    (
        Poisson(),
        DOBSON,
        column([21, 40 / 3, 47 / 3] * 3),
        5.129141077001145,
    ),
    (
        Gamma(),
        LOT1,
        1.0 / (-0.016554381726200298 + 0.015343114910324671 * torch.log(column([5, 10, 15, 20, 30, 40, 60, 80, 100]))),
        0.016729715178484074,
    ),
    (
        InverseGaussian(),
        LOT2,
        (-0.0027250819134361456 + 0.0017931529821309667 * torch.log(column([5, 10, 15, 20, 30, 40, 60, 80, 100])))
        ** -0.5,
        0.00860933096288108,
    ),
]


@pytest.mark.parametrize("family_of_case, y, mu, deviance", DEVIANCES, ids=[repr(case[0]) for case in DEVIANCES])
def test_deviances(family_of_case, y, mu, deviance):
    assert math.isclose(family_of_case.unit_deviance(y, mu).sum().item(), deviance, rel_tol=1e-11)


def test_deviance_residuals_of_a_binomial():
    male = column([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    eta = -2.9935417551710284 + 0.17498678785550523 + (0.9060364354674573 + 0.3529129887364977) * male
    mu, y = torch.sigmoid(eta), BUDWORM[:6]
    residuals = torch.sign(y - mu) * torch.sqrt(20.0 * Binomial().unit_deviance(y, mu))
    wanted = [-0.1250495332988311, 0.3046310022633211, 0.22203788589611767]
    wanted += [-0.7101114062812052, -0.026785596313157838, 1.1037464146394658]
    torch.testing.assert_close(residuals, column(wanted), rtol=1e-9, atol=1e-12)
