"""A name with options of its own, as a shell can spell it: tweedie(power=1.5), HAC(lag=4), sgd(epochs=5)."""

from __future__ import annotations

import ast
from dataclasses import fields, is_dataclass
from typing import Any

from torchglm.errors import OptionError, did_you_mean
from torchglm.numerics.registry import Registry


def spelled(text: str, registry: Registry[Any]) -> Any:
    """The name itself, or the instance of name(option=value, ...). Values are numbers, text and lists: no code is run.

    Raises: OptionError, UnknownNameError.
    """
    if "(" not in text:
        return text
    what = registry.kind
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError("it is no name with options")
        options = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        if "None" in options:  # **more
            raise ValueError("it unpacks something")
    except (SyntaxError, ValueError) as error:
        raise OptionError(
            f"The {what} {text!r} cannot be read. Write a name, or a name(option=value, ...) with plain values."
        ) from error
    cls = registry.get(call.func.id)
    known = [f.name for f in fields(cls) if f.init] if is_dataclass(cls) else []
    for name in options:
        if name not in known:
            raise OptionError(f"The {what} {call.func.id!r} has no option {name!r}. {did_you_mean(name, known)}")
    try:
        return cls(**options)
    except TypeError as error:
        raise OptionError(f"The {what} {text!r} lacks something: {error}.") from error
