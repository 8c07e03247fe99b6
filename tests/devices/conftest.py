"""A second device on a machine that has none: tensors that say they are elsewhere, and refuse to meet those here.

The device is called "meta", but its tensors have values, which lie in ordinary memory. As on a CUDA device, an
operation on tensors of two devices is an error, unless one of them is a single number or an index; so is looking at
memory with numpy; and a tensor made without device= is here, not there. A pass that would break on a GPU breaks here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

THERE = torch.device("meta")
MOVES = {"aten::_to_copy", "aten::copy_", "aten::_pin_memory"}
INDEXED = {"aten::index.Tensor": 1, "aten::index_put_": 1, "aten::index_put": 1, "aten::_index_put_impl_": 1}


class Elsewhere(torch.Tensor):
    """A tensor of the second device: `here` holds its values."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here: torch.Tensor) -> Elsewhere:
        out = torch.Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=THERE,
            requires_grad=here.requires_grad,
        )
        out.here = here
        return out

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self, **_: Any) -> str:
        return f"Elsewhere({self.here!r})"

    def tolist(self) -> Any:
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class SecondDevice(TorchDispatchMode):
    """Within, `device=THERE` of a factory or of .to() gives tensors of the second device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class Written(TorchFunctionMode):
    """Within, numbers that Python writes down keep their values, which torch drops for this device before dispatch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        if func is torch.Tensor.new_tensor:
            owner, value = args
            return torch.tensor(value, dtype=kwargs.get("dtype", owner.dtype)).to(kwargs.get("device", owner.device))
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            args = (args[0], indexes(args[1]), *args[2:])
        return func(*args, **kwargs)


def indexes(given: Any) -> Any:
    """Lists of an index as tensors."""
    if isinstance(given, tuple):
        return tuple(map(indexes, given))
    if not isinstance(given, list):
        return given
    return torch.tensor(given, dtype=torch.bool if given and isinstance(given[0], bool) else torch.int64)


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What `func` returns, on the device that its arguments are on, or that it is asked for."""
    name = func.name()
    given = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    assert not any(value.is_meta and not isinstance(value, Elsewhere) for value in given), f"{name}: lost its values"
    asked = kwargs.get("device")
    there = any(isinstance(value, Elsewhere) for value in given)
    if name == "aten::_to_copy":
        there = there if asked is None else torch.device(asked).type == THERE.type
    elif not given:
        there = asked is not None and torch.device(asked).type == THERE.type
    elif name == "aten::copy_":
        there = isinstance(args[0], Elsewhere)
    elif there:
        refuse_mixed(name, args, kwargs)
    elif asked is not None and torch.device(asked).type == THERE.type:  # as new_zeros(..., device=)
        there = True
    plain = {**kwargs, "device": torch.device("cpu")} if asked is not None else kwargs
    owners = {id(value.here): value for value in given if isinstance(value, Elsewhere)}
    found = func(*tree_map(values_of, args), **tree_map(values_of, plain))
    if name in ("aten::_local_scalar_dense", "aten::equal", "aten::is_same_size"):
        return found

    def back(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) in owners:
            return owners[id(value)]  # written in place
        return Elsewhere(value) if there else value

    return tree_map(back, found)


def values_of(value: Any) -> Any:
    return value.here if isinstance(value, Elsewhere) else value


def refuse_mixed(name: str, args: Any, kwargs: dict[str, Any]) -> None:
    """Nothing, where a GPU would take these arguments together."""
    if name.split(".")[0] in {key.split(".")[0] for key in INDEXED} and isinstance(args[0], Elsewhere):
        args = [value for k, value in enumerate(args) if k != 1]
    mixed = [
        value
        for value in tree_flatten((args, kwargs))[0]
        if isinstance(value, torch.Tensor) and not isinstance(value, Elsewhere) and value.dim() > 0
    ]
    if mixed:
        frame = sys._getframe(1)
        while frame.f_back is not None and "/torchglm/" not in frame.f_code.co_filename:
            frame = frame.f_back
        raise RuntimeError(f"{name} on two devices at {frame.f_code.co_filename}:{frame.f_lineno}")


@pytest.fixture
def second_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """device="cuda" means the second device."""
    import torchglm  # noqa: F401

    def device_of(given: Any) -> torch.device:
        return THERE if given == "cuda" else torch.device("cpu")

    for name, module in list(sys.modules.items()):
        if name.startswith("torchglm.") and "device_of" in vars(module):
            monkeypatch.setattr(module, "device_of", device_of)
    with SecondDevice(), Written():
        yield THERE


def made(rows: int, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(rng.uniform(-1.0, 1.0, size=(rows, 3)), columns=list("abc"))
    data["g"] = rng.choice(["p", "q", "r"], rows)
    data["h"] = rng.choice([f"L{k:02d}" for k in range(40)], rows)
    data["firm"] = rng.integers(0, 25, rows)
    eta = 1.0 + 0.3 * data["a"] - 0.2 * data["b"] + 0.2 * (data["g"] == "q")
    data["y"] = np.exp(eta) + 0.3 * rng.normal(size=rows)
    data["count"] = rng.poisson(np.exp(eta))
    data["zeros"] = data["count"] * (rng.random(rows) < 0.7)
    data["yes"] = (rng.random(rows) < 1.0 / (1.0 + np.exp(0.7 - eta))).astype(int)
    data["positive"] = rng.gamma(5.0, np.exp(eta) / 5.0)
    data["share"] = rng.beta(2.0, 3.0, rows)
    data["rating"] = np.clip(np.round(eta + rng.logistic(size=rows)), 0, 3).astype(int)
    data["w"] = rng.integers(0, 4, size=rows).astype(float)
    data["e"] = rng.uniform(0.5, 2.0, size=rows)
    return data


@pytest.fixture(scope="session")
def data() -> pd.DataFrame:
    return made(600)


@pytest.fixture(scope="session")
def many() -> pd.DataFrame:
    return made(40_000)
