"""Items made one ahead of their use: the next piece is read and decoded while this one is worked on."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

Item = TypeVar("Item")
END = object()


def ahead(items: Generator[Item, Any, Any]) -> Iterator[Item]:
    """The items, in order; another thread makes the one after that which is in use.

    Raises: what making an item raises, where the item would have come.
    """
    with closing(items), ThreadPoolExecutor(1, "torchglm-read") as reader:
        coming = reader.submit(next, items, END)
        while (item := coming.result()) is not END:
            coming = reader.submit(next, items, END)
            yield item  # type: ignore[misc]
