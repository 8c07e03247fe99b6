"""A file imports lower floors or its own folder only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

FLOORS = {
    "errors": 0,
    "progress": 0,
    "numerics": 0,
    "families": 1,
    "design": 2,
    "objective": 3,
    "solvers": 4,
    "inference": 5,
    "diagnostics": 6,
    "report": 7,
    "command": 8,
    "many": 8,
}
TOP = 8
# they meet in objective only
STRANGERS = {("families", "design"), ("design", "families")}


def imports(tree: ast.Module, package: str) -> Iterator[str]:
    """The full names of the modules of torchglm that a file of `package` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "torchglm")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join(parts[: len(parts) - node.level + 1] + ([base] if base else []))
            if base == "torchglm":
                yield from (f"torchglm.{alias.name}" for alias in node.names)
            elif base.split(".")[0] == "torchglm":
                yield base


def room(module: str) -> str:
    """The folder, or the file at the top, that a module is in."""
    return [*module.split("."), ""][1]


def test_every_folder_has_a_floor(package):
    folders = {room(source.module) for source in package if source.module.count(".") > 1 or source.is_package}
    assert folders - {""} <= FLOORS.keys()


def test_no_import_goes_up(package):
    upward = []
    for source in package:
        here = room(source.module)
        for target in imports(source.tree, source.package):
            there = room(target)
            allowed = here == there or (
                FLOORS.get(there, TOP) < FLOORS.get(here, TOP) and (here, there) not in STRANGERS
            )
            # errors is below its own floor, and the files at the top are one floor
            if not (allowed or there == "errors" or FLOORS.get(here, TOP) == TOP):
                upward.append(f"{source.name} imports {target}")
    assert upward == []


def test_the_rule_sees_relative_and_absolute_imports():
    lines = [
        "from ..numerics.linalg import solve",
        "from . import block",
        "from .. import errors",
        "import torchglm.report.table",
        "import torch",
    ]
    found = list(imports(ast.parse("\n".join(lines)), "torchglm.design"))
    assert found == ["torchglm.numerics.linalg", "torchglm.design", "torchglm.errors", "torchglm.report.table"]
