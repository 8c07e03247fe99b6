"""A table of tests, one row a term or model, in four renderings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from .page import Page, html_page, latex_page, markdown_page, wrapped
from .table import Table, estimates, number, p_value, statistic

HEADERS = {
    "df": "df",
    "deviance": "deviance",
    "df.residual": "resid. df",
    "residual.deviance": "resid. dev.",
    "aic": "AIC",
    "p.value": "p",
}


@dataclass(frozen=True, eq=False, repr=False)
class TermTable(Page):
    """What a table of tests shows. `frame` holds the unrounded numbers; `statistic` names that column of it."""

    title: str
    frame: pd.DataFrame
    statistic: str | None = None
    notes: tuple[str, ...] = ()

    def table(self) -> Table:
        """The numbers as finished cells, empty where there is none."""
        columns = {name: _cells(str(name), list(self.frame[name])) for name in self.frame.columns}
        header = tuple(str(self.statistic) if n == "statistic" else HEADERS.get(str(n), str(n)) for n in columns)
        rows = tuple(zip(map(str, self.frame.index), *columns.values(), strict=True))
        return Table(rows, ("", *header))

    def as_text(self) -> str:
        """The table for a terminal."""
        notes = wrapped(self.notes)
        return "\n".join([self.title, "", self.table().text(), *([""] if notes else []), *notes])

    def as_html(self) -> str:
        """The table as an HTML fragment."""
        return html_page("tests", self.title, [self.table().html()], self.notes)

    def as_markdown(self) -> str:
        """The table as Markdown."""
        return markdown_page(self.title, [self.table().markdown()], self.notes)

    def as_latex(self) -> str:
        """The table as a LaTeX table; the preamble needs the package booktabs."""
        return latex_page(self.title, [self.table().latex()], self.notes)


def _cells(name: str, values: list[float]) -> list[str]:
    """One column's cells with the same decimals."""
    numbers = [float(x) for x in values]
    if name == "p.value":
        cells = [p_value(x) for x in numbers]
    elif name == "statistic":
        cells = [statistic(x) for x in numbers]
    elif name.startswith("df") or name == "model":
        cells = [number(x) for x in numbers]
    else:
        cells = estimates(numbers, math.nan)
    return ["" if math.isnan(x) else cell for x, cell in zip(numbers, cells, strict=True)]
