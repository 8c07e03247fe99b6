"""Items made one ahead of their use: the next piece is read and decoded while this one is worked on."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
END = object()


def ahead(items: Generator[Item, Any, Any]) -> Generator[Item, None, None]:
    """The items, in order; another thread makes the one after that which is in use.

    Whoever leaves it before its end closes it: an interrupt while Python clears away a generator that nobody closed is
    lost.
    Raises: what making an item raises, where the item would have come.
    """
    reader = ThreadPoolExecutor(1, "torchglm-read")
    try:
        coming = reader.submit(next, items, END)
        while (item := coming.result()) is not END:
            coming = reader.submit(next, items, END)
            yield item  # type: ignore[misc]
    finally:
        reader.shutdown()  # an interrupt here leaves `items` at work, where it could not be closed
        items.close()
