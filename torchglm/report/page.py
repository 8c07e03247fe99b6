"""Page: tables between a title and notes, and what their renderings share."""

from __future__ import annotations

import html
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable

from .table import latex_escape, markdown_escape

WIDTH = 78  # of statsmodels, fits a terminal of 80


class Page(ABC):
    """A value that prints as text, and that a notebook shows as HTML."""

    @abstractmethod
    def as_text(self) -> str:
        """It for a terminal."""

    @abstractmethod
    def as_html(self) -> str:
        """It as an HTML fragment."""

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()


def wrapped(notes: Iterable[str], width: int = WIDTH) -> list[str]:
    """The lines of notes for a terminal."""
    return [line for note in notes for line in textwrap.wrap(note, width, break_long_words=False)]


def html_page(kind: str, title: str, body: Iterable[str], notes: Iterable[str]) -> str:
    """A fragment of the class torchglm-`kind`; `body` is HTML."""
    under = "".join(f"<p>{html.escape(note)}</p>\n" for note in notes)
    return f'<div class="torchglm-{kind}">\n<h4>{html.escape(title)}</h4>\n' + "\n".join(body) + f"\n{under}</div>"


def markdown_page(title: str, body: Iterable[str], notes: Iterable[str]) -> str:
    """Paragraphs; `body` is Markdown."""
    return "\n\n".join([f"**{markdown_escape(title)}**", *body, *map(markdown_escape, notes)])


def latex_page(title: str, body: Iterable[str], notes: Iterable[str]) -> str:
    """A table environment; `body` are lines of LaTeX."""
    head = [r"\begin{table}", r"\centering", rf"\caption{{{latex_escape(title)}}}"]
    under = [latex_escape(note) + r"\par" for note in notes]
    return "\n".join([*head, *body, "", r"\medskip", r"\footnotesize", *under, r"\end{table}"])
