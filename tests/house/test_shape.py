"""Small files and plain signatures."""

from __future__ import annotations

import ast

Function = ast.FunctionDef | ast.AsyncFunctionDef


def places(source, kind) -> list:
    return [node for node in ast.walk(source.tree) if isinstance(node, kind)]


def test_no_file_is_longer_than_400_lines(everything):
    assert [source.name for source in everything if len(source.text.splitlines()) > 400] == []


def test_no_function_of_the_package_is_longer_than_a_screen(package):
    long = [
        f"{source.name}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for source in package
        for node in places(source, Function)
        if node.end_lineno - node.lineno + 1 > 80
    ]
    assert long == []


def test_annotations_are_never_evaluated(everything):
    wanted = "from __future__ import annotations"
    assert [source.name for source in everything if len(source.tree.body) > 1 and wanted not in source.text] == []


def test_no_keyword_bag_in_a_signature(package):
    # __init_subclass__ must hand on what the next class in line takes
    bags = [
        f"{source.name}:{node.lineno} {node.name}"
        for source in package
        for node in places(source, Function)
        if node.args.kwarg and node.name != "__init_subclass__"
    ]
    assert bags == []


def test_nothing_is_probed_printed_or_swallowed(package):
    calls = [
        f"{source.name}:{node.lineno} {node.func.id}"
        for source in package
        for node in places(source, ast.Call)
        if isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "print", "eval", "exec")
    ]
    handlers = [
        f"{source.name}:{node.lineno} except"
        for source in package
        for node in places(source, ast.ExceptHandler)
        if node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
        if not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]
    assert calls + handlers == []
