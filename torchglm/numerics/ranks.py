"""Which process this is of how many, and the one sum they share."""

from __future__ import annotations

from dataclasses import dataclass

import torch.distributed as distributed
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """One process of `world`: rank 0 of 1 unless torch.distributed says otherwise."""

    rank: int = 0
    world: int = 1

    @staticmethod
    def current() -> Ranks:
        """The rank that torch.distributed has given this process, or the only one."""
        if distributed.is_available() and distributed.is_initialized():
            return Ranks(distributed.get_rank(), distributed.get_world_size())
        return Ranks()

    def all_sum(self, flat: Tensor) -> Tensor:
        """`flat` summed over the ranks, in place. One process: `flat` itself."""
        if self.world > 1:
            distributed.all_reduce(flat)
        return flat
