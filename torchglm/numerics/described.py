"""Arguments in words: two processes that were given the same say the same of them, without showing their data."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function in memory


def described(value: Any) -> str:
    """The value as text: of values a row their number and a checksum, of an object what makes it equal to another."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | pd.Series | pd.Index | pd.DataFrame):
        return _checked(np.asarray(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {described(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(described, value)) + "]"
    if is_dataclass(value) and not isinstance(value, type):
        kept = ", ".join(f"{f.name}={described(getattr(value, f.name))}" for f in fields(value) if f.compare)
        return f"{type(value).__name__}({kept})"
    return value.__name__ if isinstance(value, ModuleType) else ADDRESS.sub("", repr(value))


def _checked(array: np.ndarray) -> str:
    is_object = array.dtype.kind == "O"
    held = "\0".join(map(str, array.ravel())).encode() if is_object else np.ascontiguousarray(array).view(np.uint8).data
    return f"{array.dtype} values of shape {array.shape}, checksum {zlib.crc32(held):08x}"
