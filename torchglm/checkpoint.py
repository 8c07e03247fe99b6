"""Checkpoints: coefficients and trace of a fit that is running, in a file from which the same call goes on.

The file is written after every step of the solver, by rank 0, beside itself and then moved over: there is a whole one
at any time. It goes when the fit is done, and stays where the solver stopped before the maximum.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchglm.errors import CheckpointError, CheckpointWarning, OptionError
from torchglm.objective.objective import Objective
from torchglm.progress import Bar, Trace, Watch
from torchglm.solvers.solver import Solution
from torchglm.solvers.start import Start

FORMAT = "torchglm checkpoint"
VERSION = 1
COUNTED = ("step", "passes", "seconds")  # of a trace: they go on counting


@dataclass(frozen=True)
class Checkpoint:
    """The file of a running fit; without `path`, none.

    fit    what the fit is, by name: a checkpoint of another is refused
    found  the coefficients (p,), inner order, that the file had when it was opened; None where there was no file
    before the trace that it had
    """

    path: Path | None
    fit: Mapping[str, Any]
    objective: Objective
    found: Tensor | None = None
    before: Sequence[Mapping[str, float]] = ()

    def solve(self, search: Callable[[Start, Watch], Solution], begin: Start) -> Solution:
        """The solution of `search(start, watch)`, from where the file says; a bar is shown meanwhile."""
        bar = Bar()

        def watch(trace: Trace, theta: Tensor) -> None:
            bar(trace, theta)
            self._write(self._joined(trace), theta)

        try:
            solution = search(begin if self.found is None else replace(begin, given=self.found), watch)
        finally:
            bar.close()
        if not self.before:
            return solution
        trace = self._joined(solution.trace)
        steps, passes = solution.steps + int(self.before[-1]["step"]), solution.passes + int(self.before[-1]["passes"])
        return replace(solution, trace=trace, steps=steps, passes=passes)

    def finish(self, solution: Solution) -> None:
        """Nothing; the file of a fit that is at its maximum is gone."""
        if self.path is not None and solution.status.converged and self.objective.design.ranks.rank == 0:
            self.path.unlink(missing_ok=True)

    def _joined(self, trace: Trace) -> Trace:
        """The trace of this run after that of the runs before, whose last point is where this one began."""
        if not self.before:
            return trace
        last = self.before[-1]
        moved = [{**row, **{name: row[name] + last[name] for name in COUNTED}} for row in trace[1:]]
        return [*map(dict, self.before), *moved]

    def _write(self, trace: Trace, theta: Tensor) -> None:
        if self.path is None or self.objective.design.ranks.rank != 0:
            return
        theta = self.objective.layout.to_user(theta).cpu()
        content = {FORMAT: VERSION, "fit": dict(self.fit), "theta": theta.tolist(), "trace": trace}
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with new.open("w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, self.path)
        except OSError as error:
            new.unlink(missing_ok=True)
            warnings.warn(
                f"The checkpoint {str(self.path)!r} could not be written: {error}. The fit goes on without it.",
                CheckpointWarning,
                stacklevel=2,
            )


def open_checkpoint(given: Any, fit: Mapping[str, Any], objective: Objective) -> Checkpoint:
    """The checkpoint that checkpoint= names, with what it holds of a fit that was stopped; None: no checkpoint.

    Rank 0 reads the file for all.
    Raises: CheckpointError for a file of another fit or of none, and for a folder that is not there; OptionError.
    """
    if given is None:
        return Checkpoint(None, fit, objective)
    if not isinstance(given, str | os.PathLike):
        raise OptionError(f"checkpoint= is the path of a file; got {type(given).__name__}.")
    path, ranks = Path(given), objective.design.ranks
    with ranks.together("reading the checkpoint"):
        mine = _read(path, fit) if ranks.rank == 0 else None
        content = ranks.gather(mine, "sharing the checkpoint")[0]
    if content is None:
        return Checkpoint(path, fit, objective)
    theta = torch.tensor(content["theta"], dtype=torch.float64, device=objective.design.device)
    if len(theta) != len(objective.layout.positions):
        raise _no_checkpoint(path, f"it has {len(theta)} coefficients, the fit {len(objective.layout.positions)}")
    return Checkpoint(path, fit, objective, objective.layout.to_inner(theta), content["trace"])


def _read(path: Path, fit: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the file holds; None where there is none."""
    if not path.parent.is_dir():
        raise CheckpointError(f"checkpoint={str(path)!r}: there is no folder {str(path.parent)!r}. Make it first.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _no_checkpoint(path, error) from error
    if not isinstance(content, dict) or content.get(FORMAT) != VERSION:
        raise _no_checkpoint(path, f"it has no {FORMAT!r}: {VERSION}")
    whole = (
        isinstance(content.get("fit"), dict) and _are_numbers(content.get("theta")) and _is_trace(content.get("trace"))
    )
    if not whole:
        raise _no_checkpoint(path, "it lacks its fit, theta or trace, or has something else there")
    for name, value in fit.items():
        kept = content["fit"].get(name)
        if kept != value:
            raise CheckpointError(
                f"The checkpoint {str(path)!r} is that of another fit: its {name} is {_shown(kept)}, here it is "
                f"{_shown(value)}. Give this fit another file, or delete that one."
            )
    return content


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, int | float) for value in values)


def _is_trace(rows: Any) -> bool:
    return isinstance(rows, list) and all(
        isinstance(row, dict) and _are_numbers([row.get(name) for name in COUNTED]) for row in rows
    )


def _no_checkpoint(path: Path, why: object) -> CheckpointError:
    return CheckpointError(f"{str(path)!r} is no checkpoint that can be read: {why}. Give another path, or delete it.")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + " ..."
