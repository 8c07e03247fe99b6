"""Whatever is registered by name can be imported under a public name and stands in the docs."""

from __future__ import annotations

import importlib
import re

import pytest

PUBLIC = (
    "torchglm",
    "torchglm.families",
    "torchglm.links",
    "torchglm.solvers",
    "torchglm.covariances",
    "torchglm.penalties",
    "torchglm.checks",
)


@pytest.fixture(scope="module")
def registered(package) -> dict[tuple[str, str], type]:
    """(kind, name) -> class, of every registry of the package; classes of user code and of tests left out."""
    from torchglm.numerics.registry import Registry

    registries = {}
    for source in package:
        for value in vars(importlib.import_module(source.module)).values():
            if isinstance(value, Registry):
                registries[id(value)] = value
    return {
        (registry.kind, name): registry.get(name)
        for registry in registries.values()
        for name in registry.names()
        if registry.get(name).__module__.split(".")[0] == "torchglm"
    }


def test_families_links_and_solvers_are_registered(registered):
    assert {kind for kind, _ in registered} >= {"family", "link", "solver"}


def test_every_registered_class_has_a_public_name(registered):
    homes = [importlib.import_module(name) for name in PUBLIC]
    hidden = [
        f"{kind} {name}: {cls.__name__}"
        for (kind, name), cls in registered.items()
        if not any(getattr(home, cls.__name__, None) is cls for home in homes)
    ]
    assert hidden == []


def test_every_registered_name_is_in_the_docs(registered, root):
    words = set()
    for page in (root / "docs").glob("*.md"):
        words |= set(re.findall(r"\w+", page.read_text(encoding="utf-8")))
    assert [f"{kind} {name}" for kind, name in registered if not set(re.findall(r"\w+", name)) <= words] == []


def test_every_public_name_exists():
    for home in map(importlib.import_module, PUBLIC):
        assert [name for name in getattr(home, "__all__", ()) if not hasattr(home, name)] == []
