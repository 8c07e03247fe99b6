"""torch.nn and torchglm: losses for any network, a GLM as its last layer, and fits as modules."""

from __future__ import annotations

import torch
from torch import Tensor

from torchglm.errors import DataError, OptionError
from torchglm.families.family import Family, resolve_family
from torchglm.families.link import Link
from torchglm.inference.vector import VectorRecord
from torchglm.losses import GLMLoss, LikelihoodLoss

__all__ = ["FitModule", "GLMHead", "GLMLoss", "LikelihoodLoss", "VectorModule"]


class GLMHead(torch.nn.Module):
    """A GLM as the last layer of a network: one linear predictor of its features, and the mean that the link gives.

    Train it with GLMLoss(head.family) at `head.linear_predictor(x)`: means lose digits in the tails.
    Shapes: x (..., in_features) -> (...).
    Raises: OptionError, UnknownNameError; when called DataError for another number of features.
    """

    def __init__(
        self,
        in_features: int,
        family: str | Family | type[Family],
        link: str | Link | type[Link] | None = None,
        *,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(in_features, int) or in_features < 1:
            raise OptionError(f"in_features= is the number of features, 1 or more; got {in_features!r}.")
        self.family = resolve_family(family, link)
        self.linear = torch.nn.Linear(in_features, 1, bias, device, dtype)

    def linear_predictor(self, x: Tensor) -> Tensor:
        """eta."""
        _check_width(x, self.linear.in_features, "features")
        return self.linear(x).squeeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        """The mean; NaN where the link gives none."""
        return self.family.mean(self.linear_predictor(x))

    def extra_repr(self) -> str:
        """What print(module) shows in brackets."""
        return repr(self.family)


class FitModule(torch.nn.Module):
    """A fit as a module of its model matrix: forward(x, offset=None) is the mean of each row.

    names         of the columns of x, in order: the coefficients'
    coefficients  a parameter (p,), zero where aliased, which a training loop may go on from

    has_offset    whether the fit has one, so that a call without it is refused

    Shapes: x (rows, p), as `fit.model_matrix(data)` gives it; offset (rows,), as `fit.model_offset(data)`.
    Raises: when called DataError for another number of columns, and for an offset of another shape, or without one.
    """

    def __init__(self, names: tuple[str, ...], theta: Tensor, family: Family, *, has_offset: bool = False) -> None:
        super().__init__()
        self.names = names
        self.family = family
        self.has_offset = has_offset
        self.coefficients = torch.nn.Parameter(theta.clone())

    def linear_predictor(self, x: Tensor, offset: Tensor | None = None) -> Tensor:
        """eta (rows,)."""
        _check_width(x, len(self.names), "columns")
        eta = x @ self.coefficients
        _check_offset(offset, tuple(eta.shape), self.has_offset)
        return eta if offset is None else eta + offset

    def forward(self, x: Tensor, offset: Tensor | None = None) -> Tensor:
        """The mean (rows,)."""
        return self.family.mean(self.linear_predictor(x, offset))


class VectorModule(torch.nn.Module):
    """A fit of several linear predictors as a module: forward(x, ..., offset=None) is its mean, or its probabilities.

    names         of the coefficients, predictor by predictor
    columns       of the matrix of each formula
    coefficients  a parameter (p,), zero where aliased
    has_offset    whether the fit has one, so that a call without it is refused

    Shapes: one matrix (rows, columns) a formula, as `fit.model_matrix(data)` gives them; offset (rows, formulas), as
    `fit.model_offset(data)`.
    Raises: when called DataError for another number of matrices or columns, for an offset of another shape, or without
    one.
    """

    def __init__(self, record: VectorRecord) -> None:
        super().__init__()
        self.names = record.names
        self.columns = tuple(schema.names for schema in record.schemas)
        self.has_offset = record.has_offset
        self.likelihood = record.model.likelihood
        self.coefficients = torch.nn.Parameter(record.defined_theta.clone())
        self._predictors = record.model.predictors
        self._widths = [len(one.names(record.schemas)) for one in self._predictors]
        for part, names in enumerate(self.columns):
            kept = torch.tensor([j for j, name in enumerate(names) if name != "Intercept"], dtype=torch.int64)
            self.register_buffer(f"_kept_{part}", kept, persistent=False)

    def linear_predictor(self, *x: Tensor, offset: Tensor | None = None) -> Tensor:
        """z (rows, q)."""
        if len(x) != len(self.columns):
            raise DataError(f"The module takes {len(self.columns)} matrices, one a formula; got {len(x)}.")
        for matrix, names in zip(x, self.columns, strict=True):
            _check_width(matrix, len(names), "columns")
        _check_offset(offset, (x[0].shape[0], len(x)), self.has_offset)
        z = []
        for one, beta in zip(self._predictors, self.coefficients.split(self._widths), strict=True):
            if one.part is None:
                z.append(beta.expand(x[0].shape[0]))
                continue
            kept = getattr(self, f"_kept_{one.part}")
            matrix = x[one.part]
            # matrix[:, kept] @ beta would be right too, but not after onnxruntime has rearranged it.
            eta = (matrix if one.intercept else matrix.index_select(1, kept)) @ beta
            z.append(eta if offset is None else eta + offset[:, one.part])
        return torch.stack(z, dim=1)

    def forward(self, *x: Tensor, offset: Tensor | None = None) -> Tensor:
        """The mean (rows,), or the probabilities (rows, classes)."""
        z = self.linear_predictor(*x, offset=offset)
        mean = self.likelihood.mean(z)
        missing = torch.isnan(z).any(1)
        return torch.where(missing.view(-1, *[1] * (mean.dim() - 1)), torch.nan, mean)


def _check_width(x: Tensor, width: int, what: str) -> None:
    if not isinstance(x, Tensor):
        raise DataError(f"A module takes torch tensors; got {type(x).__name__}.")
    if x.dim() == 0 or x.shape[-1] != width:
        raise DataError(f"x has shape {tuple(x.shape)}; its last dimension holds {width} {what}.")


def _check_offset(offset: Tensor | None, shape: tuple[int, ...], has_offset: bool) -> None:
    if offset is None:
        if has_offset:
            raise DataError(
                "The fit has an offset or an exposure: give the module offset=fit.model_offset(data) too, or zeros of "
                f"that shape, {shape}."
            )
    elif not isinstance(offset, Tensor):
        raise DataError(f"A module takes torch tensors; got {type(offset).__name__} as offset.")
    elif tuple(offset.shape) != shape:
        raise DataError(f"offset has shape {tuple(offset.shape)}; fit.model_offset(data) gives {shape}.")
