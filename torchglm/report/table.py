"""A table of finished cells and its renderings, and how a number becomes a cell."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tabulate import tabulate

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # a row that opens with [ would be read as the optional argument of the \\ before it
    "]": "{]}",
} | {c: "\\" + c for c in "&%$#_{}"}


@dataclass(frozen=True)
class Table:
    """A rectangle of cells, each already a string; the first column is a label, the others are aligned right."""

    rows: tuple[tuple[str, ...], ...]
    header: tuple[str, ...] = ()
    align: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.rows} | ({len(self.header)} if self.header else set())
        if len(widths) > 1:
            raise ValueError(f"The rows of a table have one length, these have {sorted(widths)}.")

    @property
    def columns(self) -> int:
        """The number of columns."""
        return len(self.header or (self.rows[0] if self.rows else ()))

    @property
    def alignment(self) -> tuple[str, ...]:
        """'left' or 'right' for each column."""
        return self.align or ("left",) + ("right",) * (self.columns - 1)

    def text(self, at_least: int = 0) -> str:
        """The table for a terminal, its columns pulled apart evenly to fill that many characters."""
        header, rows = self.header, self.rows
        plain = _tabulated(rows, header, "plain", self.alignment)
        spare = at_least - max(map(len, plain.splitlines()), default=0)
        if spare > 0 and self.columns > 1:
            gap, odd = divmod(spare, self.columns - 1)
            pads = ["", *(" " * (gap + (j < odd)) for j in range(self.columns - 1))]
            rows = tuple(tuple(pad + cell for pad, cell in zip(pads, row, strict=True)) for row in rows)
            header = tuple(pad + cell for pad, cell in zip(pads, header, strict=True)) if header else ()
            plain = _tabulated(rows, header, "plain", self.alignment)
        return "\n".join(line.rstrip() for line in plain.splitlines())

    def html(self) -> str:
        """The table as one HTML element, its cells escaped."""
        return str(_tabulated(self.rows, self.header, "html", self.alignment))

    def markdown(self) -> str:
        """The table in the pipe syntax of GitHub, which wants a header even when it is empty."""
        rows = tuple(tuple(markdown_escape(cell) for cell in row) for row in self.rows)
        header = tuple(markdown_escape(cell) for cell in self.header) or ("",) * self.columns
        return _tabulated(rows, header, "pipe", self.alignment)

    def latex(self) -> str:
        """The table as a tabular with the rules of the booktabs package."""
        lines = [" & ".join(latex_escape(cell) for cell in row) + r" \\" for row in self.rows]
        head = [" & ".join(latex_escape(cell) for cell in self.header) + r" \\", r"\midrule"] if self.header else []
        letters = "".join(side[0] for side in self.alignment)
        body = [rf"\begin{{tabular}}{{{letters}}}", r"\toprule", *head, *lines, r"\bottomrule", r"\end{tabular}"]
        return "\n".join(body)


def _tabulated(rows: tuple, header: tuple, style: str, align: tuple[str, ...]) -> str:
    return tabulate(
        rows,
        headers=header,
        tablefmt=style,
        colalign=align if rows else None,
        headersalign=align if rows and header else None,
        disable_numparse=True,
        preserve_whitespace=style == "plain",
    )


def latex_escape(text: str) -> str:
    """The text with LaTeX's special characters spelled out, in any font encoding."""
    return "".join(_LATEX.get(c, c) for c in text)


def markdown_escape(text: str) -> str:
    """The text with the characters escaped that Markdown would take as markup; x_1 stays x_1."""
    return re.sub(r"[\\|*`<$]|(?<!\w)_|_(?!\w)", lambda hit: "\\" + hit.group(), text)


def number(x: float, decimals: int = 4) -> str:
    """The number for a line of facts: that many decimals, fewer when it is large, three digits when it is small."""
    if not math.isfinite(x):
        return _not_finite(x)
    if x == 0 or (float(x).is_integer() and abs(x) < 1e12):
        return f"{x:.0f}"
    magnitude = math.floor(math.log10(abs(x)))
    if magnitude >= 12 or magnitude < -decimals:
        return f"{x:.4g}"
    wanted = decimals - max(0, magnitude - 3) if magnitude >= 0 else max(decimals, 2 - magnitude)
    return f"{x:.{max(wanted, 1)}f}"


def estimates(values: Iterable[float], error: float) -> list[str]:
    """The numbers of one row with the same decimals: so many that the standard error shows three digits.

    At least four decimals for numbers below 10,000; scientific notation below errors of 1e-5 and from 1e9 on, or from
    1e13 on where the error itself is large: so that a separated coefficient stands in whole numbers among plain ones.
    """
    values = list(values)
    finite = [abs(x) for x in values if math.isfinite(x)]
    largest = max(finite, default=0.0)
    order = math.floor(math.log10(largest)) if largest > 0 else 0
    known = math.isfinite(error) and error > 0
    three_digits = 2 - math.floor(math.log10(error)) if known else 3 - order
    decimals = max(4 - max(0, order - 3), three_digits, 0)
    if order >= (13 if known and error >= 1e5 else 9) or decimals > 7:
        return [f"{x:.4e}" if math.isfinite(x) else _not_finite(x) for x in values]
    return [f"{x:z.{decimals}f}" if math.isfinite(x) else _not_finite(x) for x in values]


def statistic(x: float) -> str:
    """A z or t value: three decimals, or four digits from 100,000 on."""
    if not math.isfinite(x):
        return _not_finite(x)
    return f"{x:z.3f}" if abs(x) < 1e5 else f"{x:.3e}"


def p_value(p: float) -> str:
    """A p-value with three decimals; below 0.001 it says so, since 0.000 would claim a zero."""
    if math.isnan(p):
        return _not_finite(p)
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def significance_code(p: float) -> str:
    """R's significance code of a p-value."""
    return next((code for bound, code in ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, ".")) if p < bound), "")


def _not_finite(x: float) -> str:
    return "NaN" if math.isnan(x) else ("inf" if x > 0 else "-inf")
