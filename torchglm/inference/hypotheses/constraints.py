"""Linear hypotheses: "x1 = x2, 2 * x3 - x1 = 1", or a matrix, as L theta = r."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from torchglm.errors import OptionError, UnknownNameError, did_you_mean

BEFORE, AFTER = r"(?<![^\s+\-*/=,(])", r"(?![^\s+\-*/=,)])"  # what may stand beside a name or a number
NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
WORD = re.compile(r"`[^`]*`|(?:\[[^\]]*\]|\([^)]*\)|[^\s=,+*/-])+")
SUMS = {ast.Add: operator.add, ast.Sub: operator.sub}


@dataclass(frozen=True)
class Restrictions:
    """L theta = r: `matrix` is L (m, p), `target` r (m,), `labels` says each restriction in text."""

    matrix: Tensor
    target: Tensor
    labels: tuple[str, ...]


class Token(NamedTuple):
    """A piece of a hypothesis. `code` is Python's: a coefficient is `_` and its place."""

    shown: str
    code: str


class Written(NamedTuple):
    """A restriction as it was written: its label, and Python's code of its one or two sides."""

    label: str
    sides: list[str]


def restrictions(names: tuple[str, ...], hypothesis: Any) -> Restrictions:
    """The restrictions of a hypothesis: text, a list of texts, or a matrix (m, p) or vector (p,) with r = 0.

    In text, an expression without "=" is to be 0; a coefficient may stand in backticks.
    Raises: UnknownNameError naming what is no coefficient; OptionError for what is no linear restriction.
    """
    if isinstance(hypothesis, str):
        found = _parsed(names, hypothesis)
    elif isinstance(hypothesis, list | tuple) and hypothesis and all(isinstance(h, str) for h in hypothesis):
        each = [_parsed(names, text) for text in hypothesis]
        found = Restrictions(
            torch.cat([one.matrix for one in each]),
            torch.cat([one.target for one in each]),
            tuple(label for one in each for label in one.labels),
        )
    else:
        found = _given(names, hypothesis)
    for label, row in zip(found.labels, found.matrix, strict=True):
        if not bool((row != 0).any()):
            raise OptionError(f"The restriction {label!r} restricts nothing: no coefficient is left in it.")
    return found


def _given(names: tuple[str, ...], hypothesis: Any) -> Restrictions:
    p = len(names)
    try:
        matrix = torch.from_numpy(np.array(hypothesis, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise OptionError(f'A hypothesis is text, as "x1 = x2", or a matrix of numbers; got {hypothesis!r}.') from error
    matrix = matrix[None, :] if matrix.dim() == 1 else matrix
    if matrix.dim() != 2 or matrix.shape[1] != p or not len(matrix):
        raise OptionError(f"A hypothesis matrix has one column a coefficient, {p}; got shape {tuple(matrix.shape)}.")
    if not bool(torch.isfinite(matrix).all()):
        raise OptionError("A hypothesis matrix holds finite numbers only.")
    labels = tuple(f"{combination_text(row, names)} = 0" for row in matrix.tolist())
    return Restrictions(matrix, torch.zeros(len(matrix), dtype=torch.float64), labels)


def combination_text(weights: Iterable[float], names: Sequence[str]) -> str:
    """A linear combination in text: "x1 - 2 * x2"."""
    used = [(weight, name) for weight, name in zip(weights, names, strict=True) if weight != 0]
    text = " ".join(f"{'-' if w < 0 else '+'} {name if abs(w) == 1 else f'{abs(w):g} * {name}'}" for w, name in used)
    return text.removeprefix("+ ") or "0"


def _parsed(names: tuple[str, ...], text: str) -> Restrictions:
    found = written(names, text)
    if not found:
        raise OptionError(f'The hypothesis {text!r} restricts nothing. Write "{names[-1]} = 0".')
    table = torch.from_numpy(np.array([_row(one.sides, len(names), text) for one in found]))
    return Restrictions(table[:, :-1], -table[:, -1], tuple(one.label for one in found))


def written(names: tuple[str, ...], text: str, functions: tuple[str, ...] = ()) -> list[Written]:
    """The restrictions between the commas of a text; `functions` are names that may be called in it.

    Raises: UnknownNameError for a word that is no coefficient; OptionError for a second "=" in one of them.
    """
    out = []
    for is_comma, found in groupby(tokens(names, text, functions), lambda token: token.code == ","):
        if not is_comma:
            piece = list(found)
            sides = "".join(token.code for token in piece).split("=")
            if len(sides) > 2:
                raise OptionError(
                    f'The hypothesis {text!r} cannot be read: separate restrictions, one "=" in each, by commas.'
                )
            label = " ".join("".join(token.shown for token in piece).split())
            out.append(Written(label, [side.strip() for side in sides]))
    return out


def tokens(names: tuple[str, ...], text: str, functions: tuple[str, ...] = ()) -> list[Token]:
    """The text in names, numbers, signs and space; the longest name first, so that x:g[T.b] is not x.

    A coefficient that is called as a number is one only in backticks. With `functions`, their names before a
    parenthesis and the power ^ or ** are signs too; a coefficient that is called as log(x) is that coefficient.
    Raises: UnknownNameError for a word that is no coefficient.
    """
    place = {name: k for k, name in enumerate(names)}
    words = [re.escape(name) for name in sorted(names, key=len, reverse=True) if not re.fullmatch(NUMBER, name)]
    word = "|".join(words) or r"(?!)"
    before, after = (BEFORE, AFTER) if not functions else (BEFORE.replace("=,", "=,^"), AFTER.replace("=,", "=,^"))
    plain = rf"{before}{NUMBER}{after}|\s+|[-+*/()=,]"
    if functions:
        plain += rf"|\^|{before}(?:{'|'.join(functions)})(?=\s*\()"
    token = re.compile(rf"(?P<name>{before}(?:{word}){after})|`(?P<quoted>[^`]*)`|(?P<plain>{plain})")
    found, at = [], 0
    while at < len(text):
        hit = token.match(text, at)
        name = hit and (hit["name"] or hit["quoted"])
        if hit is None or (name is not None and name not in place):
            raise _unknown(text, at, names)
        plain_code = "**" if hit[0] == "^" else (hit["plain"] or "").strip() or " "
        found.append(Token(hit[0], plain_code if name is None else f" _{place[name]} "))
        at = hit.end()
    return found


def _unknown(text: str, at: int, names: tuple[str, ...]) -> UnknownNameError:
    """The error of the word that begins there, up to the next sign outside of brackets."""
    hit = WORD.match(text, at)
    word = text[at] if hit is None else hit[0].strip("`")
    hint = did_you_mean(word, names)
    return UnknownNameError(f"The hypothesis {text!r} cannot be read: {word!r} is no coefficient. {hint}")


def _row(sides: list[str], p: int, text: str) -> np.ndarray:
    """(p + 1,) the coefficients' factors and the constant of left side minus right side."""
    try:
        with np.errstate(all="ignore"):  # what overflows is refused below
            values = [_value(ast.parse(side, mode="eval").body, p) for side in sides]
    except (SyntaxError, _NotLinear) as error:
        why = error if isinstance(error, _NotLinear) else "a sign, a number or a coefficient is missing"
        raise OptionError(f"The hypothesis {text!r} cannot be read as linear in the coefficients: {why}.") from error
    row = values[0] - values[1] if len(values) == 2 else values[0]
    if not np.isfinite(row).all():
        raise OptionError(f"The hypothesis {text!r} holds a number that is not finite.")
    return row


class _NotLinear(ValueError):
    """An expression that is not linear."""


def _value(node: ast.expr, p: int) -> np.ndarray:
    """(p + 1,) an expression as factors of the coefficients, and a constant."""
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, p) if isinstance(node.op, ast.USub) else _value(node.operand, p)
    if isinstance(node, ast.BinOp):
        return _combined(node.op, _value(node.left, p), _value(node.right, p))
    unit = np.zeros(p + 1)
    if isinstance(node, ast.Name):
        unit[int(node.id[1:])] = 1.0
    elif isinstance(node, ast.Constant):
        unit[-1] = float(node.value)  # type: ignore[arg-type]
    else:
        raise _NotLinear("only + - * / and parentheses join coefficients and numbers")
    return unit


def _combined(sign: ast.operator, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    join: Callable[[Any, Any], Any] | None = SUMS.get(type(sign))
    if join is not None:
        return join(left, right)
    if isinstance(sign, ast.Mult) and not left[:-1].any():
        return left[-1] * right
    if right[:-1].any() or not isinstance(sign, ast.Mult | ast.Div):
        raise _NotLinear("a coefficient can be multiplied or divided by a number only")
    if isinstance(sign, ast.Div):
        if right[-1] == 0:
            raise _NotLinear("it divides by zero")
        return left / right[-1]
    return left * right[-1]
