"""What the pages point at is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from torchglm import errors

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
FILE = re.compile(r"`([\w/]+/[\w/]*\w+\.(?:py|md|csv))`")
CODE = re.compile(r"^```.*?^```", re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path):
    prose = CODE.sub("", page.read_text(encoding="utf-8"))
    assert [target for target in LINK.findall(prose) if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_named_exist(page: Path):
    named = FILE.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    homes = (ROOT, ROOT / "torchglm")
    assert [name for name in named if not any((home / name).exists() for home in homes)] == []


def test_every_error_and_warning_has_a_row():
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    kinds = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert [name for name in kinds if f"| `{name}` |" not in page and f"a `{name}`" not in page] == []


def test_the_readme_leads_to_every_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.parent.name == "docs" and f"docs/{page.name}" not in readme] == []
