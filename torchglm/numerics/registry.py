"""Names given at class definition: `class Log(Link, name="log")` makes "log" mean that class."""

from __future__ import annotations

import dataclasses
from typing import Generic, TypeVar

from torchglm.errors import OptionError, UnknownNameError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """The classes of one kind, by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._classes: dict[str, type[T]] = {}
        self._aliases: dict[str, str] = {}

    def add(self, name: str, cls: type[T], aliases: tuple[str, ...] = ()) -> None:
        """Nothing; from now on `name` and `aliases` mean `cls`.

        Raises: OptionError where another class has the name. The same class defined again (a notebook cell run
        twice) replaces the older one.
        """
        for word in (name, *aliases):
            holder = self._classes.get(self._aliases.get(word, word))
            if holder is not None and _identity(holder) != _identity(cls):
                raise OptionError(
                    f"The {self.kind} name {word!r} belongs to {holder.__module__}.{holder.__qualname__}; "
                    f"give {cls.__qualname__} another name."
                )
        self._classes[name] = cls
        self._aliases.update((alias, name) for alias in aliases)

    def get(self, name: str) -> type[T]:
        """The class of that name.

        Raises: UnknownNameError, with the closest names.
        """
        cls = self._classes.get(self._aliases.get(name, name))
        if cls is None:
            known = (*self._classes, *self._aliases)
            raise UnknownNameError(f"There is no {self.kind} {name!r}. {did_you_mean(name, known)}")
        return cls

    def names(self) -> tuple[str, ...]:
        """Every name in the order of definition, without the aliases."""
        return tuple(self._classes)

    def resolve(self, given: object, base: type[T]) -> T:
        """The instance that a name, a class or an instance stands for.

        Raises: UnknownNameError for a name that nothing has; OptionError for anything else that is no `base`, and
        for a class that cannot be built without arguments.
        """
        if isinstance(given, base):
            return given
        if isinstance(given, str):
            cls = self.get(given)
        elif isinstance(given, type) and issubclass(given, base):
            cls = given
        else:
            raise OptionError(
                f"A {self.kind} is a name, a {base.__name__} class or a {base.__name__} instance; got {given!r}. "
                f"Names: {', '.join(self.names())}."
            )
        return _build(self.kind, cls)


def _identity(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _build(kind: str, cls: type[T]) -> T:
    missing = [f.name for f in dataclasses.fields(cls) if f.init and _is_required(f)]  # pyright: ignore[reportArgumentType]
    if missing:
        call = ", ".join(f"{name}=..." for name in missing)
        raise OptionError(f"The {kind} {cls.__name__} needs {' and '.join(missing)}: give {cls.__name__}({call}).")
    return cls()


def _is_required(field: dataclasses.Field[object]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
