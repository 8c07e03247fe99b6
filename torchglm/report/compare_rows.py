"""Which coefficients a comparison shows, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from torchglm.errors import OptionError, UnknownNameError, did_you_mean

Patterns = str | Sequence[str] | None


def merged(orders: Iterable[Sequence[str]]) -> list[str]:
    """Every name once, in the order of the lists: a list's new names stand before the next name it shares, else last.

    The intercept comes first.
    """
    rows: list[str] = []
    for names in orders:
        known, place = set(rows), len(rows)
        for name in reversed(names):
            if name in known:
                place = rows.index(name)
            else:
                rows.insert(place, name)
    return sorted(rows, key=lambda name: name != "Intercept")


def selected(names: Sequence[str], keep: Patterns, drop: Patterns) -> list[str]:
    """The names that `keep` finds, in the order of its patterns, less those that `drop` finds.

    A pattern is a name, or else a regular expression that is searched for.

    Raises: UnknownNameError for a pattern that finds nothing; OptionError for what is no pattern, and where no name
    is left.
    """
    kept = list(names) if keep is None else list(dict.fromkeys(_found(names, keep, "keep")))
    dropped = set() if drop is None else set(_found(names, drop, "drop"))
    rows = [name for name in kept if name not in dropped]
    if names and not rows:
        raise OptionError(f"keep= and drop= leave no coefficient to show, of {', '.join(names)}.")
    return rows


def _found(names: Sequence[str], patterns: str | Sequence[str], option: str) -> list[str]:
    out = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if not isinstance(pattern, str):
            raise OptionError(f"{option}= takes names or regular expressions, as text; got {pattern!r}.")
        hits = [pattern] if pattern in names else _matches(names, pattern, option)
        if not hits:
            raise UnknownNameError(f"{option}={pattern!r} finds no coefficient. {did_you_mean(pattern, names)}")
        out += hits
    return out


def _matches(names: Sequence[str], pattern: str, option: str) -> list[str]:
    try:
        return [name for name in names if re.search(pattern, name)]
    except re.error as error:
        raise OptionError(f"{option}={pattern!r} is no name and no regular expression: {error}.") from error


def labelled(names: Sequence[str], labels: Mapping[str, str] | None) -> dict[str, list[str]]:
    """Each label with the names that it stands for; a name without one is its own.

    Raises: OptionError for labels that are no dictionary.
    """
    if labels is not None and not isinstance(labels, Mapping):
        raise OptionError(f"labels= is a dictionary, coefficient -> label; got {labels!r}.")
    out: dict[str, list[str]] = {}
    for name in names:
        out.setdefault(name if labels is None else str(labels.get(name, name)), []).append(name)
    return out
