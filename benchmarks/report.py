from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.contestant import Plan
from benchmarks.machine import describe

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    quick: bool
    repeats: int
    peers: tuple[str, ...] | None
    save: bool

    def plan(self) -> Plan:
        return Plan(min(self.repeats, 2), budget=3.0) if self.quick else Plan(self.repeats)

    def choose(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the names that were asked for; all, where nothing was."""
        return names if self.peers is None else tuple(name for name in names if name in self.peers)


@dataclass(frozen=True)
class Section:
    """One table with a line above it and lines below it."""

    heading: str
    columns: list[str]
    rows: list[list[Any]]
    remarks: list[str]

    def text(self) -> str:
        align = ["left"] + ["right"] * (len(self.columns) - 1)
        table = tabulate(self.rows, self.columns, tablefmt="github", disable_numparse=True, colalign=align)
        return "\n\n".join([self.heading, table, "\n".join(f"* {remark}" for remark in self.remarks)]).rstrip()


def publish(name: str, command: str, sections: list[Section], *, save: bool) -> None:
    """Nothing: prints the tables, and writes them to results/NAME.md when asked."""
    body = "\n\n".join(section.text() for section in sections)
    print(body)
    if save:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(f"# {name}\n\n    {command}\n\n{body}\n\n{describe()}\n")


def number(value: float, digits: int = 3) -> str:
    """A figure of that many digits; `-` where there is none."""
    return "-" if value != value else f"{value:#.{digits}g}".rstrip(".")


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.0f}"
