"""Every exception and warning of the package.

A wrong number raises; a warning means that the number is right.
A message says what was asked, what was found (column, level, rows, value), and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TorchGLMError(Exception):
    """What every error of torchglm is, so that one `except` catches them all."""


class FormulaError(TorchGLMError, ValueError):
    """The formula cannot be read, or asks for something that has no meaning."""


class DataError(TorchGLMError, ValueError):
    """The data cannot enter the model: a type, a missing or infinite value, a length, no rows left."""


class ResponseError(DataError):
    """The response lies outside the support of the family."""


class WeightError(DataError):
    """Weights that are negative, missing, infinite, all zero, or of another length."""


class LevelError(DataError):
    """New data hold a level that the fit has never seen."""


class OptionError(TorchGLMError, ValueError):
    """An argument of a call has a value that the call does not know."""


class UnknownNameError(OptionError, LookupError):
    """A family, link, solver, column or function of that name does not exist."""


class DomainError(TorchGLMError, ArithmeticError):
    """The mean left its domain where no shorter step can bring it back, for instance at the start."""


class DeviceError(TorchGLMError, RuntimeError):
    """The device asked for is not there."""


class RankError(TorchGLMError, RuntimeError):
    """Another process of the same fit has died, does not answer, or does something else."""


class CheckpointError(TorchGLMError, ValueError):
    """A checkpoint cannot be read or written, or is that of another fit."""


class LikelihoodError(TorchGLMError, ValueError):
    """A likelihood of one's own fails its trial: a shape, a type, a value that is not finite, or a wrong derivative."""


class SavedFileError(TorchGLMError, ValueError):
    """A file is not a saved fit, or one of a version that this torchglm cannot read."""


class TorchGLMWarning(UserWarning):
    """What every warning of torchglm is. The numbers are right; something about them wants to be known."""


class ConvergenceWarning(TorchGLMWarning):
    """The solver stopped before the next Newton step was small."""


class SeparationWarning(TorchGLMWarning):
    """Some coefficients are infinite: a combination of columns predicts some responses perfectly."""


class StatusWarning(TorchGLMWarning):
    """Some of many models or refits have no finite estimates, no rows or too few: a status, or NaN, says which."""


class CheckpointWarning(TorchGLMWarning):
    """A checkpoint could not be written. The fit goes on."""


class BoundaryWarning(TorchGLMWarning):
    """A parameter beside the coefficients runs to the end of its range, where the model becomes a simpler one."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The sentence that names the closest known names, or lists them all when none is close."""
    known = sorted(str(k) for k in known)
    close = get_close_matches(str(name), known, n=3, cutoff=0.6)
    if not close:
        close = [k for k in known if k.lower() == str(name).lower()]
    if close:
        return "Did you mean " + " or ".join(repr(c) for c in close) + "?"
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return f"Known: {shown}." if known else "None is known."
