"""Every python block of the README and of docs/ runs, and prints what the text block after it shows.

The blocks of a page run in order and in one namespace, in a folder that has docs/data and nothing else. So do the sh
blocks that consist of `python -m torchglm` and `echo $?`; what they print includes standard error.
`python tests/docs/test_pages.py` writes the text blocks anew from what the code prints.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"^```(?P<kind>python|sh)\n(?P<code>.*?)^```\n(?P<gap>\n*)(?:^```text\n(?P<shown>.*?)^```\n)?", re.M | re.S
)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]*\w)", re.I)
COMMAND = "python -m torchglm "
SEARCH = re.compile(r"\(\d{3,} steps, \d+ passes\)")  # their number depends on rounding
ROUNDING = 1.1  # units of the last digit shown


@dataclass(frozen=True)
class Block:
    """A block that is run, the line it starts on, and the text block after it, if there is one."""

    code: str
    line: int
    shown: str | None
    kind: str = "python"


def is_run(match: re.Match[str]) -> bool:
    return match["kind"] == "python" or match["code"].startswith(COMMAND)


def blocks(text: str) -> list[Block]:
    found = [m for m in BLOCK.finditer(text) if is_run(m)]
    return [Block(m["code"], text.count("\n", 0, m.start()) + 2, m["shown"], m["kind"]) for m in found]


def shell(code: str) -> None:
    """Nothing; the commands run in this process, one after the other."""
    from torchglm.command.main import main

    status = 0
    for line in code.replace("\\\n", " ").splitlines():
        if line == "echo $?":
            print(status)
            continue
        assert line.startswith(COMMAND), line
        try:
            status = main(shlex.split(line)[3:])
        except SystemExit as stop:
            status = int(stop.code or 0)


def run(page: Path, text: str) -> Iterator[tuple[Block, str]]:
    """Each block of a page with what it prints."""
    namespace: dict[str, Any] = {"__name__": f"page_{page.stem}"}
    for block in blocks(text):
        printed = io.StringIO()
        padded = "\n" * (block.line - 1) + block.code  # so that a traceback names the line of the page
        with contextlib.redirect_stdout(printed):
            if block.kind == "sh":
                with contextlib.redirect_stderr(printed):
                    shell(block.code)
                yield block, printed.getvalue()
                continue
            exec(compile(padded, str(page), "exec", dont_inherit=True), namespace)
        yield block, printed.getvalue()


def unit(number: str) -> float:
    """One unit of the last digit of a number as written: 0.01 for 3.14, 1 for 42."""
    mantissa, _, exponent = number.lower().partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def differences(shown: str, printed: str) -> list[str]:
    """Where two texts differ in more than spaces and the rounding of their numbers."""
    shown, printed = (SEARCH.sub("(a search)", text) for text in (shown, printed))
    frame = [" ".join(NUMBER.sub("#", text).split()) for text in (shown, printed)]
    if frame[0] != frame[1]:
        return [f"shown:\n{shown}", f"printed:\n{printed}"]
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return [f"shown {a}, printed {b}" for a, b in pairs if not is_close(a, b)]


def is_close(shown: str, printed: str) -> bool:
    if not {".", "e"} & set(shown.lower()):
        return shown == printed
    return math.isclose(float(shown), float(printed), rel_tol=1e-9, abs_tol=ROUNDING * unit(shown))


@contextlib.contextmanager
def folder_of_a_reader() -> Iterator[None]:
    """A temporary working folder with docs/data in it."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "docs" / "data", Path(folder) / "docs" / "data")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@pytest.fixture
def registries() -> Iterator[None]:
    """Classes that a page registers are forgotten after it."""
    from torchglm.diagnostics.checks.check import CHECKS
    from torchglm.families import FAMILIES, LINKS
    from torchglm.inference.covariance.kind import COVARIANCES

    kept = [(r, dict(r._classes), dict(r._aliases)) for r in (FAMILIES, LINKS, CHECKS, COVARIANCES)]
    yield
    for registry, classes, aliases in kept:
        registry._classes, registry._aliases = classes, aliases


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path):
    with folder_of_a_reader():
        for block, printed in run(page, page.read_text(encoding="utf-8")):
            if block.shown is not None:
                assert differences(block.shown, printed) == [], f"{page.name}:{block.line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_output_follows_its_code(page: Path):
    text = page.read_text(encoding="utf-8")
    assert text.count("\n```text\n") == sum(block.shown is not None for block in blocks(text))


def test_a_wrong_number_or_word_is_seen():
    assert differences("a 1.234 b\n", "a   1.235 b") == []
    assert differences("a 1.234 b", "a 1.236 b") != []
    assert differences("n = 64", "n = 65") != []
    assert differences("1.2e-05 x", "1.3e-05 y") != []
    assert differences("x1 2.0", "x2 2.0") != []


def rewrite(page: Path) -> None:
    """The page with its text blocks written anew."""
    text = page.read_text(encoding="utf-8")
    with folder_of_a_reader():
        printed = [output for _, output in run(page, text)]
    outputs = iter(printed)

    def renew(match: re.Match[str]) -> str:
        if not is_run(match):
            return match[0]
        output = next(outputs)
        if match["shown"] is None:
            return match[0]
        return f"```{match['kind']}\n{match['code']}```\n{match['gap']}```text\n{output.rstrip()}\n```\n"

    page.write_text(BLOCK.sub(renew, text), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:] or PAGES:
        rewrite(Path(name).resolve())
