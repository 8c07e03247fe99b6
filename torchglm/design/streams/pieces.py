"""A table in pieces, where it is a stream; in one, where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torchglm.design.environment import names_in
from torchglm.design.sources import Source
from torchglm.design.streams.stream import StreamedSource
from torchglm.design.terms import Factor


def pieces_of(source: Source, factors: Sequence[Factor]) -> Iterator[Source]:
    """The rows in order, with the columns that the factors use.

    Raises: what reading a stream raises.
    """
    if not isinstance(source, StreamedSource):
        yield source
        return
    names = dict.fromkeys(name for factor in factors for name in sorted(names_in(factor)) if name in source)
    yield from source.stream.pieces(list(names) or list(source.names[:1]))
