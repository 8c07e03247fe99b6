"""How a file keeps a likelihood of the user's own: by name and by what it says of a few rows, never as code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from torchglm.errors import SavedFileError
from torchglm.families.custom import Custom, custom

TRIAL = torch.tensor([0.5, 1.0, 2.0, 1.0], dtype=torch.float64)  # made up: no row of the data is in a file
MOST_COLUMNS = 4
SAME = 1e-9  # relative
# What a function of the user's own raises on rows that it was not made for.
UNFIT = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

Given = Custom | Callable[..., Tensor] | None


def custom_content(likelihood: Custom) -> dict[str, Any]:
    """The likelihood as JSON."""
    return {
        "name": _name(likelihood.function),
        "predictors": list(likelihood.predictors),
        "starts": None if likelihood.starts is None else list(likelihood.starts),
        "mean": None if likelihood.mean_function is None else _name(likelihood.mean_function),
        "trial": _trial(likelihood),
    }


def read_custom(content: Mapping[str, Any], given: Given) -> Custom:
    """The likelihood that the user gave, where it is that of the file.

    Raises: SavedFileError where none was given, or another.
    """
    name, names = content["name"], tuple(content["predictors"])
    how = f"torchglm.load(path, likelihood={name.rpartition(':')[2]})"
    if content["mean"] is not None:
        mean = content["mean"].rpartition(":")[2]
        made = f"torchglm.families.custom({name.rpartition(':')[2]}, {names!r}, mean={mean})"
        how = f"torchglm.load(path, likelihood={made})"
    if given is None:
        raise SavedFileError(
            f"The fit is of a likelihood of one's own, {name}, which is code, and a file holds none. Give it: {how}."
        )
    if not isinstance(given, Custom):
        if not callable(given):
            raise SavedFileError(f"likelihood= is the function of the fit, {name}; got {type(given).__name__}.")
        given = custom(given, names)
    if given.predictors != names:
        raise SavedFileError(
            f"The likelihood of the fit, {name}, has the predictors {', '.join(names)}; that of likelihood= has "
            f"{', '.join(given.predictors)}."
        )
    if (given.mean_function is None) != (content["mean"] is None):
        what = "no mean=" if given.mean_function is None else "a mean="
        raise SavedFileError(
            f"The fit was {'' if content['mean'] else 'not '}made with mean=, but likelihood= has {what}. Say {how}."
        )
    _refuse_other(content["trial"], _trial(given), name)
    starts = content["starts"]
    return custom(given.function, names, mean=given.mean_function, start=starts)


def _name(function: Callable[..., Any]) -> str:
    written = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}:{written}"


def _trial(likelihood: Custom) -> dict[str, Any]:
    """What the functions say of a few made-up rows; None where a function takes none of them.

    The response has as many columns as the function wants.
    """
    q = len(likelihood.predictors)
    z = 0.1 * torch.arange(len(TRIAL) * q, dtype=torch.float64).reshape(len(TRIAL), q) - 0.2
    responses = [TRIAL, *(torch.stack([TRIAL.roll(k) for k in range(m)], dim=1) for m in range(2, MOST_COLUMNS + 1))]
    values = (_values(lambda y=y: likelihood.nll(y, z)) for y in responses)
    mean = None if likelihood.mean_function is None else _values(lambda: likelihood.mean(z))
    return {"nll": next((found for found in values if found is not None), None), "mean": mean}


def _values(function: Callable[[], Tensor]) -> list[float] | None:
    try:
        with torch.no_grad():
            found = function()
    except UNFIT:
        return None
    if not isinstance(found, Tensor) or found.shape != TRIAL.shape or not bool(torch.isfinite(found).all()):
        return None
    return found.tolist()


def _refuse_other(saved: Mapping[str, Any], ours: Mapping[str, Any], name: str) -> None:
    for what in ("nll", "mean"):
        before, now = saved[what], ours[what]
        if before is None and now is None:
            continue
        same = before is not None and now is not None
        same = same and torch.allclose(torch.tensor(before), torch.tensor(now), rtol=SAME, atol=SAME)
        if not same:
            raise SavedFileError(
                f"likelihood= is not the likelihood of the fit, {name}: on made-up rows its {what} is {now}, where "
                f"that of the fit was {before}."
            )
