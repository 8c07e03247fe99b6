"""The three commands: what each does with what the parser found."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pandas as pd

import torchglm
from torchglm.command.parser import FORMATS
from torchglm.command.spelled import spelled
from torchglm.command.tables import (
    STANDARD,
    as_frame,
    check_folder,
    check_target,
    content_of,
    is_text,
    read_table,
    several_processes,
    write_table,
)
from torchglm.errors import OptionError
from torchglm.families import FAMILIES, LINKS
from torchglm.fit import Fit
from torchglm.inference.covariance.kind import COVARIANCES
from torchglm.inference.prediction.predict import SCALES
from torchglm.many.fits import Fits
from torchglm.objective.penalty import PENALTIES
from torchglm.saving import load
from torchglm.solvers.solver import SOLVERS
from torchglm.vector_fit import VectorFit

NAMED = {"family": FAMILIES, "link": LINKS, "covariance": COVARIANCES, "solver": SOLVERS, "penalty": PENALTIES}
NOT_ARGUMENTS = {"command", "model", "out", "summary", "exponentiate", "stars", "level", "tidy", "glance"}
NOT_ARGUMENTS |= {"threads", "strict", "traceback"}


class Usage(Exception):
    """A command that means nothing: the message of a usage error."""


def fit(asked: argparse.Namespace) -> None:
    """Nothing; the model is fitted, and what was asked for is printed and written.

    Raises: Usage, a TorchGLMError.
    """
    function: Callable[..., Any] = getattr(torchglm, asked.model)
    arguments = {name: value for name, value in vars(asked).items() if name not in NOT_ARGUMENTS}
    unknown = [name for name in arguments if name not in inspect.signature(function).parameters]
    if unknown:
        flags = {"covariance": "cov"}
        shown = ", ".join("--" + flags.get(name, name).replace("_", "-") for name in unknown)
        raise Usage(f"--model {asked.model} does not take {shown}")
    if "by" in asked and ("out" in asked or "summary" in asked):
        raise Usage("--by makes many fits: take --tidy and --glance; there is no --out and no --summary of them")
    _check_targets(asked)
    for name, registry in NAMED.items():
        if name in arguments:
            arguments[name] = spelled(arguments[name], registry)
    for name in ("cluster", "by"):
        if name in arguments and len(arguments[name]) == 1:
            arguments[name] = arguments[name][0]
    arguments["data"] = read_table(asked.data)
    pieces = [flag for flag in ("memory_limit", "cache") if flag in arguments]
    if pieces and isinstance(arguments["data"], pd.DataFrame):
        flag = pieces[0].replace("_", "-")
        raise Usage(f"--{flag} is of Parquet files, which are read piece by piece; {asked.data} is read whole")
    found: Fit | VectorFit | Fits = _without_variables(function, arguments)
    if several_processes()[0] > 0:
        return
    if isinstance(found, Fits):
        _write_tables(found, asked, getattr(asked, "tidy", None if "glance" in asked else STANDARD))
        return
    if "out" in asked:
        found.save(asked.out)
    _show(found, asked)


def predict(asked: argparse.Namespace) -> None:
    """Nothing; the predictions are written.

    Raises: Usage, a TorchGLMError.
    """
    check_target(asked.out)
    both = (asked.out, asked.data)
    if STANDARD not in both and all(map(os.path.exists, both)) and os.path.samefile(*both):
        raise Usage(f"--out would write over the data: {asked.data}")
    found, content = load(asked.fit), content_of(asked.data)
    frame = as_frame(read_table(asked.data, content))
    table = predictions(found, frame, asked)
    if asked.append:
        if is_text(asked.data) and is_text(asked.out):
            frame = read_table(asked.data, content, as_text=True)
        table = _appended(frame, table)
    write_table(table, asked.out)


def _appended(frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The columns of the data and those of predictions.

    Raises: OptionError for two columns of one name.
    """
    twice = [name for name in table.columns if name in frame.columns]
    if twice:
        raise OptionError(f"The data have a column {twice[0]!r} already: rename it, or leave --append out.")
    if not frame.columns.is_unique:
        raise OptionError(f"The data have two columns {frame.columns[frame.columns.duplicated()][0]!r}: rename one.")
    return pd.concat([frame, table.set_axis(frame.index)], axis=1)


def predictions(found: Fit | VectorFit, frame: pd.DataFrame, asked: argparse.Namespace) -> pd.DataFrame:
    """One row a row of `frame`: predicted, or a column a class; se, lower, upper where asked for.

    Raises: Usage, a TorchGLMError.
    """
    if isinstance(found, Fit):
        scale = asked.kind or "response"
        if scale not in SCALES:
            raise Usage(f"--kind of this fit is {' or '.join(SCALES)}; got {scale!r}")
        values = found.predict(
            frame, scale=scale, se=asked.se, interval=asked.interval, level=asked.level, new_levels=asked.new_levels
        )
    else:
        if asked.interval is not None:
            raise Usage("--interval is for fits of --model glm; take --se")
        values = found.predict(frame, asked.kind, se=asked.se, new_levels=asked.new_levels)
    if isinstance(values, pd.Series):
        return values.to_frame("predicted")
    return values.set_axis([_flat(name) for name in values.columns], axis=1)


def _flat(name: Any) -> str:
    return ".".join(map(str, name)) if isinstance(name, tuple) else str(name)


def summary(asked: argparse.Namespace) -> None:
    """Nothing; the summary is printed, and the tables are written.

    Raises: a TorchGLMError.
    """
    _check_targets(asked)
    _show(load(asked.fit), asked)


def _check_targets(asked: argparse.Namespace) -> None:
    tables = [getattr(asked, name, None) for name in ("tidy", "glance")]
    for name in tables:
        check_target(name)
    if tables == [STANDARD, STANDARD]:
        raise Usage("--tidy and --glance are two tables: only one of them can be on standard output")
    if "out" in asked:
        if asked.out == STANDARD:
            raise Usage("--out takes a file: a fit cannot be saved to standard output")
        check_folder(asked.out)


def _show(found: Fit | VectorFit, asked: argparse.Namespace) -> None:
    """Nothing; the tables asked for are written, and the summary is printed."""
    tidy, glance = getattr(asked, "tidy", None), getattr(asked, "glance", None)
    _write_tables(found, asked, tidy)
    form = getattr(asked, "summary", "none" if STANDARD in (tidy, glance) else "text")
    if form == "none":
        return
    page = found.summary(level=asked.level, exponentiate=asked.exponentiate, stars=asked.stars)
    writers: dict[str, Callable[[], str]] = dict(
        zip(FORMATS, (page.as_text, page.as_markdown, page.as_html, page.as_latex), strict=True)
    )
    sys.stdout.write(writers[form]().rstrip("\n") + "\n")


def _write_tables(found: Fit | VectorFit | Fits, asked: argparse.Namespace, tidy: str | None) -> None:
    if tidy is not None:
        write_table(found.tidy(exponentiate=asked.exponentiate, conf_int=True, level=asked.level), tidy)
    if "glance" in asked:
        write_table(found.glance(), asked.glance)


def _called(_function: Callable[..., Any], _arguments: dict[str, Any]) -> Any:
    return _function(**_arguments)


# A formula may use the variables around the call. Here there are none, whatever this file has.
_without_variables = FunctionType(_called.__code__, {})
