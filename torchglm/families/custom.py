"""A likelihood of the user's own, from one function, and the trial that any likelihood has to pass."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from torchglm.errors import LikelihoodError, OptionError
from torchglm.families.likelihood import Likelihood

TRIAL_ROWS = 64
JITTER = 0.1  # of the trial's predictors around the start
CLOSE = 1e-5  # of the numerical derivatives to those of autograd, relative
STEP, LONGEST = 1e-5, 0.02  # of the numerical derivatives
ROUNDING = 8.0 * torch.finfo(torch.float64).eps  # of a row's nll, relative: it is a sum of some terms


@dataclass(frozen=True)
class Custom(Likelihood):
    """A function nll(y, z_1, ..., z_q), or nll(y, z) for two predictors and more, as a likelihood.

    The function is given torch tensors, y (rows,) and each predictor (rows,), or z (rows, q), and returns the negative
    log likelihood of each row. All derivatives come from autograd.
    """

    function: Callable[..., Tensor]
    predictors: tuple[str, ...]
    mean_function: Callable[..., Tensor] | None = None
    starts: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        names = self.predictors
        if not names or len(set(names)) < len(names) or not all(isinstance(n, str) and n for n in names):
            raise OptionError(f"predictors= takes one different name for each linear predictor; got {names!r}.")
        if self.starts is not None and len(self.starts) != len(names):
            raise OptionError(f"start= has {len(self.starts)} values for the {len(names)} predictors {_and(names)}.")
        if self.starts is not None and not all(math.isfinite(value) for value in self.starts):
            raise OptionError(f"start= takes finite numbers, one a predictor; got {list(self.starts)!r}.")

    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        return self.function(y, z) if self._takes_matrix else self.function(y, *z.unbind(1))

    def mean(self, z: Tensor) -> Tensor:
        if self.mean_function is None:
            raise OptionError("This likelihood has no mean: give mean=, a function of the linear predictors.")
        takes_matrix = _takes_matrix(self.mean_function, self.predictors, "mean", 0)
        return self.mean_function(z) if takes_matrix else self.mean_function(*z.unbind(1))

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        mean = {} if self.mean_function is None else {"mean": self.mean(z)}
        return mean | dict(zip(self.predictors, z.unbind(1), strict=True))

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        values = self.starts or (0.0,) * len(self.predictors)
        return torch.tensor(values, dtype=torch.float64, device=y.device)

    @cached_property
    def _takes_matrix(self) -> bool:
        return _takes_matrix(self.function, self.predictors, "nll", 1)


def custom(
    nll: Callable[..., Tensor],
    predictors: str | Sequence[str] | None = None,
    *,
    mean: Callable[..., Tensor] | None = None,
    start: Sequence[float] | None = None,
) -> Custom:
    """The likelihood of a function nll(y, z_1, ..., z_q) of torch tensors that gives one value a row.

    `predictors` are their names, by default those that nll gives its arguments; `mean` is a function of the
    predictors, for predictions; `start` the constant predictors to start from, else 0.
    Raises: OptionError, LikelihoodError.
    """
    for function, argument in ((nll, "nll"), *(() if mean is None else ((mean, "mean"),))):
        if not callable(function):
            raise OptionError(f"{argument}= takes a function of torch tensors; got {type(function).__name__}.")
    likelihood = Custom(nll, predictor_names(nll, predictors), mean, None if start is None else tuple(start))
    _takes_matrix(nll, likelihood.predictors, "nll", 1)
    if mean is not None:
        _takes_matrix(mean, likelihood.predictors, "mean", 0)
    return likelihood


def predictor_names(nll: Callable[..., Tensor], predictors: str | Sequence[str] | None) -> tuple[str, ...]:
    """The predictors as named, or the arguments of nll(y, ...) that have no default.

    Raises: OptionError, LikelihoodError.
    """
    if isinstance(predictors, str):
        return (predictors,)
    if predictors is not None:
        try:
            return tuple(predictors)
        except TypeError as error:
            raise OptionError(f"predictors= takes the names of the linear predictors; got {predictors!r}.") from error
    positional, takes_more = _arguments(nll)
    if len(positional) == 1 and not takes_more:
        raise LikelihoodError(
            "nll takes only y; it is called as nll(y, mean, log_sd), with a tensor for each predictor."
        )
    named = [p.name for p in positional if p.default is inspect.Parameter.empty][1:]
    if not named:
        raise OptionError("nll does not name its predictors: say predictors=, a name for each of its arguments but y.")
    return tuple(named)


def checked(likelihood: Likelihood, y: Tensor, w: Tensor | None = None) -> Likelihood:
    """The likelihood itself, after a trial on some of the responses y, near its start.

    Every row has to have a finite float64 nll, which depends on that row's predictors alone and on each of them, whose
    derivatives to second order are finite and are those of the function.
    Raises: LikelihoodError, which says what failed, in which row.
    """
    w = torch.ones_like(y) if w is None else w
    start = likelihood.start(y, w)
    rows = torch.linspace(0, len(y) - 1, min(len(y), TRIAL_ROWS)).to(torch.int64).to(y.device)
    trial = y[rows]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((len(trial), len(likelihood.predictors)), dtype=torch.float64, generator=generator)
    z = start + JITTER * noise.to(y.device)
    _check_values(likelihood, trial, z)
    _check_rows(likelihood, trial, z)
    _check_derivatives(likelihood, trial, z)
    if isinstance(likelihood, Custom) and likelihood.mean_function is not None:
        _check_mean(likelihood, z)
    return likelihood


def _check_values(likelihood: Likelihood, y: Tensor, z: Tensor) -> None:
    given = z.clone(), y.clone()
    nll = _evaluated(likelihood, y, z)
    if not (torch.equal(z, given[0]) and torch.equal(y, given[1])):
        raise LikelihoodError(
            "nll changed the tensors that it was given: it must work on copies, without operations in place."
        )
    if not isinstance(nll, Tensor):
        raise LikelihoodError(f"nll must return a torch tensor; it returned a {type(nll).__name__}.")
    if nll.shape != y.shape[:1]:
        hint = " Return one value a row, not their sum or mean." if nll.dim() == 0 else ""
        raise LikelihoodError(
            f"nll must return the shape ({len(y)},) for {len(y)} rows; it returned {tuple(nll.shape)}.{hint}"
        )
    if nll.dtype != torch.float64:
        raise LikelihoodError(
            f"nll must return torch.float64; it returned {nll.dtype}. torch.tensor(1.0) is a float32: "
            "write numbers as they are, or with dtype=torch.float64."
        )
    _require_finite(nll, "nll is", likelihood, y, z)


def _check_rows(likelihood: Likelihood, y: Tensor, z: Tensor) -> None:
    """The nll of a row must not notice other predictors in the rows beside it, nor that there are none beside it."""
    moved = z.clone()
    moved[1::2] += 2.0 * JITTER
    before, after = (_evaluated(likelihood, y, at)[::2] for at in (z, moved))
    changed = (before - after).abs() > 1e-9 * (1.0 + before.abs())
    if bool(changed.any()):
        row = 2 * int(changed.nonzero()[0])
        raise LikelihoodError(
            f"The nll of row {row} of the trial changed when only the predictors of other rows did: "
            "it must not use sums or means over rows."
        )
    for row in {0, len(y) // 2, len(y) - 1}:
        alone = _evaluated(likelihood, y[row : row + 1], z[row : row + 1])
        among = _evaluated(likelihood, y, z)[row]
        if alone.shape != (1,) or not bool((alone[0] - among).abs() <= 1e-9 * (1.0 + among.abs())):
            raise LikelihoodError(
                f"The nll of row {row} of the trial is not the same where that row stands alone: it must not use the "
                "responses of other rows, or how many there are."
            )


def _check_mean(likelihood: Custom, z: Tensor) -> None:
    at = z.clone().requires_grad_(True)
    try:
        found = likelihood.mean(at)
    except Exception as error:
        raise LikelihoodError(f"mean raised {type(error).__name__} on a trial of {len(z)} rows: {error}") from error
    if not isinstance(found, Tensor) or found.shape != (len(z),):
        shown = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise LikelihoodError(f"mean must return a torch tensor ({len(z)},) for {len(z)} rows; it returned {shown}.")
    if found.dtype != torch.float64 or not found.requires_grad:
        raise LikelihoodError(
            "mean must be a float64 function of the predictors that autograd can follow: use torch functions, without "
            "detach."
        )


def _check_derivatives(likelihood: Likelihood, y: Tensor, z: Tensor) -> None:
    at = z.clone().requires_grad_(True)
    if not _evaluated(likelihood, y, at).requires_grad:
        raise LikelihoodError(
            "nll does not depend on its predictors as far as autograd can see: use torch functions, without detach."
        )
    slope = likelihood.slope(y, z)[1]
    try:
        terms = likelihood.expand(y, z, information="observed")
    except RuntimeError as error:
        if bool((likelihood.slope(y, z + JITTER)[1] - slope).any()):
            raise LikelihoodError(
                f"The second derivatives of nll cannot be taken: {error}. It must be twice differentiable by autograd: "
                "a backward of one's own has to consist of torch functions of the saved tensors."
            ) from error
        raise _no_curvature(likelihood.predictors) from error
    _require_finite(terms.gradient, "the gradient of nll is", likelihood, y, z)
    _require_finite(terms.curvature, "the second derivative of nll is", likelihood, y, z)
    for k, name in enumerate(likelihood.predictors):
        gradient, curvature = terms.gradient[:, k], terms.curvature[:, k]
        if not bool(gradient.any()):
            raise LikelihoodError(f"The predictor {name!r} does not change nll in any row of the trial.")
        # A response of 1e9 leaves few digits in the change of nll over a short step.
        lost = ROUNDING * terms.nll.abs().max(), ROUNDING * terms.gradient.abs().max()
        needed = max(float(by / (1.0 + of.abs().max())) for by, of in zip(lost, (gradient, curvature), strict=True))
        step = min(max(needed / CLOSE, STEP), LONGEST)
        by_value, by_gradient = _differences(likelihood, y, z, k, step)
        for found, numeric, rounding, what in (
            (slope[:, k], by_value, lost[0], "gradient"),
            (gradient, by_value, lost[0], "gradient"),
            (curvature, by_gradient, lost[1], "second derivative"),
        ):
            _require_close(found, numeric, rounding / step, f"The {what} of nll in {name!r}")
        if not bool(curvature.any()):
            raise _no_curvature((name,))


def _differences(likelihood: Likelihood, y: Tensor, z: Tensor, k: int, step: float) -> tuple[Tensor, Tensor]:
    """The derivatives of nll (rows,) and of its gradient (rows, q) in predictor k, to the fourth order of the step."""
    by = torch.zeros_like(z)
    by[:, k] = step
    up, down, farther, lower = (likelihood.slope(y, z + times * by) for times in (1.0, -1.0, 2.0, -2.0))
    value, gradient = ((8.0 * (up[i] - down[i]) - (farther[i] - lower[i])) / (12.0 * step) for i in (0, 1))
    return value, gradient


def _no_curvature(names: Sequence[str]) -> LikelihoodError:
    return LikelihoodError(
        f"nll has no curvature in {_and(names)} in any row of the trial, so that Newton's method has no step. Where it "
        "is linear in pieces, such as absolute errors, smooth it; where it is curved elsewhere, give start= there."
    )


def _require_close(found: Tensor, numeric: Tensor, rounding: Tensor | float, what: str) -> None:
    wrong = (found - numeric).abs() > CLOSE * (1.0 + numeric.abs().max()) + rounding
    if bool(wrong.any()):
        place = wrong.nonzero()[0].tolist()
        ours, theirs = float(found[tuple(place)]), float(numeric[tuple(place)])
        raise LikelihoodError(
            f"{what} is {ours:.6g} in row {place[0]} of the trial, where its values say {theirs:.6g}: "
            "is a part detached, rounded, or random?"
        )


def _require_finite(values: Tensor, what: str, likelihood: Likelihood, y: Tensor, z: Tensor) -> None:
    bad = ~torch.isfinite(values.reshape(len(y), -1)).all(1)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        at = ", ".join(f"{name} = {float(v):.4g}" for name, v in zip(likelihood.predictors, z[row], strict=True))
        raise LikelihoodError(
            f"At the start {what} not finite in {int(bad.sum())} of {len(y)} rows, first for y = {y[row].tolist()} "
            f"at {at}. Give start= values where every row is possible, and use stable forms (logsumexp, log1p, xlogy) "
            "where exp overflows."
        )


def _evaluated(likelihood: Likelihood, y: Tensor, z: Tensor) -> Tensor:
    try:
        return likelihood.nll(y, z)
    except LikelihoodError:
        raise
    except Exception as error:
        raise LikelihoodError(
            f"nll raised {type(error).__name__} on a trial of {len(y)} rows and the predictors "
            f"{_and(likelihood.predictors)}: {error}"
        ) from error


def _takes_matrix(function: Callable[..., Tensor], predictors: tuple[str, ...], name: str, before: int) -> bool:
    """Whether a function takes z (rows, q) in one, rather than each predictor by itself."""
    positional, takes_more = _arguments(function)
    if not positional and not takes_more:
        return False
    required = sum(p.default is inspect.Parameter.empty for p in positional)
    most = 1000 if takes_more else len(positional)
    if required <= before + len(predictors) <= most:
        return False
    if required <= before + 1 <= most:
        return True
    first = ["y"][:before]
    raise LikelihoodError(
        f"{name} takes {required} argument(s); it is called as {name}({', '.join([*first, *predictors])}), "
        f"or as {name}({', '.join([*first, 'z'])}) with z (rows, {len(predictors)})."
    )


def _arguments(function: Callable[..., Tensor]) -> tuple[list[inspect.Parameter], bool]:
    """The positional arguments of a function, and whether it takes any number of them; none where it does not say."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a function written in C, such as torch.exp
        return [], False
    takes_more = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    return [p for p in parameters if p.kind in kinds], takes_more


def _and(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
