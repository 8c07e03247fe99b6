"""Which process this is of how many, and what the processes of one fit tell each other.

Every rank runs the same script. A rank decides from numbers that all ranks have, so that all come to the same
exchanges in the same order; what one of them alone finds wrong is told to all before it is raised. A tensor that is
summed over the ranks has the same shape on all, or gloo ends the process: what could differ is compared before.
"""

from __future__ import annotations

import atexit
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as distributed
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from torchglm.errors import OptionError, RankError, TorchGLMError
from torchglm.numerics.sums import Sums

TIMEOUT = "TORCHGLM_RANKS_TIMEOUT"  # seconds that ranks wait for each other
DEFAULT_TIMEOUT = 600.0
SWITCH = "TORCHGLM_RANKS"  # "off": each process fits by itself
ATTEMPT = "TORCHELASTIC_RESTART_COUNT"
TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
TOLD = "every rank stops with this error."
SAME_CALL = (
    "All ranks of one fit are given the same call and the same data, and share the work. For a fit of its own in each "
    f'process set {SWITCH}="off".'
)
SHOWN = 200  # letters of what differs
_apart: ContextVar[bool] = ContextVar("apart", default=False)  # whether a rank may stop without the others

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """One process of `world`: rank 0 of 1 unless torch.distributed, or torchrun, says otherwise."""

    rank: int = 0
    world: int = 1

    @staticmethod
    def current() -> Ranks:
        """The rank that torch.distributed has given this process, or the only one.

        Where torchrun has set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT and nobody has made the process group, it
        is made here: gloo for what is on the CPU, nccl for what is on a GPU that this rank has for itself.
        Raises: RankError where the other ranks do not come; OptionError for a timeout that is no number.
        """
        if not distributed.is_available() or os.environ.get(SWITCH, "").lower() == "off":
            return Ranks()
        if not distributed.is_initialized() and all(os.environ.get(name) for name in TORCHRUN):
            if os.environ["WORLD_SIZE"] == "1":
                return Ranks()
            _initialise()
        if distributed.is_initialized():
            return Ranks(distributed.get_rank(), distributed.get_world_size())
        return Ranks()

    def share(self, count: int) -> tuple[int, int]:
        """First and last + 1 of the `count` things side by side that are this rank's."""
        return count * self.rank // self.world, count * (self.rank + 1) // self.world

    def all_sum(self, flat: Tensor, doing: str = "adding up their shares of the rows") -> Tensor:
        """`flat` summed over the ranks, in place. One process: `flat` itself.

        Raises: RankError; the error of a rank that has failed within `together`.
        """
        if self.world > 1:
            if _apart.get():  # a rank that has stopped sends an error, which is no tensor
                self._exchange(doing, None, None)
            with self._reaching(doing):
                there = flat.to(_carrier(flat.device))
                distributed.all_reduce(there)
                if there is not flat:
                    flat.copy_(there)
        return flat

    def sum(self, own: Callable[[], Sums], nothing: Callable[[], Sums]) -> Sums:
        """own() of every rank added up, in one exchange; where it raises on one rank, all raise that error.

        `nothing()` has the shapes of own() and only zeros: what a rank sends that has failed.
        """
        try:
            total = own()
        except Exception as error:
            self._joined(nothing(), error)
            raise
        return self._joined(total, None)

    def _joined(self, total: Sums, failure: Exception | None) -> Sums:
        """The totals of all ranks added up, unless one of them brings a failure."""
        shape = zlib.crc32(repr([(name, tuple(value.shape)) for name, value in total.parts.items()]).encode())
        flat = total.flatten()
        flat = self.all_sum(torch.cat([flat, flat.new_tensor([float(failure is not None), float(shape)])]))
        failed, shapes = flat[-2:].tolist()
        if failed > 0.0:
            self._exchange("telling each other what went wrong", None, failure)
        if shapes != shape * self.world:
            raise RankError(
                "The ranks add up different things, so that no number of this fit can be trusted. Every rank must "
                "make the same calls, with the same arguments, in the same order."
            )
        return total.unflatten(flat[:-2])

    def gather(self, value: Value, doing: str) -> list[Value]:
        """The `value` of every rank, in the order of the ranks. It is pickled: small things only.

        Raises: RankError; the error of a rank that has failed within `together`.
        """
        return self._exchange(doing, value, None)

    def agree(self, facts: Mapping[str, str], doing: str = "comparing their calls", advice: str = "") -> None:
        """Nothing, where all ranks have the same facts, by name; `advice` is for those that differ in the first.

        Raises: RankError, which says what differs.
        """
        if not _apart.get() and self._has_one(repr(sorted(facts.items())), doing):
            return
        first, *others = self.gather(dict(facts), doing)
        for rank, other in enumerate(others, 1):
            for name in {**first, **other}:
                one, two = first.get(name, "none"), other.get(name, "none")
                if one != two:
                    raise RankError(
                        f"Ranks 0 and {rank} differ in {name}: {one[:SHOWN]} on rank 0, {two[:SHOWN]} on rank {rank}. "
                        f"{advice if name == next(iter(facts)) else ''}{SAME_CALL}"
                    )

    def _has_one(self, text: str, doing: str) -> bool:
        """Whether all ranks send the same text: two checksums are summed, for what is pickled costs thrice as much."""
        own = [float(zlib.crc32(each.encode())) for each in (text, text[::-1])]
        return self.all_sum(torch.tensor(own, dtype=torch.float64), doing).tolist() == [self.world * c for c in own]

    def total(self, value: float, doing: str = "counting rows") -> float:
        """The sum of a number over the ranks."""
        return sum(self.gather(value, doing))

    @contextmanager
    def together(self, doing: str) -> Iterator[None]:
        """A block after which all ranks go on, or all raise the error of the first rank that has one.

        Inside, each rank may fail by itself, before, between and after what they `gather` and `sum`: a sum there asks
        first whether all have come so far.
        """
        before = _apart.set(True)
        try:
            yield
        except Exception as error:
            _apart.reset(before)
            told = isinstance(error, RankError) or any(TOLD in note for note in getattr(error, "__notes__", ()))
            if not told:
                self._exchange(doing, None, error)
            raise
        _apart.reset(before)
        self._exchange(doing, None, None)

    def _exchange(self, doing: str, value: Any, failure: Exception | None) -> list[Any]:
        """The values of all ranks, unless one of them brings a failure."""
        if self.world == 1:
            if failure is not None:
                raise failure
            return [value]
        found: list[Any] = [None] * self.world
        with self._reaching(doing):
            distributed.all_gather_object(found, (doing, value, None if failure is None else _portable(failure)))
        for rank, (_, _, told) in enumerate(found):
            if told is not None:
                error = failure if failure is not None and repr(failure) == repr(told) else told
                error.add_note(f"Found by rank {rank} of {self.world}; {TOLD}")
                raise error
        others = [other for other, _, _ in found if other != doing]
        if others:
            raise RankError(
                f"Rank {self.rank} was {doing} while another was {others[0]}. Every rank must make the same calls, "
                "with the same arguments, in the same order."
            )
        return [each for _, each, _ in found]

    @contextmanager
    def _reaching(self, doing: str) -> Iterator[None]:
        """Nothing, where the other ranks come.

        Raises: RankError.
        """
        try:
            yield
        except RuntimeError as error:  # of gloo and nccl, which have no types of their own for it
            raise RankError(
                f"Rank {self.rank} of {self.world} lost the others while {doing}: one has died, has stopped with an "
                f"error of its own, or did not come in time. The first error among the outputs of the ranks says why. "
                "If a method of a fit was called on some ranks only: call it on all of them, and print on one. To go "
                "on, start all ranks again; with checkpoint= glm() continues from its last step. They wait for each "
                f"other {_timeout():g} s ({TIMEOUT}). torch says: {_first(error)}"
            ) from error


def _first(error: Exception) -> str:
    """The sentence of a message that says what happened."""
    return str(error).splitlines()[0].partition(" This is typically")[0]


def _timeout() -> float:
    given = os.environ.get(TIMEOUT, str(DEFAULT_TIMEOUT))
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < 1e9:
        raise OptionError(f"{TIMEOUT}={given!r} is no number of seconds above zero.")
    return seconds


def _initialise() -> None:
    """Nothing; this process is then one of torchrun's group."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
    own_gpu = torch.cuda.is_available() and distributed.is_nccl_available() and here <= torch.cuda.device_count()
    if own_gpu:
        torch.cuda.set_device(local_gpu())
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")  # or a lost rank is noticed by no call
    seconds, backend = _timeout(), "cpu:gloo,cuda:nccl" if own_gpu else "gloo"
    waiting = timedelta(seconds=seconds)
    try:
        store, rank, world = next(rendezvous("env://", timeout=waiting))
        # torchrun's store outlives a restart: without a name of its own a new rank meets the addresses of the dead.
        store = PrefixStore(f"torchglm {os.environ.get(ATTEMPT, '0')}", store)
        distributed.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=waiting)
    except RuntimeError as error:
        raise RankError(
            f"Rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} did not find the others at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} within {seconds:g} s ({TIMEOUT}). Start all "
            f'ranks; {SWITCH}="off" fits in each process by itself. torch says: {_first(error)}'
        ) from error
    atexit.register(_leave)


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def local_gpu() -> int:
    """The number of the GPU of this process: that of the process on its machine, by torchrun; else torch's own."""
    given = os.environ.get("LOCAL_RANK")
    return torch.cuda.current_device() if given is None else int(given) % torch.cuda.device_count()


def _carrier(device: torch.device) -> torch.device:
    """Where a tensor of `device` is for the process group to take it."""
    if device.type == "cpu" and distributed.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _portable(error: Exception) -> Exception:
    """The error as another process can read it: as it is, or in words where its class may need more than those."""
    if isinstance(error, TorchGLMError) or type(error).__module__ == "builtins":
        return error
    return RankError(f"{type(error).__name__}: {error}")
