"""Simulated residuals: where the response stands among responses drawn from the fitted model.

Of `draws` simulated responses of a row, `below` are smaller than y and `equal` the same. Then

    u = (below + U (equal + 1)) / (draws + 1),   U uniform on [0, 1],

is uniform on [0, 1] where the model is true, whatever the family: y is then one more draw.

Source: Dunn & Smyth (1996); R's DHARMa, whose residuals and tests these are, with the rank of y among all draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchglm.diagnostics.checks.check import LEVEL, Check, Finding, Subject, p_text
from torchglm.errors import OptionError
from torchglm.inference.prediction.distribution import COUNTS

AT_ONCE = 2_000_000  # simulated responses held


@dataclass(frozen=True)
class Simulated(Check, name="simulation"):
    """Tests of simulated residuals, of at most `rows` rows that are drawn at random where there are more.

    uniform     Kolmogorov-Smirnov distance of u from the uniform distribution
    dispersion  Pearson's X2 over its mean in the simulations
    outliers    observations beyond all of their draws, against a binomial of chance 2 / (draws + 1)
    zeros       zeros over their mean in the simulations; counts only

    The p-value is the smallest, times the number of tests. The simulations hold the coefficients fixed.
    """

    draws: int = 250
    rows: int = 20_000

    def __post_init__(self) -> None:
        for name, value in (("draws", self.draws), ("rows", self.rows)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 10:
                raise OptionError(f"{name}= is a whole number of at least 10; got {value!r}.")

    def run(self, subject: Subject) -> Finding | str:
        if subject.no_distribution:
            return subject.no_distribution
        if subject.record.numbers.phi == 0.0:
            return "the dispersion is zero"
        try:
            drawn = simulate(subject, self.draws, self.rows)
        except OptionError:
            return f"the {subject.estimate.family.name} family cannot be simulated"
        table = drawn.tests(counts=subject.estimate.family.name in COUNTS)
        p = min(1.0, float(table["p"].to_numpy().min()) * len(table))
        worst, distance = str(table["p"].idxmin()), float(table["statistic"].to_numpy()[0])
        sampled = f", {drawn.n} rows" if drawn.n < subject.estimate.n else ""
        return Finding(
            "Simulation",
            f"KS D = {distance:.3f}{sampled}, {p_text(p)}",
            distance,
            p,
            f"differs: {worst}" if p < LEVEL else "data look simulated",
            p < LEVEL,
            "Responses drawn from the model differ from the data: " + _MEANING[worst],
            table,
        )


_MEANING = {
    "uniform": "their distribution is another. Try another family or link, or look for a missing term.",
    "dispersion": "they are spread otherwise about their means.",
    "outliers": "the data hold too many responses beyond every draw: the family's tails are too light.",
    "zeros": "they hold another number of zeros.",
}


@dataclass(frozen=True)
class Drawn:
    """What the simulations gave: `u` (n,) of the rows, and totals of each draw (draws,) beside the observed ones."""

    u: np.ndarray
    chi2: float
    simulated_chi2: np.ndarray
    zeros: float
    simulated_zeros: np.ndarray

    @property
    def n(self) -> int:
        """How many observations were looked at."""
        return len(self.u)

    def tests(self, counts: bool) -> pd.DataFrame:
        """A row a test: statistic and p."""
        from scipy import stats

        draws = len(self.simulated_chi2)
        distance = stats.kstest(self.u, "uniform")
        beyond = int(((self.u < 1.0 / (draws + 1)) | (self.u > draws / (draws + 1))).sum())
        chance = 2.0 / (draws + 1)
        rows = {
            "uniform": (float(distance.statistic), float(distance.pvalue)),
            "dispersion": (self.chi2 / self.simulated_chi2.mean(), _two_sided(self.chi2, self.simulated_chi2)),
            "outliers": (float(beyond), float(stats.binom.sf(beyond - 1, self.n, chance))),
        }
        if counts:
            mean = float(self.simulated_zeros.mean())
            ratio = self.zeros / mean if mean > 0 else math.nan
            rows["zeros"] = (ratio, _two_sided(self.zeros, self.simulated_zeros))
        return pd.DataFrame(rows, index=["statistic", "p"]).T


def _two_sided(value: float, simulated: np.ndarray) -> float:
    """Twice the smaller share of draws, the value itself among them, that lie as far out."""
    above, below = int((simulated >= value).sum()) + 1, int((simulated <= value).sum()) + 1
    return min(1.0, 2.0 * min(above, below) / (len(simulated) + 1))


def simulate(subject: Subject, draws: int, most: int) -> Drawn:
    """Residuals and totals of simulations of at most `most` observations; the same seed gives the same numbers.

    Raises: OptionError for a family that cannot be simulated.
    """
    rng = np.random.default_rng(subject.seed)
    generator = torch.Generator().manual_seed(subject.seed)
    rows, family, phi = subject.rows, subject.estimate.family, subject.record.numbers.phi
    index = _observations(rows.copies, most, rng)
    y, mu, variance, w = (torch.from_numpy(v[index]) for v in (rows.y, rows.mu, rows.variance, rows.w))
    n = len(y)
    below, equal = torch.zeros(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    chi2, zeros = [], []
    size = max(1, min(draws, AT_ONCE // n))
    for start in range(0, draws, size):
        shape = (min(size, draws - start), n)
        drawn = family.sample(mu.expand(shape).contiguous(), phi, generator, w.expand(shape).contiguous())
        below += (drawn < y - _close(y)).sum(0)
        equal += ((drawn - y).abs() <= _close(y)).sum(0)
        chi2.append((w * (drawn - mu).square() / variance).sum(1))
        zeros.append((drawn == 0).sum(1))
    u = (below + torch.from_numpy(rng.random(n)) * (equal + 1.0)) / (draws + 1.0)
    return Drawn(
        u.numpy(),
        float((w * (y - mu).square() / variance).sum()),
        torch.cat(chi2).numpy(),
        float((y == 0).sum()),
        torch.cat(zeros).to(torch.float64).numpy(),
    )


def _close(y: Tensor) -> Tensor:
    """Proportions such as 1/3, computed twice, may differ in their last bit."""
    return 1e-12 * y.abs()


def _observations(copies: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """The rows looked at, a row of frequency w up to w times: all where they are few enough, else drawn at random."""
    n = float(copies.sum())
    if n <= most and bool((copies == np.floor(copies)).all()):
        return np.repeat(np.arange(len(copies)), copies.astype(np.int64))
    if bool((copies == 1.0).all()):
        return rng.choice(len(copies), most, replace=False)
    return rng.choice(len(copies), min(most, max(int(n), 1)), p=copies / n)
