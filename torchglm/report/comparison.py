"""Fits side by side: a value that holds what is shown, and its four renderings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from .compare_facts import TOP, shown
from .page import Page, html_page, latex_page, markdown_page, wrapped
from .table import Table, estimates, p_value, significance_code, statistic

STATISTICS = ("se", "t", "p", "ci")
_NARROWEST = 60  # of the lines of notes

Numbers = Mapping[str, float]
Cell = tuple[str, str]  # what is aligned, and what stands right of it


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Page):
    """What a table of fits shows, apart from how: print it, let a notebook show it, or take it as LaTeX or Markdown.

    frame   unrounded: a row a coefficient, columns (fit, number) with the numbers named as by `Fit.tidy`;
            NaN where a fit has no such coefficient and where it is aliased
    facts   unrounded: a row a fact, a column a fit
    marks   (coefficient, fit) -> what stands in place of a number: "-" where aliased, "inf" where separated
    """

    title: str
    frame: pd.DataFrame
    facts: pd.DataFrame
    marks: Mapping[tuple[str, str], str]
    statistic: str | None = "se"
    stars: bool = False
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The fits, as the columns are headed."""
        return tuple(str(name) for name in self.facts.columns)

    def as_text(self) -> str:
        """The table for a terminal."""
        room = 3 if self.stars else int(self.statistic is not None)
        table = self.table(room).text().splitlines()
        width = max(_NARROWEST, len(self.title), *map(len, table))
        head, first, second, rest = self._sections(table, 1)
        rule = ["-" * width]
        lines = [self.title.center(width).rstrip(), "=" * width, *head, *first, *rule, *second]
        return "\n".join([*lines, *(rule if rest else []), *rest, "=" * width, *wrapped(self.notes, width)])

    def as_html(self) -> str:
        """The table as an HTML fragment."""
        return html_page("comparison", self.title, [self.table().html()], self.notes)

    def as_markdown(self) -> str:
        """The table as Markdown."""
        return markdown_page(self.title, [self.table().markdown()], self.notes)

    def as_latex(self) -> str:
        """The table for LaTeX; the preamble needs the package booktabs."""
        *lines, bottom, end = self.table().latex().splitlines()
        lines.remove(r"\midrule")  # that of the header, which the responses may follow
        head, first, second, rest = self._sections(lines, 3)
        rule = [r"\midrule"]
        tabular = [*head, *first, *rule, *second, *(rule if rest else []), *rest, bottom, end]
        return latex_page(self.title, tabular, self.notes)

    def table(self, room: int = 0) -> Table:
        """The finished cells, `room` characters left for what follows the numbers: stars, closing parentheses."""
        columns = [pd.DataFrame(self.frame[name]).to_dict("records") for name in self.names]
        above, below = self._fact_rows(room)
        rows = list(above)
        for label, numbers in zip(self.frame.index, zip(*columns, strict=True), strict=True):
            finest = min((n["std.error"] for n in numbers if n["std.error"] > 0), default=math.nan)
            pairs = [self._cells(label, name, n, finest) for name, n in zip(self.names, numbers, strict=True)]
            for head, cells in zip((str(label), ""), zip(*pairs, strict=True), strict=True):
                if head or self.statistic is not None:
                    rows.append((head, *(number + mark.ljust(room) for number, mark in cells)))
        return Table((*rows, *below), ("", *(name + " " * room for name in self.names)))

    def _cells(self, label: str, name: str, numbers: Numbers, finest: float) -> tuple[Cell, Cell]:
        """The estimate and what stands below it."""
        mark = self.marks.get((label, name))
        if mark is not None or math.isnan(numbers["estimate"]):
            return (mark or "", ""), ("", "")
        error = numbers["std.error"]
        # one coefficient has the same decimals in all columns, unless their precision differs more than tenfold
        scale = max(finest, error / 10.0) if error > 0 else error
        names = ("estimate", "std.error", "conf.low", "conf.high")
        shown = dict(zip(names, estimates((numbers[n] for n in names), scale), strict=True))
        below = {
            None: ("", ""),
            "se": ("(" + shown["std.error"], ")"),
            "t": ("(" + statistic(numbers["statistic"]), ")"),
            "p": ("(" + p_value(numbers["p.value"]), ")"),
            "ci": (f"[{shown['conf.low']}, {shown['conf.high']}", "]"),
        }[self.statistic]
        return (shown["estimate"], star_code(numbers["p.value"]) if self.stars else ""), below

    def _fact_rows(self, room: int) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        """The rows of facts above the coefficients and below them."""
        cells = [[shown(value) for value in row] for row in self.facts.itertuples(index=False, name=None)]
        rows = [
            (str(label), *(cell + " " * room for cell in row))
            for label, row in zip(self.facts.index, cells, strict=True)
        ]
        return [row for row in rows if row[0] == TOP], [row for row in rows if row[0] != TOP]

    def _sections(self, lines: list[str], head: int) -> tuple[list[str], ...]:
        """The lines of a table cut before what stands above, the coefficients, and the facts below."""
        top = head + int(TOP in self.facts.index)
        middle = top + len(self.frame) * (1 if self.statistic is None else 2)
        return lines[:head], lines[head:top], lines[top:middle], lines[middle:]


def star_code(p: float) -> str:
    """R's significance code of a p-value, + for the weakest: a dot would look like one of the number."""
    return significance_code(p).replace(".", "+")
