"""The penalties and what profiles them, under a short name: `torchglm.penalties.Firth()`."""

from __future__ import annotations

from torchglm.inference.intervals.penalised_profile import penalised_likelihood_ratio, penalised_profile_interval
from torchglm.objective.penalty import Firth, Jeffreys, Penalty

__all__ = ["Firth", "Jeffreys", "Penalty", "penalised_likelihood_ratio", "penalised_profile_interval"]
