"""The inverse square root of a diagonal less a matrix of low rank, without a matrix of its size.

    G = Phi (I - Y Y') Phi = D - Z Z'         D = Phi^2 (m,), Z = Phi Y (m, p)
    G^(-1/2) = sum_j weight_j (G + shift_j)^-1         a quadrature of (2 / pi) int_0^inf (G + t^2)^-1 dt

Each resolvent is a diagonal and a p x p solve (Woodbury). The nodes are those of Hale, Higham & Trefethen (2008),
method 3: with k^2 = smallest / largest eigenvalue and N nodes the error falls as exp(-2 pi^2 N / (log(1 / k^2) + 3)).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

DIGITS = 16.0


def quadrature(smallest: float, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and shifts of the inverse square root on [smallest, largest], to rounding."""
    from scipy import special

    k2 = smallest / largest
    nodes = math.ceil((math.log(1.0 / k2) + 3.0) * DIGITS * math.log(10.0) / (2.0 * math.pi**2)) + 2
    quarter = special.ellipkm1(k2)  # K(1 - k2)
    at = (np.arange(nodes) + 0.5) * quarter / nodes
    sn, cn, dn, _ = special.ellipj(at, 1.0 - k2)
    scale = 2.0 * quarter * math.sqrt(smallest) / (math.pi * nodes)
    return scale * dn / cn**2, smallest * (sn / cn) ** 2


def inverse_root_times(variance: Tensor, basis: Tensor, exact: Tensor, smallest: float) -> Tensor:
    """[Phi (I - Y Y') Phi]^(+1/2) Y (m, p), Phi the diagonal `variance` (m,), Y the `basis` (m, p).

    `exact` (p, k) spans the v with Y'Y v = v, whose directions the pseudo-inverse leaves out; `smallest` is the
    smallest other eigenvalue of I - Y'Y.
    """
    squared = variance.square()
    z = variance[:, None] * basis
    # The null space of G is Phi^-1 Y v: with N an orthonormal basis of it, G + N N' largest has none, and
    # G^(+1/2) = (G + N N' largest)^(-1/2) (I - N N').
    largest = float(squared.max())
    null = torch.linalg.qr((basis @ exact) / variance[:, None])[0]
    low = torch.cat([z, null], dim=1)
    signs = torch.cat([z.new_full((z.shape[1],), -1.0), z.new_full((null.shape[1],), 1.0 / largest)])
    target = basis - null @ (null.T @ basis)
    weights, shifts = quadrature(float(squared.min()) * min(smallest, 1.0), largest)
    out = torch.zeros_like(basis)
    for weight, shift in zip(weights.tolist(), shifts.tolist(), strict=True):
        inverse = (squared + shift).reciprocal()[:, None]
        scaled = low * inverse
        # (E + U S U')^-1 b = E^-1 b - E^-1 U (S^-1 + U'E^-1 U)^-1 U'E^-1 b
        small = torch.diag(signs) + low.T @ scaled
        solved = torch.linalg.solve(small, scaled.T @ target)
        out.add_(inverse * target - scaled @ solved, alpha=weight)
    return out
