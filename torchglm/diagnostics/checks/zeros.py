"""Zero inflation: more zeros than the means of a count explain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.design.block import Block
from torchglm.diagnostics.checks.check import LEVEL, Check, Finding, Subject, p_text
from torchglm.inference.prediction.distribution import COUNTS
from torchglm.numerics.sums import Sums
from torchglm.objective.objective import gradient_sums

NOTHING = 1e-12  # a share of a variance that is rounding
TOLERANCE = 0.05  # of observed / expected zeros, as performance::check_zeroinflation


@dataclass(frozen=True)
class ZeroInflation(Check, name="zero_inflation"):
    """The zeros observed against those expected, O and E = sum p0, p0 = P(y = 0) of a row.

    z           (O - E) / sqrt(sum p0 (1 - p0) - c' A c),  c = sum p0 s(0)               He, Zhang, Ye & Tang (2019)
    score chi2  (sum [y = 0] / p0 - n)^2 / (sum (1 / p0 - 1) - b' A b),  b = sum s(0)    van den Broek (1995)

    s(0) is the score that a zero in the row would have: -mu x for a Poisson with the log link. The verdict is that of
    z: the score test gives every row the weight 1 / p0, and says nothing once one mean is large.
    Source: Statistical Methods in Medical Research 28, 1157; Biometrics 51, 738.
    """

    def run(self, subject: Subject) -> Finding | str:
        from scipy import special

        family = subject.estimate.family
        if family.name not in COUNTS:
            return "the response is no count"
        if subject.no_distribution:
            return subject.no_distribution
        zeros = _Zeros.of(subject)
        z, score = zeros.z, zeros.score
        p = 2.0 * float(special.ndtr(-abs(z)))
        ratio = zeros.observed / zeros.expected if zeros.expected > 0 else math.nan
        concern = p < LEVEL and abs(ratio - 1.0) > TOLERANCE
        more = zeros.observed > zeros.expected
        verdict = ("too many zeros" if more else "too few zeros") if concern else "none"
        counts = {"observed": zeros.observed, "expected": zeros.expected, "ratio": ratio}
        details = pd.DataFrame(
            {
                "z": {**counts, "statistic": z, "p": p},
                "score chi2": {**counts, "statistic": score, "p": float(special.chdtrc(1.0, score))},
            }
        ).T
        advice = f"{zeros.observed:.0f} zeros, {zeros.expected:.1f} expected. "
        advice += (
            "A negative binomial, or a zero-inflated or hurdle model, has room for more."
            if more
            else "A hurdle model has room for fewer; or no zero can be observed, and the counts are truncated."
        )
        number = f"{zeros.observed:.0f} for {zeros.expected:.1f}, {p_text(p)}"
        return Finding("Zero inflation", number, z, p, verdict, concern, advice, details)


@dataclass(frozen=True)
class _Zeros:
    """Zeros counted, and the two statistics; NaN where the columns fit the zeros exactly."""

    observed: float
    expected: float
    z: float
    score: float

    @staticmethod
    def of(subject: Subject) -> _Zeros:
        rows, estimate = subject.rows, subject.estimate
        mu, copies, zero = rows.mu, rows.copies, rows.y == 0
        log_p0 = estimate.family.log_prob(torch.zeros(len(mu), dtype=torch.float64), torch.from_numpy(mu)).numpy()
        p0 = np.exp(log_p0)
        observed, expected = float(copies @ zero), float(copies @ p0)
        b, c = _scores_of_zeros(subject)
        known = [float(v.dot(estimate.curvature.solve(v))) for v in (b, c)]
        spread = float(copies @ (p0 * (1.0 - p0))) - known[1]
        z = (observed - expected) / math.sqrt(spread) if spread > NOTHING * expected else math.nan
        return _Zeros(observed, expected, z, _score_chi2(log_p0, zero, copies, estimate.n, known[0]))


def _scores_of_zeros(subject: Subject) -> tuple[Tensor, Tensor]:
    """b and c (p,), inner order: one pass."""
    estimate = subject.estimate
    objective, raw, model = estimate.objective, estimate.objective.raw(estimate.solution.theta), estimate.family

    def row_sums(block: Block) -> Sums:
        z, none = objective.predictors(block, raw), torch.zeros_like(block.y)
        _, gradient = objective.likelihood.slope(none, z)
        p0 = model.log_prob(none, model.link.inverse(z[:, 0])).exp()
        return Sums({**gradient_sums(block, gradient), "c": gradient_sums(block, gradient * p0[:, None])["gradient 0"]})

    sums = objective.sum(row_sums)
    return objective.collapse_gradient(sums), objective.collapse_gradient(Sums({"gradient 0": sums["c"]}))


def _score_chi2(log_p0: np.ndarray, zero: np.ndarray, copies: np.ndarray, n: float, known: float) -> float:
    """Both sums divided by what keeps 1 / p0 = exp(mu) of large means from overflowing."""
    top = float(-log_p0.min())
    with np.errstate(over="ignore"):  # a zero where the mean is 1500 is an infinite statistic
        score = float(copies @ np.where(zero, np.exp(-log_p0 - top / 2.0), 0.0)) - n * math.exp(-top / 2.0)
        spread = float(copies @ np.exp(-log_p0 - top)) - (n + known) * math.exp(-top)
    return score**2 / spread if spread > NOTHING else math.nan
