"""Many roots sought at once: the distance from an estimate at which a rising function reaches a level."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CLOSE = 1e-9  # of the distance: what the last step of a search may be
STRIDE = 4.0  # times the largest distance tried, at most, that a search goes in one round
FLAT = 1e-9  # of the level: a function that rises by less while its distance doubles never gets there


@dataclass
class Brackets:
    """Newton's method within brackets, for f_k(distance_k) = level, f_k rising from 0 at distance 0.

    Shapes: all (m,). `found` is the distance reached: infinite where f never gets to the level, NaN where the search
    has not ended; where f stops being defined before it gets there, the last distance at which it is.
    """

    level: float
    distance: Tensor  # tried next
    low: Tensor  # the largest distance seen below the level
    reached: Tensor  # f there
    high: Tensor  # the smallest seen beyond
    found: Tensor
    active: Tensor  # the searches still going
    rounds: int = 0

    @staticmethod
    def of(first: Tensor, level: float) -> Brackets:
        """The searches that begin at the distances `first`."""
        nothing = torch.zeros_like(first)
        unknown = torch.full_like(first, torch.nan)
        everyone = torch.arange(len(first), device=first.device)
        return Brackets(
            level, first.clone(), nothing, nothing.clone(), unknown.nan_to_num(torch.inf), unknown, everyone
        )

    def narrow(self, value: Tensor, slope: Tensor) -> None:
        """Nothing; the brackets take in f and its slope at the distances of the active searches; f NaN: undefined."""
        k = self.active
        now, usable = self.distance[k], torch.isfinite(value)
        below = usable & (value < self.level)
        open_ended = ~torch.isfinite(self.high[k])
        doubled = below & open_ended & (self.low[k] > 0) & (now >= 2.0 * self.low[k])
        never = doubled & (value - self.reached[k] <= FLAT * self.level)
        self.reached[k[below]] = value[below]
        self.low[k[below]] = torch.maximum(self.low[k], now)[below]
        self.high[k[~below]] = torch.minimum(self.high[k], now)[~below]
        newton = now + (self.level - value) / slope
        ended = usable & ((newton - now).abs() <= CLOSE * now)
        low, high = self.low[k], self.high[k]
        stuck = torch.isfinite(high) & (high - low <= CLOSE * high)
        self.found[k] = torch.where(stuck, low, torch.nan)
        self.found[k[ended]] = newton[ended]
        self.found[k[never]] = torch.inf
        self.distance[k] = _guarded(newton, now, low, high, usable)
        self.active = k[~(ended | stuck | never)]
        self.rounds += 1


def _guarded(newton: Tensor, now: Tensor, low: Tensor, high: Tensor, usable: Tensor) -> Tensor:
    """Newton's distance where it lies within the bracket, or not too far beyond an open one; else a safe one."""
    closed = torch.isfinite(high)
    limit = torch.where(closed, high, STRIDE * torch.maximum(low, now))
    inside = usable & (newton > low) & (newton < limit)
    return torch.where(inside, newton, torch.where(closed, (low + high) / 2.0, limit))
