"""main(): what a shell sees of a command: its exit status, and one line on standard error for what went wrong."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import torch

from torchglm.command import commands
from torchglm.command.parser import parser
from torchglm.command.tables import several_processes
from torchglm.errors import TorchGLMError, TorchGLMWarning
from torchglm.numerics.ranks import TOLD

FAILED, USAGE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141  # the last two as a shell counts signals 2 and 13
COMMANDS = {"fit": commands.fit, "predict": commands.predict, "summary": commands.summary}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of a command line; None: that of this process.

    Raises: SystemExit for --help, --version and wrong usage, as argparse does.
    """
    reader = parser()
    asked = reader.parse_args(arguments)
    try:
        with warnings.catch_warnings():
            told = _tell_warnings()
            if asked.threads is not None:
                torch.set_num_threads(asked.threads)
            COMMANDS[asked.command](asked)
            sys.stdout.flush()
    except commands.Usage as error:
        reader.error(str(error))
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains at its end
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED, asked.traceback)
    except (TorchGLMError, OSError) as error:
        told_by_another = any(TOLD in note for note in getattr(error, "__notes__", ()))
        return FAILED if told_by_another and _rank() > 0 else _failed(f"error: {error}", FAILED, asked.traceback)
    except (MemoryError, torch.cuda.OutOfMemoryError) as error:
        return _failed(f"error: out of memory. {error}", FAILED, asked.traceback)
    return FAILED if asked.strict and told else 0


def _failed(message: str, status: int, traceback: bool) -> int:
    """The status; the message is on standard error, under the traceback where it was asked for."""
    if traceback:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    _say(message)
    return status


def _rank() -> int:
    return several_processes()[0]


def _say(message: str) -> None:
    rank, world = several_processes()
    name = f"torchglm[{rank}]" if world > 1 else "torchglm"
    sys.stderr.write(f"{name}: {' '.join(message.splitlines()).strip()}\n")


def _tell_warnings() -> list[str]:
    """Warnings become lines of standard error from now on; the list holds what torchglm has warned of."""
    told: list[str] = []

    def show(message: Any, category: Any, filename: Any, lineno: Any, file: Any = None, line: Any = None) -> None:
        if issubclass(category, TorchGLMWarning):
            told.append(str(message))
        if _rank() == 0:
            _say(f"warning: {message}")

    warnings.filterwarnings("always", category=TorchGLMWarning)
    warnings.showwarning = show
    return told
