"""Unordered classes: the softmax of a logit for each class but the first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.families.likelihood import Information, Likelihood, RowTerms
from torchglm.families.predictor_rows import curvature_of
from torchglm.numerics.segments import cell_sums


class _Softmax(NamedTuple):
    """nll (rows,), its derivatives in all K logits (K, rows), and the probability and place of each row's own class.

    Shapes: probability, own (1, rows).
    """

    nll: Tensor
    gradient: Tensor
    probability: Tensor
    own: Tensor


@dataclass(frozen=True)
class Multinomial(Likelihood):
    """P(y = k) = exp(z_k) / (1 + exp(z_1) + ... + exp(z_(K-1))), z_0 = 0; y is coded 0 .. K - 1."""

    classes: int

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise OptionError(f"Multinomial(classes=...) needs two classes or more; got {self.classes}.")

    @cached_property
    def predictors(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One logit for each class but the first."""
        return tuple(f"class_{k}" for k in range(1, self.classes))

    @property
    def support(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The codes of the classes."""
        return f"a class from 0 to {self.classes - 1}"

    @property
    def is_canonical(self) -> bool:
        return True

    @property
    def is_convex(self) -> bool:
        return True

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        logits = _logits(z)
        peak, top = logits.max(0, keepdim=True)
        # The largest class is left out of the sum, so that its own nll e^-700 is not rounded to 0 by log(1 + ...).
        others = torch.exp(logits - peak).scatter(0, top, 0.0).sum(0)
        return torch.log1p(others) + (peak - logits.gather(0, _codes(y)))[0]

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        at = _softmax(y, z)
        return at.nll, at.gradient[1:].T

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        at = _softmax(y, z)
        p, q = at.gradient.scatter(0, at.own, at.probability).unbind(0), z.shape[1]
        # 1 - p is the sum of the others: where p rounds to 1 the difference has no digits.
        before, after = list(accumulate(p)), list(accumulate(reversed(p)))[::-1]
        others = [before[k - 1] + after[k + 1] if k < q else before[k - 1] for k in range(1, q + 1)]
        pairs = {(k, k): p[k + 1] * others[k] for k in range(q)}
        pairs |= {(k, l): (p[k + 1] * p[l + 1]).neg_() for k in range(q) for l in range(k + 1, q)}
        return RowTerms(at.nll, at.gradient[1:].T, curvature_of(pairs, q))

    def mean(self, z: Tensor) -> Tensor:
        return torch.softmax(_logits(z), 0).T

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        probabilities = self.mean(z)
        return {"probabilities": probabilities, "class": _logits(z).argmax(0)}

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        raise OptionError("The classes have no order, so that no probability is one of lower classes.")

    def check_response(self, y: Tensor) -> Tensor:
        return is_class(y, self.classes)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        share = class_shares(y, w, self.classes)
        return torch.log(share[1:] / share[0])

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One class a row."""
        return sample_class(self.mean(z), generator)


def is_class(y: Tensor, classes: int) -> Tensor:
    """True where y is a whole number from 0 to classes - 1."""
    return (y >= 0) & (y < classes) & (y == torch.floor(y))


def class_shares(y: Tensor, w: Tensor, classes: int) -> Tensor:
    """(classes,) the weighted share of each class; half a row more for each where one is empty."""
    weight = cell_sums(y.to(torch.int64), classes)(w)
    weight = torch.where((weight > 0.0).all(), weight, weight + 0.5)
    return weight / weight.sum()


def sample_class(probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
    """One class a row, from (rows, classes)."""
    drawn = torch.multinomial(probabilities, 1, generator=generator)
    return drawn[:, 0].to(probabilities.dtype)


def _logits(z: Tensor) -> Tensor:
    """(K, rows)."""
    each = z.T  # one logit after the other: no transposition
    return torch.cat([torch.zeros_like(each[:1]), each])


def _codes(y: Tensor) -> Tensor:
    """(1, rows)."""
    return y.to(torch.int64)[None, :]


def _softmax(y: Tensor, z: Tensor) -> _Softmax:
    own = _codes(y)
    logits = _logits(z)
    # Relative to the row's own class, and that left out of the sums: its nll e^-700 is not rounded to log(1) = 0.
    logits -= logits.gather(0, own)
    peak = logits.amax(0)
    odds = logits.sub_(peak).exp_().scatter_(0, own, 0.0)
    others = odds.sum(0)
    excess = torch.expm1(-peak).add_(others)
    share = 1.0 / (1.0 + excess)
    gradient = odds.mul_(share)
    gradient.scatter_(0, own, others.mul_(share).neg_()[None, :])
    probability = torch.exp(-peak).mul_(share)[None, :]
    return _Softmax(torch.log1p(excess).add_(peak), gradient, probability, own)
