"""What a weight means.

Precision      Var(y_i) = phi V(mu_i) / w_i      weights=        R's glm(weights=): doubling all doubles phi, SEs stay
Frequency      row i stands for w_i equal rows   freq_weights=   every number as if the rows were written out
Probability    row i was drawn with chance c/w_i prob_weights=   sandwich covariance, mean 1, as survey::svyglm
"""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from torchglm.errors import WeightError


@dataclass(frozen=True)
class Weights(ABC):
    """Weights of the rows used, trials of a grouped binomial multiplied in.

    `trials` are those of a cbind that has weights besides: a row then counts values / trials times in the likelihood.
    """

    values: Tensor  # (rows,) float64
    label: str
    trials: Tensor | None = None
    meaning: ClassVar[str]

    def where(self, kept: Tensor) -> Self:
        """Those of the rows where `kept` is True."""
        return replace(self, values=self.values[kept], trials=None if self.trials is None else self.trials[kept])

    def normal(self, codes: Tensor | None = None) -> Self:
        """The same up to a factor that means nothing: one for all rows, or one a group, by `codes` (rows,)."""
        return self

    def count(self) -> float:
        """n: how many observations the rows stand for. Rows of zero weight stand for none."""
        return float((self.values > 0).sum())

    @property
    def note(self) -> str:
        """As the summary says it."""
        return f"{self.meaning}: {self.label}"


@dataclass(frozen=True)
class Precision(Weights):
    """Inverse variances, up to phi."""

    meaning: ClassVar[str] = "precision weights"


@dataclass(frozen=True)
class Frequency(Weights):
    """Repetitions."""

    meaning: ClassVar[str] = "frequency weights"

    def count(self) -> float:
        """The sum of the repetitions."""
        return float(self.values.sum())


@dataclass(frozen=True)
class Probability(Weights):
    """Inverse chances of having been sampled, up to a factor: `normal` makes 1 their mean over rows of positive weight.

    So no dispersion and no likelihood depends on the units of the weights.
    """

    meaning: ClassVar[str] = "sampling weights"

    def normal(self, codes: Tensor | None = None) -> Self:
        here = torch.zeros(len(self.values), dtype=torch.int64) if codes is None else codes + 1  # -1 is no group
        positive = self.values > 0
        sums = torch.bincount(here, given_weights(self.values, self.trials))
        mean = sums / torch.bincount(here, positive.to(torch.float64))
        return replace(self, values=torch.where(positive, self.values / mean[here], 0.0))


KINDS: dict[str, type[Weights]] = {"weights": Precision, "freq_weights": Frequency, "prob_weights": Probability}


def given_weights(values: Tensor, trials: Tensor | None) -> Tensor:
    """(rows,) weights as they were given, the trials that were multiplied in taken out; 0 where there is no trial."""
    return values if trials is None else torch.where(trials > 0, values / trials, 0.0)


def first_bad_weight(values: Tensor) -> int | None:
    """The first row whose weight is negative or infinite."""
    bad = (values < 0) | torch.isinf(values)
    return int(torch.nonzero(bad)[0]) if bool(bad.any()) else None


def frequency_of_trials(label: str) -> WeightError:
    """The error of frequency weights beside trials."""
    return WeightError(
        f"freq_weights={label} cannot repeat the rows of cbind(successes, failures): a row of trials that is "
        "repeated is not a row of more trials, and n counts rows. Write the rows out, as "
        f"data.loc[data.index.repeat(data[{label!r}])], or count 0/1 responses."
    )


def no_trials() -> WeightError:
    """The error of a binomial response without any trial."""
    return WeightError("cbind(successes, failures) has no trial: both are zero in every row.")


def all_zero(role: str, label: str) -> WeightError:
    """The error of weights that are all zero."""
    return WeightError(f"{role}={label} is zero in every row.")
