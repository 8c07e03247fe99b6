"""Stable elementwise functions, where the textbook form loses digits, overflows or meets 0 * inf."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
TABLED_FACTORIALS = 1_024


def log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(-x)) for x > 0."""
    # One branch alone loses every digit at one end: 1 - exp(-1e-20) is 0, log(1 - tiny) needs log1p. The clamps keep
    # the branch not taken finite, whose derivative autograd would otherwise turn into 0 * inf.
    half = math.log(2.0)
    near, far = torch.log(-torch.expm1(-x.clamp(max=half))), torch.log1p(-torch.exp(-x.clamp(min=half)))
    return torch.where(x < half, near, far)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), with full relative precision in both tails."""
    # torch's own softplus is linear above 20, where the answer still differs by 2e-9.
    return -torch.nn.functional.logsigmoid(-x)


def log1p_minus(x: Tensor) -> Tensor:
    """log(1 + x) - x for x > -1, with full relative precision near 0."""
    # log1p(x) = 2 atanh(s) with s = x / (2 + x); the odd series of atanh leaves x - log1p(x) without cancellation.
    s = x / (2.0 + x)
    square = s * s
    series = torch.full_like(x, 1.0 / 19.0)
    for odd in (17, 15, 13, 11, 9, 7, 5, 3):
        series = series * square + 1.0 / odd
    return torch.where(x.abs() < 0.2, s * (2.0 * square * series - x), torch.log1p(x) - x)


def kl_div(y: Tensor, mu: Tensor) -> Tensor:
    """y log(y / mu) - y + mu >= 0 for y >= 0 and mu > 0; mu at y = 0, and exactly 0 at y = mu.

    Half the Poisson deviance; the gamma and binomial deviances are made of it.
    """
    positive = y > 0
    safe = torch.where(positive, y, 1.0)
    change = (mu - safe) / safe
    # Near y = mu the direct form has the absolute error of y * 1e-16; far from it 1 + change may round to 0.
    direct = change - torch.log(mu / safe)
    near = change.abs() < 0.2
    inside = torch.where(near, change, 0.0)
    return torch.where(positive, safe * torch.where(near, -log1p_minus(inside), direct), mu)


def poisson_peak(k: Tensor) -> Tensor:
    """k log k - k - log(k!) for k >= 0: the log of the largest probability of a Poisson with mean k.

    Log binomial coefficients and gamma normalisations are sums of it, without the cancellation of lgamma
    (1e-5 at k = 1e10).
    """
    large = torch.where(k > 15.0, k, 16.0)
    square = 1.0 / (large * large)
    # Stirling's series; at k = 15 the first term left out is 1e-18.
    series = torch.full_like(large, -3617.0 / 122400.0)
    for c in (1.0 / 156.0, -691.0 / 360360.0, 1.0 / 1188.0, -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0):
        series = series * square + c
    by_series = -0.5 * torch.log(large) - HALF_LOG_2PI - series / large
    small = torch.where(k > 15.0, 1.0, k)
    return torch.where(k > 15.0, by_series, torch.xlogy(small, small) - small - torch.lgamma(small + 1.0))


def log_factorial(k: Tensor) -> Tensor:
    """log(k!) of whole k >= 0."""
    if not k.numel() or not float(k.max()) < TABLED_FACTORIALS:
        return torch.lgamma(k + 1.0)
    return _log_factorials(k.dtype, k.device).index_select(0, k.to(torch.int64))  # a tenth of the time


@lru_cache
def _log_factorials(dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.lgamma(torch.arange(1.0, TABLED_FACTORIALS + 1.0, dtype=dtype, device=device))


def blend(y: Tensor, at_zero: Tensor, at_one: Tensor) -> Tensor:
    """(1 - y) at_zero + y at_one, exact at y = 0 and at y = 1 whatever the other one is."""
    # lerp is exact at both ends for finite ends; 0 * inf would be NaN, so infinity enters as the largest float.
    largest = torch.finfo(at_zero.dtype).max
    return torch.lerp(at_zero.clamp(-largest, largest), at_one.clamp(-largest, largest), y)


def betainc(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """I_x(a, b), the regularized incomplete beta function; no derivatives."""
    from scipy import special

    return _by_numpy(special.betainc, a, b, x)


def betaincc(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """1 - I_x(a, b), the complement of the regularized incomplete beta function; no derivatives."""
    from scipy import special

    return _by_numpy(special.betaincc, a, b, x)


def _by_numpy(function: Callable[..., Any], *values: Tensor) -> Tensor:
    each = (value.detach().cpu().numpy() for value in torch.broadcast_tensors(*values))
    return torch.as_tensor(function(*each), device=values[0].device)


def standard_gamma(shape: Tensor, generator: torch.Generator | None) -> Tensor:
    """One draw a row from the gamma distribution with that shape and scale 1."""
    # torch.distributions.Gamma takes no generator; this is the sampler beneath it.
    return torch._standard_gamma(shape, generator=generator)  # pyright: ignore[reportPrivateImportUsage]


def derivative_of(function: Callable[[Tensor], Tensor], x: Tensor, order: int = 1) -> Tensor:
    """The elementwise derivative of `function` at x by autograd, detached."""
    with torch.enable_grad():
        at = x.detach().requires_grad_(True)
        value = function(at)
        for _ in range(order):
            # A constant has no graph, and its derivative is 0, which autograd refuses to say.
            if not value.requires_grad:
                return torch.zeros_like(x)
            (value,) = torch.autograd.grad(value.sum(), at, create_graph=True, materialize_grads=True)
    return value.detach()
