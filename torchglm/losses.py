"""The losses of torchglm.nn: row likelihoods as criteria of a network's linear predictors."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from torchglm.errors import DataError, OptionError, ResponseError, WeightError, did_you_mean
from torchglm.families.family import Family, resolve_family
from torchglm.families.likelihood import Likelihood
from torchglm.families.link import Link
from torchglm.families.mean import MeanModel

REDUCTIONS = ("mean", "sum", "none")
HALVES = (torch.float16, torch.bfloat16)


class _Rows(torch.autograd.Function):
    """(rows,) nll whose gradient and curvature are the likelihood's own: closed, and stable where autograd is not.

    The gradient (rows, q) is a second output, for the backward pass alone.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, y: Tensor, likelihood: Likelihood, full: bool) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        nll, gradient = likelihood.slope(y, z)
        return _half_deviance(likelihood, y, z, nll) if full else nll, gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        z, y, ctx.likelihood, _ = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(z, y, output[1])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor, _: Any) -> Any:  # type: ignore[override]
        z, y, gradient = ctx.saved_tensors
        return upstream[:, None] * _Gradient.apply(z, y, gradient, ctx.likelihood), None, None, None


class _Gradient(torch.autograd.Function):
    """(rows, q) a gradient that is known, as a function of z."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, y: Tensor, gradient: Tensor, likelihood: Likelihood) -> Tensor:  # type: ignore[override]
        return gradient.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        z, y, _, ctx.likelihood = inputs
        ctx.save_for_backward(z, y)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:  # type: ignore[override]
        z, y = ctx.saved_tensors
        curvature = _Curvature.apply(z, y, ctx.likelihood)
        return torch.einsum("ikl,il->ik", curvature, upstream), None, None, None


class _Curvature(torch.autograd.Function):
    """(rows, q, q) the observed curvature, as a function of z that is not differentiated again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, y: Tensor, likelihood: Likelihood) -> Tensor:  # type: ignore[override]
        return likelihood.expand(y, z, information="observed").curvature

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept."""

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Any:  # type: ignore[override]
        # Without this a third derivative would silently lack what the curvature adds to it.
        raise OptionError("The losses of torchglm.nn have derivatives to second order; a third was asked for.")


def _half_deviance(likelihood: Likelihood, y: Tensor, z: Tensor, nll: Tensor) -> Tensor:
    assert isinstance(likelihood, MeanModel)
    return torch.where(nll == math.inf, nll, 0.5 * likelihood.deviance(y, z))


def _rows(z: Tensor, y: Tensor, likelihood: Likelihood, full: bool) -> Tensor:
    return _Rows.apply(z, y, likelihood, full)[0]  # pyright: ignore[reportIndexIssue, reportOptionalSubscript]


class _Loss(torch.nn.Module):
    """What both losses share: the check of the rows, and the reduction."""

    def __init__(self, likelihood: Likelihood, reduction: str, check: bool) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise OptionError(f"There is no reduction {reduction!r}. {did_you_mean(str(reduction), REDUCTIONS)}")
        self.likelihood = likelihood
        self.reduction = reduction
        self.check = check

    def _prepared(self, z: Tensor, y: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """z, y and weight in one precision, which is single at least."""
        if not z.is_floating_point():
            raise DataError(f"The linear predictor is of type {z.dtype}; a network's output is a floating one.")
        dtype = torch.float32 if z.dtype in HALVES else z.dtype
        y = y.detach().to(z.device, dtype)
        if weight is not None:
            if weight.shape != y.shape:
                raise WeightError(f"weight has shape {tuple(weight.shape)}, y {tuple(y.shape)}: one weight a response.")
            weight = weight.to(z.device, dtype)
            if self.check and not bool((weight >= 0.0).all()):
                raise WeightError("weight holds negative or missing values.")
            if self.check and self.reduction == "mean" and not bool((weight > 0.0).any()):
                raise WeightError("All weights are zero: there is no mean of the loss.")
        return z.to(dtype), y, weight

    def _refuse(self, good: Tensor, y: Tensor, support: str) -> None:
        if not bool(good.all()):
            first = int(torch.nonzero(~good)[0])
            raise ResponseError(f"y must be {support}; row {first} has {float(y[first])!r}.")

    def _reduced(self, rows: Tensor, weight: Tensor | None) -> Tensor:
        if self.reduction == "none":
            return rows
        if self.reduction == "sum":
            return rows.sum()
        return rows.mean() if weight is None else rows.sum() / weight.sum()


def _refuse_other_types(eta: Tensor, y: Tensor, weight: Tensor | None) -> None:
    """Nothing, where all are tensors.

    Raises: DataError.
    """
    for name, value in (("eta", eta), ("y", y), ("weight", weight)):
        if value is not None and not isinstance(value, Tensor):
            raise DataError(f"{name} is a torch tensor; got {type(value).__name__}. Say torch.as_tensor({name}).")


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and 0.0 < value < math.inf


class GLMLoss(_Loss):
    """A criterion(eta, y, weight=None): the negative log-likelihood of a family at a network's linear predictor.

    family, link  as of glm()
    reduction     "mean" (sum of w times nll over sum of w), "sum" or "none"
    full          False: at phi = 1 and up to a function of y, what glm() minimises and `fit.trace` shows; True: minus
                  the log density or log probability, at phi = `dispersion`, which may be a tensor to be learned, and
                  is the family's own, Tweedie(phi=...), or 1 where it is not given
    check         whether responses outside of the support and bad weights raise; on a GPU this waits for the data

    Shapes: eta, y, weight all alike, (rows,) or any other.
    Scale: weights are precision weights, as `weights=` of glm(); of a proportion, its trials. Nats.
    Derivatives to second order are the closed ones of the solvers; +inf where eta gives a mean out of its domain.
    Raises: OptionError, UnknownNameError; when called DataError, ResponseError, WeightError.

    >>> eta = torch.tensor([1000.0, -1000.0], requires_grad=True)
    >>> GLMLoss("binomial", reduction="sum")(eta, torch.tensor([1, 1]))
    tensor(1000., grad_fn=<SumBackward0>)
    """

    def __init__(
        self,
        family: str | Family | type[Family],
        link: str | Link | type[Link] | None = None,
        reduction: str = "mean",
        *,
        full: bool = False,
        dispersion: float | Tensor | None = None,
        check: bool = True,
    ) -> None:
        self.family = resolve_family(family, link)
        super().__init__(MeanModel(self.family), reduction, check)
        if full and not self.family.has_likelihood:
            raise OptionError(f"full=True is for families with a density; the {self.family.name} family has none.")
        if dispersion is not None and not (full and self.family.has_dispersion):
            raise OptionError("dispersion= has a use with full=True and a family that has one.")
        if not (dispersion is None or isinstance(dispersion, Tensor) or _is_positive(dispersion)):
            raise OptionError(f"dispersion= is a positive number or a tensor; got {dispersion!r}.")
        self.full = full
        self.dispersion = self.family.own_dispersion if dispersion is None else dispersion

    def forward(self, eta: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss: a number, or with reduction "none" one a row."""
        _refuse_other_types(eta, y, weight)
        if eta.shape != y.shape:
            hint = " Say eta.squeeze(-1)." if eta.shape == (*y.shape, 1) else ""
            raise DataError(f"eta has shape {tuple(eta.shape)}, y {tuple(y.shape)}: one predictor a response.{hint}")
        z, y, weight = self._prepared(eta, y, weight)
        z, flat, w = z.reshape(-1, 1), y.reshape(-1), None if weight is None else weight.reshape(-1)
        if self.check:
            self._refuse(self.family.check_response(flat, w), flat, f"{self.family.support} ({self.family.name})")
        rows = _rows(z, flat, self.likelihood, self.full)
        if self.full:
            phi = self.dispersion
            if self.check and isinstance(phi, Tensor) and not bool((phi > 0.0).all()):
                raise OptionError(f"The dispersion is positive; its tensor holds {phi.detach().tolist()!r}.")
            rows = (rows if w is None else rows * w) / phi - self.family.log_prob(flat, flat, phi, w)
        elif w is not None:
            rows = rows * w
        return self._reduced(rows.view(y.shape), w)

    def extra_repr(self) -> str:
        """What print(module) shows in brackets."""
        return f"{self.family!r}, reduction={self.reduction!r}, full={self.full}"


class LikelihoodLoss(_Loss):
    """A criterion(eta, y, weight=None) of a likelihood with several linear predictors: Multinomial(3), Ordinal(4), ...

    Options as of GLMLoss; the likelihood is complete, with its constants.
    Shapes: eta (rows, q), a column for each of `likelihood.predictors`; y, weight (rows,).
    Raises: OptionError, UnknownNameError; when called DataError, ResponseError, WeightError.
    """

    def __init__(self, likelihood: Likelihood, reduction: str = "mean", *, check: bool = True) -> None:
        if not isinstance(likelihood, Likelihood):
            raise OptionError(f"LikelihoodLoss takes a Likelihood, such as Multinomial(3); got {likelihood!r}.")
        super().__init__(likelihood, reduction, check)

    def forward(self, eta: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss: a number, or with reduction "none" one a row."""
        _refuse_other_types(eta, y, weight)
        names = self.likelihood.predictors
        if y.dim() != 1 or eta.shape != (len(y), len(names)):
            raise DataError(
                f"eta has shape {tuple(eta.shape)} and y {tuple(y.shape)}; they are (rows, {len(names)}) and (rows,), "
                f"a column for each of {', '.join(names[:6])}."
            )
        z, y, weight = self._prepared(eta, y, weight)
        if self.check:
            self._refuse(self.likelihood.check_response(y), y, self.likelihood.support)
        rows = _rows(z, y, self.likelihood, False)
        return self._reduced(rows if weight is None else rows * weight, weight)

    def extra_repr(self) -> str:
        """What print(module) shows in brackets."""
        return f"{self.likelihood!r}, reduction={self.reduction!r}"
