"""The parts of a formula: "y ~ x | z" is one formula for each linear predictor."""

from __future__ import annotations

from torchglm.errors import FormulaError

OPENING, CLOSING, QUOTES = "([{", ")]}", "\"'`"


def split_parts(text: str) -> list[str]:
    """ "y ~ x | z" -> ["y ~ x", "y ~ z"]: what stands between bars outside of brackets and quotes.

    Raises: FormulaError for an empty part.
    """
    if not isinstance(text, str):
        raise FormulaError(f"A formula is text such as 'y ~ x | z'; got {type(text).__name__}.")
    left, tilde, right = text.partition("~")
    if not tilde:
        raise FormulaError(f"The formula {text!r} has no response. Write 'y ~ ...'.")
    pieces, depth, quote = [""], 0, ""
    for sign in right:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in QUOTES:
            quote = sign
        depth += (sign in OPENING) - (sign in CLOSING) if not quote else 0
        if sign == "|" and depth == 0 and not quote:
            pieces.append("")
        else:
            pieces[-1] += sign
    if any(not piece.strip() for piece in pieces):
        raise FormulaError(f"A part of the formula {text!r} is empty. Write '| 1' for a constant alone.")
    return [f"{left.strip()} ~ {piece.strip()}" for piece in pieces]
