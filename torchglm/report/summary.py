"""The summary of a fit: a value that holds what is shown, and its four renderings."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd

from .page import WIDTH, Page, html_page, latex_page, markdown_page, wrapped
from .table import Table, estimates, number, p_value, significance_code, statistic

_STARS_LEGEND = "Significance codes: *** p < 0.001, ** p < 0.01, * p < 0.05, . p < 0.1"
_RATIOS = {
    "logit": "odds ratios",
    "log": "ratios of means",
    "cloglog": "hazard ratios",
    "softmax": "odds ratios against the base",
}

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Page):
    """What a summary shows, apart from how: print it, let a notebook show it, or take it as LaTeX or Markdown.

    `model` are facts that need a line of their own, `left` and `right` stand side by side, `coefficients` holds
    unrounded numbers.
    """

    title: str
    model: Pairs
    left: Pairs
    right: Pairs
    coefficients: pd.DataFrame
    notes: tuple[str, ...] = ()
    stars: bool = False

    @property
    def facts(self) -> Pairs:
        """The facts of both sides."""
        return self.left + self.right

    def as_text(self) -> str:
        """The summary for a terminal."""
        widest_pair = max((len(label) + len(value) for label, value in self.facts), default=0)
        # 9: two colons, a space after each, and five between the halves
        head, *body = self.table().text(at_least=max(WIDTH, 2 * widest_pair + 9)).splitlines()
        width = max(WIDTH, 2 * widest_pair + 9, *(len(line) for line in (head, *body)))
        lines = [self.title.center(width).rstrip(), "=" * width]
        lines += [line for label, value in self.model for line in _spanning(label, value, width)]
        lines += [_two_columns(left, right, width) for left, right in self._beside()]
        lines += ["=" * width, head, "-" * width, *body, "=" * width]
        return "\n".join([*lines, *wrapped(self.notes, width)])

    def as_html(self) -> str:
        """The summary as an HTML fragment."""
        return html_page("summary", self.title, [table.html() for table in self._tables()], self.notes)

    def as_markdown(self) -> str:
        """The summary as Markdown."""
        return markdown_page(self.title, [table.markdown() for table in self._tables()], self.notes)

    def as_latex(self) -> str:
        """The summary as a LaTeX table; the preamble needs the package booktabs."""
        tables = ("\n\n\\medskip\n".join(table.latex() for table in self._tables())).splitlines()
        return latex_page(self.title, tables, self.notes)

    def table(self) -> Table:
        """The coefficients as finished cells."""
        frame = self.coefficients
        header = ("", *(str(c) for c in frame.columns), *([""] if self.stars else []))
        rows = []
        for name, row in zip(frame.index, frame.to_numpy().tolist(), strict=True):
            values = dict(zip(frame.columns, row, strict=True))
            rows.append((str(name), *_cells(values), *([significance_code(_p(values))] if self.stars else [])))
        return Table(tuple(rows), header, ("left", *["right"] * len(frame.columns), *(["left"] if self.stars else [])))

    def _beside(self) -> list[tuple[tuple[str, str], tuple[str, str]]]:
        return list(zip_longest(self.left, self.right, fillvalue=("", "")))

    def _tables(self) -> list[Table]:
        facts = tuple((*left, *right) for left, right in self._beside())
        model = [Table(self.model, align=("left", "left"))] if self.model else []
        return [*model, Table(facts, align=("left", "right", "left", "right")), self.table()]


def summarize(fit: Any, *, level: float = 0.95, exponentiate: bool = False, stars: bool = False) -> Summary:
    """The summary of a fit, its intervals at `level`; `exponentiate` adds exp(coef) and gives its interval.

    Scale: coef, std err and the test are on the scale of the link, with `exponentiate` as without.
    """
    # a report lies below Fit and cannot import its type; it reads only public names, those of statsmodels first
    sides = (_left(fit), _right(fit))
    long = tuple(pair for side in sides for pair in side if _is_long(pair))
    left, right = (tuple(pair for pair in side if not _is_long(pair)) for side in sides)
    notes = tuple(_notes(fit, exponentiate, stars))
    return Summary(fit.title, _model(fit) + long, left, right, _coefficients(fit, level, exponentiate), notes, stars)


def _is_long(pair: tuple[str, str]) -> bool:
    return len("".join(pair)) > WIDTH // 2


def described(thing: Any) -> str:
    """The name of a family or link with its parameters: 'poisson', 'tweedie(power=1.5)'."""
    name = thing.name
    fields = dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ()
    values = [(f.name, getattr(thing, f.name)) for f in fields if f.name not in ("link", "name")]
    values = [(key, value) for key, value in values if value is not None]
    shown = ", ".join(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in values)
    return f"{name}({shown})" if shown else str(name)


def _coefficients(fit: Any, level: float, exponentiate: bool) -> pd.DataFrame:
    letter = "t" if fit.use_t else "z"
    params = fit.params
    lower, upper = fit.conf_int(level=level).to_numpy().T
    tail = (1 - level) / 2
    ends = f"[{tail:.4g}", f"{1 - tail:.4g}]"
    columns = {"coef": params, "std err": fit.bse, letter: fit.tvalues, f"P>|{letter}|": fit.pvalues}
    columns = {name: values.to_numpy() for name, values in columns.items()}
    if exponentiate:
        with np.errstate(over="ignore"):  # exp(710) overflows to inf, which is what the table should show
            columns = {
                "exp(coef)": np.exp(params.to_numpy()),
                ends[0]: np.exp(lower),
                ends[1]: np.exp(upper),
                **columns,
            }
    else:
        columns |= {ends[0]: lower, ends[1]: upper}
    return pd.DataFrame(columns, index=params.index)


def _model(fit: Any) -> Pairs:
    lines = [
        ("Formula", fit.formula),
        ("Offset", fit.offset_note),
        ("Weights", fit.weights_note),
        ("Penalty", fit.penalty_note),
        ("Covariance", fit.covariance_note),
    ]
    return tuple((label, value) for label, value in lines if value)


def _left(fit: Any) -> Pairs:
    """What was fitted, to what, and how."""
    steps = f"{fit.n_steps} step{'' if fit.n_steps == 1 else 's'}, {number(fit.passes, 1)} passes"
    how = "fixed" if fit.dispersion_kind.startswith("fixed at") else fit.dispersion_kind
    return (
        ("Response", str(fit.model.endog_names)),
        ("Family", described(fit.family)),
        ("Link", described(fit.family.link)),
        ("Scale", f"{number(fit.scale)} ({how})"),
        *((name, f"{number(v)} (SE {number(e)})") for name, (v, e) in fit.estimated_values.items()),
        ("Observations", number(fit.nobs)),
        ("Rows dropped", number(fit.rows_dropped)),
        ("Df residuals", number(fit.df_resid)),
        ("Df model", number(fit.df_model)),
        ("Solver", f"{fit.solver_name} ({steps})"),
    )


def _right(fit: Any) -> Pairs:
    """How well it fits; what is not defined is left out."""
    return (
        ("Converged", "yes" if fit.converged else "NO"),
        *_known(fit.llf, "Log-likelihood"),
        *_known(fit.penalised_llf, "Penalised log-lik."),
        *_known(fit.aic, "AIC"),
        *_known(fit.bic, "BIC"),
        ("Deviance", number(fit.deviance)),
        ("Null deviance", f"{number(fit.null_deviance)} on {number(fit.df_null)} df"),
        *_known(fit.pearson_chi2, "Pearson chi2"),
        *_known(fit.pseudo_r2("mcfadden"), "Pseudo R2 (McFadden)"),
        *_known(fit.pseudo_r2("d2"), "D2 (deviance)"),
    )


def _known(value: float, label: str) -> list[tuple[str, str]]:
    return [] if math.isnan(value) else [(label, number(value))]


def _notes(fit: Any, exponentiate: bool, stars: bool) -> list[str]:
    notes = []
    if not fit.converged:
        notes.append(f"Not converged: {fit.status}")
    if fit.infinite:
        ends = ", ".join(f"{name} -> {sign}inf" for name, sign in fit.infinite.items())
        notes.append(f"{fit.infinite_note}: {ends}. Their standard errors and tests mean nothing.")
    notes += fit.notes
    if fit.aliased:
        terms = "; ".join(f"{name} = {_sum(partners)}" for name, partners in fit.aliased.items())
        notes.append(f"({len(fit.aliased)} not defined because of singularities: {terms})")
    if fit.rows_zero_weight:
        notes.append(f"Rows of zero weight, left out of all counts: {fit.rows_zero_weight}")
    if math.isnan(fit.llf):
        notes.append("The family has no likelihood: log-likelihood, AIC and BIC are not defined.")
    if exponentiate:
        meaning = _RATIOS.get(fit.family.link.name)
        said = f"exp(coef) are {meaning}; the" if meaning else "The"
        notes.append(f"{said} interval is that of exp(coef); coef, std err and test are on the scale of the link.")
    if stars:
        notes.append(_STARS_LEGEND)
    return notes


def _sum(partners: list[str]) -> str:
    return " + ".join(partners) if partners else "0"


def _p(values: Mapping[str, float]) -> float:
    return next(v for name, v in values.items() if name.startswith("P>"))


def _cells(values: Mapping[str, float]) -> list[str]:
    """The cells of one row: numbers that belong together share their decimals."""
    ends = [name for name in values if name.startswith("[") or name.endswith("]")]
    error = values["std err"]
    tests = [name for name in values if name in ("z", "t")]
    link_scale = ["coef", "std err"]
    cells = {name: statistic(values[name]) for name in tests} | {
        name: p_value(values[name]) for name in values if name.startswith("P>")
    }
    if "exp(coef)" in values:
        # the standard error of exp(coef) by the delta method, here only to choose the decimals
        names = ["exp(coef)", *ends]
        delta = values["exp(coef)"] * error
        cells |= dict(zip(names, estimates((values[n] for n in names), delta), strict=True))
    else:
        link_scale += ends
    cells |= dict(zip(link_scale, estimates((values[n] for n in link_scale), error), strict=True))
    return [cells[name] for name in values]


def _spanning(label: str, value: str, width: int) -> list[str]:
    lead = f"{label + ':':<12} "
    return textwrap.wrap(value, width, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False)


def _two_columns(left: tuple[str, str], right: tuple[str, str], width: int) -> str:
    half = (width - 3) // 2
    cells = [(f"{label}:" if label else "", value) for label, value in (left, right)]
    halves = [label + value.rjust(half - len(label)) for label, value in cells]
    return (halves[0] + " " * (width - 2 * half) + halves[1]).rstrip()
