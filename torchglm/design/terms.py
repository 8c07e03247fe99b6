"""Formula text -> response, terms and offsets, by formulaic's grammar, and R's rank rule on the terms.

A formula is code: what stands in it is evaluated.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from formulaic import Formula, SimpleFormula
from formulaic.errors import FormulaicError

from torchglm.errors import FormulaError

Piece = tuple[tuple[str, bool], ...]  # (factor, reduced) in the term's order: what a term adds to the columns before it


@dataclass(frozen=True)
class Factor:
    """One factor of a term: a column to look up, code to evaluate, or a number that scales the term."""

    text: str
    kind: str  # "lookup", "python", "literal"


@dataclass(frozen=True)
class Term:
    """Factors multiplied together; none for the intercept."""

    factors: tuple[Factor, ...]

    @property
    def label(self) -> str:
        """As it prints: `a:b`, and `1` for the intercept."""
        return ":".join(f.text for f in self.factors) or "1"


@dataclass(frozen=True)
class Parsed:
    """A formula in parts. `response` is None for a one-sided formula; `offsets` are the arguments of offset(...)."""

    text: str
    response: Factor | None
    terms: tuple[Term, ...]
    offsets: tuple[Factor, ...]

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The distinct factors of the terms, in order."""
        return tuple(dict.fromkeys(f for t in self.terms for f in t.factors if f.kind != "literal"))


def parse(text: str, names: Iterable[str] = ()) -> Parsed:
    """The parts of a formula; `names` are the columns that `.` stands for.

    Raises: FormulaError for what formulaic's grammar refuses, or for more than one response or one right-hand side.
    """
    if not isinstance(text, str):
        raise FormulaError(f"A formula is text such as 'y ~ x1 + C(g)'; got {type(text).__name__}.")
    return _parsed(text, tuple(names))


@lru_cache(256)
def _parsed(text: str, given: tuple[str, ...]) -> Parsed:
    names = list(given)
    _refuse_unreadable(text, names)
    try:
        whole: Any = Formula(text, _context={"__formulaic_variables_available__": names})  # pyright: ignore[reportAbstractUsage]
    except (FormulaicError, SyntaxError, ValueError) as error:
        raise FormulaError(f"The formula {text!r} cannot be read: {plain(error)}") from error
    left, right = (whole.lhs, whole.rhs) if "~" in text and not isinstance(whole, SimpleFormula) else (None, whole)
    if not isinstance(right, SimpleFormula):
        raise FormulaError(f"The formula {text!r} has more than one right-hand side; glm() takes one.")
    response = _response(text, left)
    terms, offsets = [], []
    for term in right:
        factors = tuple(Factor(f.expr, f.eval_method.value) for f in term.factors)
        if len(factors) == 1 and (inside := _offset(factors[0].text)) is not None:
            offsets.append(Factor(inside, "python"))
        else:
            factors = tuple(f for f in factors if not (f.kind == "literal" and f.text == "1"))
            terms.append(Term(factors))
    _refuse(text, response, terms)
    return Parsed(text, response, tuple(terms), tuple(offsets))


def _refuse_unreadable(text: str, names: list[str]) -> None:
    """Nothing, for a text that formulaic reads as it is meant."""
    if text.rstrip().endswith("~"):
        raise FormulaError(
            f"The formula {text!r} has nothing on its right-hand side. Write '~ 1' for an intercept alone."
        )
    has_dot = re.search(r"(?<![\w.`)])\.(?![\w.])", text.partition("~")[2])
    if re.search(r"`[01]`", text) or (has_dot and "1" in names):
        raise FormulaError(
            "A column labelled 0 or 1 cannot stand in a formula, where they are the intercept. Rename it."
        )


def _response(text: str, left: object) -> Factor | None:
    if left is None:
        return None
    terms = list(left) if isinstance(left, SimpleFormula) else []
    if len(terms) != 1 or len(terms[0].factors) != 1:
        raise FormulaError(
            f"The left-hand side of {text!r} must be one response: a column, code such as log(y), "
            "or cbind(successes, failures). For a sum write I(a + b)."
        )
    factor = terms[0].factors[0]
    return Factor(factor.expr, factor.eval_method.value)


def _offset(text: str) -> str | None:
    """The argument of offset(...), or None."""
    if not text.startswith("offset(") or not text.endswith(")"):
        return None
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError:
        return text[len("offset(") : -1]  # a quoted name inside
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and len(call.args) == 1 and not call.keywords:
        return ast.unparse(call.args[0])
    return None


def _refuse(text: str, response: Factor | None, terms: list[Term]) -> None:
    inside = [f.text for t in terms for f in t.factors]
    if any(t.startswith("offset(") for t in inside):
        raise FormulaError(f"offset(...) in {text!r} must stand alone as a term, with one argument.")
    if response is not None and response.text in inside:
        raise FormulaError(f"The response {response.text!r} stands on the right-hand side of {text!r} too.")


def plain(error: Exception) -> str:
    """formulaic's message without its terminal colours."""
    message = " ".join(str(error).split())
    for mark in ("\x1b[1;31m", "\x1b[0m", "⧛[1;31m", "[0m⧚", "⧛", "⧚"):
        message = message.replace(mark, "")
    return message or type(error).__name__


def pieces(terms: Iterable[Term], spans_intercept: Mapping[str, bool]) -> list[tuple[Piece, ...]]:
    """For each term, what it adds to the terms before it, with as few columns as span it.

    A categorical factor a is the constant and the rest of it, a-. A term a:b thus spans {1, a-, b-, a-:b-}; what
    earlier terms span already is left out, and what is left is merged again by (x) + (x:a-) = (x:a). Numeric factors
    never split.

    Source: the coding rule of R's model.matrix (Chambers & Hastie 1992, section 2.4), as formulaic and patsy state it.
    """
    spanned: set[frozenset[tuple[str, bool]]] = set()
    out = []
    for term in terms:
        names = list(dict.fromkeys(f.text for f in term.factors if f.kind != "literal"))
        choices = [[((name, True),), ()] if spans_intercept[name] else [((name, False),)] for name in names]
        span = [tuple(itertools.chain(*choice)) for choice in itertools.product(*choices)]
        new = [piece for piece in span if frozenset(piece) not in spanned]
        spanned.update(map(frozenset, new))
        out.append(tuple(_merge(new)))
    return out


def _merge(new: list[Piece]) -> list[Piece]:
    """The fewest pieces that span the same: (x) and (x:a-) become (x:a), again and again."""
    kept: list[Piece] = []
    for piece in sorted(new, key=len):
        for small in kept:
            extra = set(piece) - set(small)
            if len(piece) == len(small) + 1 and len(extra) == 1 and next(iter(extra))[1]:
                full = tuple((name, False) if (name, reduced) in extra else (name, reduced) for name, reduced in piece)
                kept = _merge([other for other in kept if other is not small] + [full])
                break
        else:
            kept.append(piece)
    return kept
