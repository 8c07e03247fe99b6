"""stream(): data that are read piece by piece, for every model."""

from __future__ import annotations

from typing import Any

from torchglm.design.sources import KINDS, Source, open_source
from torchglm.design.streams.open import open_stream, room_of
from torchglm.errors import DataError


def stream(data: Any, *, memory_limit: int | str | None = None, cache: Any = None) -> Source:
    """`data` as a table that is read piece by piece, whatever its size: the `data` of glm() and of every other model.

    data          a Parquet file, a pattern such as "flights/*.parquet", a directory of Parquet files or a list of them;
                  a pyarrow dataset, a DuckDB relation, a polars LazyFrame; a function that returns an iterable of
                  frames, the same ones at every call
    memory_limit  bytes, or text such as "512 MB", that work on the pieces may take; an eighth of the machine's memory
                  by default. It does not count Python and torch themselves, nor what scales with coefficients
    cache         the directory of the encoded data, by default that of temporary files. They take 8 bytes a number and
                  2 or 4 a factor, in a file without a name, of which nothing is left when the process ends

    Raises: DataError for what cannot be read piece by piece; OptionError.

    >>> import pandas as pd
    >>> frames = [pd.DataFrame({"x": [0.0, 1.0], "y": [1, 3]}), pd.DataFrame({"x": [2.0, 3.0], "y": [4, 9]})]
    >>> from torchglm import glm
    >>> glm("y ~ x", stream(lambda: iter(frames)), family="poisson").params.round(4).to_dict()
    {'Intercept': 0.2057, 'x': 0.6574}
    """
    opened = open_stream(data, room_of(memory_limit, cache))
    if opened is None:
        raise DataError(f"A {type(data).__name__} is no stream. {_advice(data)}")
    return opened


def opened(data: Any, memory_limit: int | str | None, cache: Any) -> Source:
    """The table that `data` is: a stream where a limit or a cache is given and it can be one.

    Raises: DataError, OptionError.
    """
    if memory_limit is None and cache is None:
        return open_source(data)
    return open_source(data, room_of(memory_limit, cache))


def _advice(data: Any) -> str:
    try:
        open_source(data)
    except DataError:
        return f"data must be {KINDS}."
    return "It is in memory already: give it to glm() as it is."
