"""Work beside a block: another thread's, in the caller's mode, and over when the block is."""

from __future__ import annotations

import threading

import pytest
import torch

from torchglm.numerics.threads import beside

CPU = torch.device("cpu")


def test_both_go_on_at_once():
    inside = threading.Event()
    with beside(lambda: inside.wait(30.0), CPU) as waiting:
        inside.set()
    assert waiting.result() is True


def test_what_either_raises_is_raised():
    with beside(lambda: 1 // 0, CPU) as failed:
        pass
    with pytest.raises(ZeroDivisionError):
        failed.result()
    over: list[int] = []
    with pytest.raises(KeyError), beside(lambda: over.append(1), CPU):
        raise KeyError
    assert over == [1]


@pytest.mark.parametrize("gradients", [True, False])
def test_it_computes_as_its_caller_does(gradients):
    before = torch.get_num_threads()
    with torch.set_grad_enabled(gradients), beside(torch.is_grad_enabled, CPU) as mode:
        pass
    assert mode.result() is gradients
    with beside(torch.get_num_threads, CPU) as cores:
        pass
    assert cores.result() == max(before - 1, 1)
    assert torch.get_num_threads() == before
