"""A row likelihood of q linear predictors, and its derivatives in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from torchglm.errors import OptionError

Information = Literal["expected", "observed"]


class RowTerms(NamedTuple):
    """The negative log likelihood of each row and its derivatives in the linear predictors.

    Shapes: nll (rows,), gradient (rows, q), curvature (rows, q, q).
    """

    nll: Tensor
    gradient: Tensor
    curvature: Tensor


class Likelihood(ABC):
    """What a row says about its linear predictors. `nll` and `mean` suffice; autograd does the rest.

    Shapes: y (rows,), z (rows, q).
    Scale: no weight, and the whole negative log probability or density, so that the log-likelihood is the weighted sum
    of -nll. MeanModel alone leaves out phi, at 1, and a function of y.
    """

    predictors: tuple[str, ...]
    support: ClassVar[str] = "finite"
    is_discrete: ClassVar[bool] = False  # whether the responses are whole numbers

    @property
    def has_dispersion(self) -> bool:
        """Whether phi is estimated beside the predictors, so that standard errors grow by its root."""
        return False

    @property
    def is_canonical(self) -> bool:
        """Whether the expected information is the observed one, so that Fisher scoring is Newton's method."""
        return False

    @property
    def is_convex_everywhere(self) -> bool:
        """Whether nll is finite and convex at all predictors, so that steps that get shorter lead to its minimum."""
        return False

    @property
    def is_convex(self) -> bool:
        """Whether the curvature that `expand` gives by default is positive semi-definite everywhere."""
        return False

    @property
    def has_variance(self) -> bool:
        """Whether it knows the variance of a response, so that there are Pearson residuals."""
        return type(self).variance is not Likelihood.variance

    @abstractmethod
    def nll(self, y: Tensor, z: Tensor) -> Tensor:
        """The negative log likelihood of each row; +inf where z gives a mean outside of its domain."""

    @abstractmethod
    def mean(self, z: Tensor) -> Tensor:
        """The mean response of each row; of classes, the probability of each: (rows, classes)."""

    def variance(self, z: Tensor) -> Tensor:
        """The variance of the response of each row.

        Raises: OptionError where there is none.
        """
        raise OptionError(f"The likelihood {type(self).__name__} has no variance of the response.")

    def cdf(self, y: Tensor, z: Tensor) -> Tensor:
        """P(Y <= y) of each row.

        Raises: OptionError where the responses have no order, or the likelihood does not know it.
        """
        raise OptionError(f"The likelihood {type(self).__name__} has no distribution function.")

    def below(self, y: Tensor, z: Tensor) -> Tensor:
        """P(Y < y) of each row.

        Raises: as `cdf`.
        """
        return self.cdf(y - 1.0, z) if self.is_discrete else self.cdf(y, z)

    def sample(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One response a row, drawn at random.

        Raises: OptionError where the likelihood cannot be drawn from.
        """
        raise OptionError(f"The likelihood {type(self).__name__} cannot be drawn from.")

    def predictions(self, z: Tensor) -> dict[str, Tensor]:
        """What can be predicted from the linear predictors, by name; the first is what is usually meant.

        Shapes: (rows,), or (rows, classes).
        """
        return {"mean": self.mean(z)}

    def check_response(self, y: Tensor) -> Tensor:
        """True where y can be a response; `support` says it in words."""
        return torch.isfinite(y)

    def start(self, y: Tensor, w: Tensor) -> Tensor:
        """The constant predictors (q,) from which Newton's method converges well where no column has an effect."""
        return torch.zeros(len(self.predictors), dtype=torch.float64, device=y.device)

    def slope(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """nll and gradient."""
        with torch.enable_grad():
            at = z.detach().requires_grad_(True)
            nll = self.nll(y, at)
            (gradient,) = torch.autograd.grad(nll.sum(), at)
        return nll.detach(), gradient

    def expand(self, y: Tensor, z: Tensor, *, information: Information = "expected") -> RowTerms:
        """nll, gradient and curvature, which is the observed one unless the likelihood knows its expectation."""
        # Rows are independent, so the sum of one gradient column has the rows' second derivatives as its gradient:
        # q + 1 reverse passes, without a vmap over rows.
        with torch.enable_grad():
            at = z.detach().requires_grad_(True)
            nll = self.nll(y, at)
            (gradient,) = torch.autograd.grad(nll.sum(), at, create_graph=True)
            rows = [
                torch.autograd.grad(column.sum(), at, retain_graph=True, materialize_grads=True)[0]
                for column in gradient.unbind(1)
            ]
        return RowTerms(nll.detach(), gradient.detach(), torch.stack(rows, dim=1))

    def step(self, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient and curvature as `expand` has them, good to the rounding of one, where nll is not needed."""
        terms = self.expand(y, z)
        return terms.gradient, terms.curvature
