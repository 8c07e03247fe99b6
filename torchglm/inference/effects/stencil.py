"""Derivatives of a function known by its values only: nodes near each x, and what each value counts.

Five nodes a row, h apart, and the derivative at x of the polynomial of degree four through them, exact for
polynomials of that degree. h is 1e-4 of the local scale of x, min(|x|, its spread): the error is then near
h^4 f^(5) / 30, 1e-16 of f', and rounding is near 1e-16 |f| / h, 1e-12 of f'. Nodes stay inside the range of the data,
for a spline or a logarithm need not be defined beyond it: at its ends they lie on one side.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEP = 1e-4  # of the local scale
NEAR_ZERO, SMALLEST, AT_ZERO = 1e-9, 1e-6, 1e-2  # shares of the spread: what counts as zero, and scales used instead
NODES = 5


def nodes(x: Tensor, low: float, high: float, spread: float) -> list[tuple[Tensor, Tensor]]:
    """Pairs (values, weights), each (rows,): d f / d x at x is the sum of weights * f(values)."""
    unit = spread if spread > 0.0 else 1.0
    size = x.abs().clamp(min=SMALLEST * unit)
    size = torch.where(x.abs() <= NEAR_ZERO * unit, AT_ZERO * unit, size)
    h = STEP * (size.clamp(max=spread) if spread > 0.0 else size)
    start = x - 2.0 * h
    room = high - low - 4.0 * h
    inside = torch.minimum(torch.maximum(start, torch.full_like(x, low)), high - 4.0 * h)
    start = torch.where(room > 0.0, inside, start)
    values = [(start + k * h).clamp(max=high) if high > low else start + k * h for k in range(NODES)]
    places = [(value - x) / h for value in values]
    return [(value, weight / h) for value, weight in zip(values, _derivative_weights(places), strict=True)]


def _derivative_weights(t: list[Tensor]) -> list[Tensor]:
    """What each value counts in the derivative at 0 of the polynomial through the values at t, after Lagrange."""
    out = []
    for k in range(len(t)):
        others = [j for j in range(len(t)) if j != k]
        scale = torch.ones_like(t[k])
        for j in others:
            scale = scale * (t[k] - t[j])
        total = torch.zeros_like(t[k])
        for left_out in others:
            product = torch.ones_like(t[k])
            for j in others:
                if j != left_out:
                    product = product * -t[j]
            total = total + product
        out.append(total / scale)
    return out
