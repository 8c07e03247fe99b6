"""A table of tests, one row a term or model, in four renderings."""

from __future__ import annotations

import html
import math
import textwrap
from dataclasses import dataclass

import pandas as pd

from .table import Table, estimates, latex_escape, markdown_escape, number, p_value, statistic

HEADERS = {
    "df": "df",
    "deviance": "deviance",
    "df.residual": "resid. df",
    "residual.deviance": "resid. dev.",
    "aic": "AIC",
    "p.value": "p",
}
WIDTH = 78


@dataclass(frozen=True, eq=False)
class TermTable:
    """What a table of tests shows. `frame` holds the unrounded numbers; `statistic` names that column of it."""

    title: str
    frame: pd.DataFrame
    statistic: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.as_text()

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_html_(self) -> str:
        return self.as_html()

    def table(self) -> Table:
        """The numbers as finished cells, empty where there is none."""
        columns = {name: _cells(str(name), list(self.frame[name])) for name in self.frame.columns}
        header = tuple(str(self.statistic) if n == "statistic" else HEADERS.get(str(n), str(n)) for n in columns)
        rows = tuple(zip(map(str, self.frame.index), *columns.values(), strict=True))
        return Table(rows, ("", *header))

    def as_text(self) -> str:
        """The table for a terminal."""
        notes = [line for note in self.notes for line in textwrap.wrap(note, WIDTH, break_long_words=False)]
        return "\n".join([self.title, "", self.table().text(), *([""] if notes else []), *notes])

    def as_html(self) -> str:
        """The table as an HTML fragment."""
        notes = "".join(f"<p>{html.escape(note)}</p>\n" for note in self.notes)
        return f'<div class="torchglm-tests">\n<h4>{html.escape(self.title)}</h4>\n{self.table().html()}\n{notes}</div>'

    def as_markdown(self) -> str:
        """The table as Markdown."""
        parts = [f"**{markdown_escape(self.title)}**", self.table().markdown()]
        return "\n\n".join([*parts, *(markdown_escape(note) for note in self.notes)])

    def as_latex(self) -> str:
        """The table as a LaTeX table; the preamble needs the package booktabs."""
        notes = [latex_escape(note) + r"\par" for note in self.notes]
        head = [r"\begin{table}", r"\centering", rf"\caption{{{latex_escape(self.title)}}}"]
        return "\n".join([*head, self.table().latex(), "", r"\medskip", r"\footnotesize", *notes, r"\end{table}"])


def _cells(name: str, values: list[float]) -> list[str]:
    """One column's cells with the same decimals."""
    numbers = [float(x) for x in values]
    if name == "p.value":
        cells = [p_value(x) for x in numbers]
    elif name == "statistic":
        cells = [statistic(x) for x in numbers]
    elif name.startswith("df"):
        cells = [number(x) for x in numbers]
    else:
        cells = estimates(numbers, math.nan)
    return ["" if math.isnan(x) else cell for x, cell in zip(numbers, cells, strict=True)]
