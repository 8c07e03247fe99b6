"""Work spread over threads: torch lets go of Python's lock while it computes, and small tensors need one core each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

MOST = 8  # threads: more would wait for Python's lock
Found = TypeVar("Found")
_local = threading.local()


def threads() -> int:
    """How many threads `at_once` has for the calling thread: torch's own number, and one inside a work."""
    return 1 if getattr(_local, "works", False) else min(torch.get_num_threads(), MOST)


def at_once(works: Sequence[Callable[[], Found]]) -> list[Found]:
    """What each of the works returns, done at the same time; torch computes each of them in a single thread."""
    if len(works) == 1 or threads() == 1:
        return [work() for work in works]
    gradients = torch.is_grad_enabled()  # of the calling thread; others begin with gradients

    def alone(work: Callable[[], Found]) -> Found:
        with torch.set_grad_enabled(gradients):
            return work()

    return list(_pool(threads()).map(alone, works))


@lru_cache(maxsize=1)
def _pool(count: int) -> ThreadPoolExecutor:
    before, ready = torch.get_num_threads(), threading.Barrier(count + 1)

    def begin() -> None:
        _local.works = True
        torch.get_num_threads()  # else the thread's first call would set the number of the main thread again
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(count, "torchglm", initializer=begin)
    for _ in range(count):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(before)  # what the next thread begins with is the last number that any thread has set
    return pool


if os.name == "posix":  # threads do not outlive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
