"""The page of checks: a value that holds the findings, and its renderings."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass
from typing import Any

import pandas as pd

from torchglm.diagnostics.checks.ask import ask
from torchglm.diagnostics.checks.check import CHECKS, Finding, Subject
from torchglm.errors import UnknownNameError, did_you_mean
from torchglm.inference.estimate import Estimate
from torchglm.inference.record import Record
from torchglm.numerics.seeds import check_seed

from .page import WIDTH, Page, html_page, markdown_page
from .table import Table, markdown_escape

_TITLE = "Checks of the fit"


@dataclass(frozen=True, eq=False, repr=False)
class Checks(Page):
    """What was checked and found: print it, let a notebook show it, or take findings by name: `checks["link"]`.

    `left_out` says of each check that does not apply why not.
    """

    model: str
    findings: dict[str, Finding]
    left_out: dict[str, str]

    def __getitem__(self, name: str) -> Finding:
        """The finding of that check.

        Raises: UnknownNameError, which says why where the check does not apply.
        """
        if name in self.findings:
            return self.findings[name]
        if name in self.left_out:
            raise UnknownNameError(f"The check {name!r} does not apply to this fit: {self.left_out[name]}.")
        raise UnknownNameError(f"No check {name!r} was asked. {did_you_mean(name, CHECKS.names())}")

    @property
    def concerns(self) -> dict[str, Finding]:
        """The findings that want to be looked at."""
        return {name: found for name, found in self.findings.items() if found.concern}

    @property
    def ok(self) -> bool:
        """Whether nothing is of concern."""
        return not self.concerns

    def frame(self) -> pd.DataFrame:
        """A row a check: statistic, p, verdict, concern."""
        rows = {
            name: {"statistic": f.statistic, "p": f.p, "verdict": f.verdict, "concern": f.concern}
            for name, f in self.findings.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["statistic", "p", "verdict", "concern"])

    @property
    def notes(self) -> list[str]:
        """What to do about each concern, and what was not asked."""
        notes = [f"! {found.title}. {found.advice}" for found in self.concerns.values()]
        if self.findings and self.ok:
            notes.append("Nothing of concern.")
        if self.left_out:
            reasons = "; ".join(f"{name.replace('_', ' ')} ({why})" for name, why in self.left_out.items())
            notes.append(f"Not asked: {reasons}.")
        return notes

    def table(self) -> Table:
        """The findings as finished cells."""
        rows = tuple((f.title, f.number, ("! " if f.concern else "") + f.verdict) for f in self.findings.values())
        return Table(rows, ("Check", "Number", "Verdict"), ("left", "left", "left"))

    def as_text(self) -> str:
        """The page for a terminal."""
        head, *body = self.table().text().splitlines()
        width = max(WIDTH, *(len(line) for line in (head, *body)))
        model = textwrap.wrap(self.model, width, break_long_words=False)
        lines = [line.center(width).rstrip() for line in (_TITLE, *model)] + ["=" * width]
        lines += [head, "-" * width, *body, "=" * width]
        for note in self.notes:
            indent = "  " if note.startswith("! ") else ""
            lines += textwrap.wrap(note, width, subsequent_indent=indent, break_long_words=False)
        return "\n".join(lines)

    def as_html(self) -> str:
        """The page as an HTML fragment."""
        return html_page("checks", _TITLE, [f"<p>{html.escape(self.model)}</p>", self.table().html()], self.notes)

    def as_markdown(self) -> str:
        """The page as Markdown."""
        return markdown_page(_TITLE, [markdown_escape(self.model), self.table().markdown()], self.notes)


def checked(record: Record, estimate: Estimate, checks: Any, seed: int) -> Checks:
    """The page of a fit: of the checks named, or of all.

    Raises: UnknownNameError, OptionError.
    """
    facts = record.facts
    findings, left_out = ask(Subject(record, estimate, check_seed(seed)), checks)
    state = "" if facts.converged else "; NOT CONVERGED"
    return Checks(f"{facts.formula or facts.response}, {record.family.name}{state}", findings, left_out)
