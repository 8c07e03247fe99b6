"""Formulas made from formulas: ". ~ . - x + z", and the text of a formula that was read."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from dataclasses import replace

from torchglm.design.terms import Factor, Parsed, Term, parse
from torchglm.errors import FormulaError, UnknownNameError, did_you_mean

DOT = re.compile(r"`[^`]*`|'[^']*'|\"[^\"]*\"|(?P<dot>(?<![\w.)\]])\.(?![\w.]))")
REMOVED = re.compile(r"-\s*(?:`([^`]+)`|([^\W\d]\w*)(?![\w.(]))|`[^`]*`|'[^']*'|\"[^\"]*\"")


def updated(parsed: Parsed, change: str, names: Iterable[str] = ()) -> Parsed:
    """The formula that `change` makes of one: in it `.` stands for the old left or right side.

    Without "~", `change` is a right-hand side, and "- x + z" changes the old one; without a left one, the response
    stays. The result is written out anew, its terms by their order, so that `. ~ . - x` leaves no trace of x.
    Raises: FormulaError, as `parse`; UnknownNameError for a term to be removed that is not there.
    Source: stats::update.formula.
    """
    if not isinstance(change, str):
        raise FormulaError(f"A change of a formula is text such as '. ~ . - x + z'; got {type(change).__name__}.")
    left, tilde, right = change.partition("~")
    left, right = (left, right) if tilde else ("", change)
    right = f". {right}" if not tilde and right.lstrip().startswith(("+", "-")) else right
    if not right.strip():
        raise FormulaError(f"The formula {change!r} has nothing on its right-hand side. Write '. ~ .' to keep it.")
    _refuse_unknown_removals(parsed, right)
    response = "" if parsed.response is None else _written(parsed.response)
    kept_left = _with_dots(left, response).strip() or response
    kept_right = _with_dots(right, f"({_sum_of_terms(parsed)})")
    if kept_right != right:  # what cannot be multiplied stands in front, where a minus still reaches it
        outside = _offsets(parsed) if Term(()) in parsed.terms else ["0", *_offsets(parsed)]
        sign = "" if kept_right.lstrip()[0] in "+-" or not outside else "+ "
        kept_right = f"{' + '.join(outside)} {sign}{kept_right}"
    read = parse(f"{kept_left} ~ {kept_right}", names)
    return replace(read, text=formula_text(read))


def formula_text(parsed: Parsed) -> str:
    """The formula in text, each term written out once."""
    response = "" if parsed.response is None else f"{_written(parsed.response)} "
    sides = [_term_text(term) for term in parsed.terms if term.factors] + _offsets(parsed)
    side = " + ".join(sides)
    if Term(()) in parsed.terms:
        return f"{response}~ {side or '1'}"
    return f"{response}~ {side} - 1" if side else f"{response}~ 0"


def with_terms(parsed: Parsed, terms: Iterable[Term]) -> Parsed:
    """The formula with further terms, which are put behind those it has, main effects before interactions."""
    added = [_term_text(term) for term in terms]
    return updated(parsed, " + ".join([".", *added])) if added else parsed


def without_terms(parsed: Parsed, keys: Iterable[frozenset[str]]) -> Parsed:
    """The formula without the terms of these keys."""
    gone = set(keys)
    kept = replace(parsed, terms=tuple(term for term in parsed.terms if term_key(term) not in gone))
    return replace(kept, text=formula_text(kept))


def is_change(text: str) -> bool:
    """Whether text is a formula, or has a `.` that stands for one, rather than terms alone."""
    return "~" in text or any(hit["dot"] for hit in DOT.finditer(text))


def term_key(term: Term) -> frozenset[str]:
    """What two terms have in common that mean the same: `a:b` and `b:a`."""
    return frozenset(factor.text for factor in term.factors)


def _with_dots(text: str, old: str) -> str:
    return DOT.sub(lambda hit: old if hit["dot"] else hit[0], text)


def _sum_of_terms(parsed: Parsed) -> str:
    """The terms joined by +; "1" where there is none."""
    return " + ".join(_term_text(term) for term in parsed.terms if term.factors) or "1"


def _offsets(parsed: Parsed) -> list[str]:
    return [f"offset({offset.text})" for offset in parsed.offsets]


def _term_text(term: Term) -> str:
    return ":".join(map(_written, term.factors)) or "1"


def _written(factor: Factor) -> str:
    """A factor as a formula takes it: the name of a column in backticks where it must."""
    plain = factor.text.isidentifier() and not keyword.iskeyword(factor.text)
    return factor.text if factor.kind != "lookup" or plain else f"`{factor.text}`"


def _refuse_unknown_removals(parsed: Parsed, right: str) -> None:
    """Nothing, where each plain name behind a minus is in the formula: a typing error would change nothing."""
    known = {factor.text for factor in parsed.factors}
    for hit in REMOVED.finditer(right):
        name = hit[1] or hit[2]
        before = right[: hit.start()]
        if name and before.count("(") == before.count(")") and name not in known:
            labels = [term.label for term in parsed.terms if term.factors]
            raise UnknownNameError(f"The formula has no term {name!r} to remove. {did_you_mean(name, labels)}")
