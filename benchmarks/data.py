from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.problem import Problem

TWEEDIE_POWER = 1.5
THETA = 1.0
SHAPE = 2.0
CUTS = (-1.0, 0.0, 0.7, 1.8)  # between five levels
CLASSES = ((0.0, 0.0), (0.2, 1.0), (-0.3, -0.8), (0.5, 0.4))  # a constant and a slope in eta for each logit
STRUCTURAL = (-1.2, 0.7)  # the same of the logit of a certain zero


def make_frame(problem: Problem) -> pd.DataFrame:
    """The data of a problem, the same for every contestant; numeric columns lie side by side in one block."""
    rng = np.random.default_rng(problem.seed)
    columns = np.empty((problem.numeric, problem.rows))
    eta = np.full(problem.rows, 0.3)
    slopes = rng.normal(0.0, 0.4 / max(problem.numeric, 1) ** 0.5, problem.numeric)
    for column, slope in zip(columns, slopes, strict=True):
        rng.standard_normal(out=column)
        eta += slope * column
    frame = pd.DataFrame(columns.T, columns=problem.numeric_names, index=pd.RangeIndex(problem.rows), copy=False)
    for name, count in zip(problem.factor_names, problem.levels, strict=True):
        codes = draw_codes(rng, count, problem.rows)
        eta += rng.normal(0.0, 0.3, count)[codes]
        frame[name] = pd.Categorical.from_codes(codes, categories=[f"L{level:04d}" for level in range(count)])
    if problem.exposure:
        frame["exposure"] = rng.uniform(0.5, 1.5, problem.rows)
        eta += np.log(frame["exposure"].to_numpy())
    frame["y"] = RESPONSES[problem.family](rng, eta)
    return frame


def draw_codes(rng: np.random.Generator, count: int, rows: int) -> np.ndarray:
    """Levels by Zipf's law: the commonest of 1,000 levels has 90 times the rows of the rarest, as in real factors."""
    weight = 1.0 / (np.arange(count) + 10.0)
    steps = np.cumsum(weight / weight.sum())
    return np.minimum(np.searchsorted(steps, rng.random(rows)), count - 1)


def draw_poisson(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    return rng.poisson(np.exp(eta))


def draw_binomial(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    return (rng.random(eta.size) * (1.0 + np.exp(-eta)) < 1.0).astype(np.int64)


def draw_gamma(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    return rng.gamma(SHAPE, np.exp(eta) / SHAPE)


def draw_negative_binomial(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    return rng.poisson(rng.gamma(THETA, np.exp(eta) / THETA))


def draw_tweedie(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    """A Poisson number of gamma claims: Var(y) = mu^1.5, exact zeros among the rows."""
    mu = np.exp(eta)
    claims = rng.poisson(mu ** (2 - TWEEDIE_POWER) / (2 - TWEEDIE_POWER))
    size = (TWEEDIE_POWER - 1) * mu ** (TWEEDIE_POWER - 1)
    return rng.gamma(claims * (2 - TWEEDIE_POWER) / (TWEEDIE_POWER - 1), size)


def draw_ordinal(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    return np.searchsorted(np.array(CUTS), eta + rng.logistic(size=eta.size))


def draw_multinomial(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    """The class of the largest utility: its logit with Gumbel noise."""
    best, out = np.full(eta.size, -np.inf), np.zeros(eta.size, dtype=np.int64)
    for code, (constant, slope) in enumerate(CLASSES):
        utility = constant + slope * eta + rng.gumbel(size=eta.size)
        out[utility > best] = code
        np.maximum(best, utility, out=best)
    return out


def draw_zero_inflated(rng: np.random.Generator, eta: np.ndarray) -> np.ndarray:
    constant, slope = STRUCTURAL
    return rng.poisson(np.exp(eta)) * (1 - draw_binomial(rng, constant + slope * eta))


RESPONSES: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "poisson": draw_poisson,
    "binomial": draw_binomial,
    "gamma": draw_gamma,
    "negative_binomial": draw_negative_binomial,
    "tweedie": draw_tweedie,
    "ordinal": draw_ordinal,
    "multinomial": draw_multinomial,
    "zero_inflated": draw_zero_inflated,
}
