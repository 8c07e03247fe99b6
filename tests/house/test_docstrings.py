"""Every public module, class, function and method says what it is or returns; overrides need not repeat it."""

from __future__ import annotations

import ast

Function = ast.FunctionDef | ast.AsyncFunctionDef


def named(node: ast.expr) -> str:
    """The last name of an expression: Link for families.Link and for Registry[Link]."""
    if isinstance(node, ast.Subscript | ast.Call):
        return named(node.value if isinstance(node, ast.Subscript) else node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def classes_of(package) -> dict[str, ast.ClassDef]:
    return {node.name: node for source in package for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)}


def inherited(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> set[str]:
    """The names that the bases of a class define."""
    found: set[str] = set()
    for base in node.bases:
        parent = classes.get(named(base))
        if parent is not None and parent is not node:
            found |= {item.name for item in parent.body if isinstance(item, Function)} | inherited(parent, classes)
    return found


def exempt(node: Function) -> bool:
    marks = {named(mark) for mark in node.decorator_list}
    return bool(marks & {"overload", "override", "setter", "deleter"})


def missing_in(source, classes: dict[str, ast.ClassDef]) -> list[str]:
    missing = [] if not source.tree.body or ast.get_docstring(source.tree) else [source.name]
    for node in source.tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node) and not (isinstance(node, Function) and exempt(node)):
            missing.append(f"{source.name}:{node.lineno} {node.name}")
        if isinstance(node, ast.ClassDef):
            known = inherited(node, classes)
            missing += [
                f"{source.name}:{item.lineno} {node.name}.{item.name}"
                for item in node.body
                if isinstance(item, Function) and not item.name.startswith("_") and item.name not in known
                if not ast.get_docstring(item) and not exempt(item)
            ]
    return missing


def test_everything_public_has_a_docstring(package):
    classes = classes_of(package)
    assert [place for source in package for place in missing_in(source, classes)] == []
