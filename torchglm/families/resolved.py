"""Fields of a likelihood that may be given by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, overload

from torchglm.errors import OptionError
from torchglm.families.link import Link, UnitLink
from torchglm.families.links import resolve_link

T = TypeVar("T")


class Resolved(Generic[T]):
    """A field that always holds a T, and may be given its name, its class or an instance."""

    def __init__(self, default: str, resolve: Callable[[str | T | type[T]], T]) -> None:
        self._default = default
        self._resolve = resolve

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> str: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> T | str:
        # Asked of the class, this is the default that the dataclass puts into the constructor.
        return self._default if instance is None else vars(instance)[self._name]

    def __set__(self, instance: object, given: str | T | type[T]) -> None:
        vars(instance)[self._name] = self._resolve(given)


def resolve_unit_link(given: str | UnitLink | type[UnitLink]) -> UnitLink:
    """The link onto (0, 1) that a name, a class or an instance stands for.

    Raises: UnknownNameError; OptionError for a link onto anything else.
    """
    link: Link = resolve_link(given)
    if not isinstance(link, UnitLink):
        raise OptionError(
            f"A probability needs a link onto (0, 1), as logit, probit, cloglog, loglog or cauchit; got {link.name!r}."
        )
    return link
