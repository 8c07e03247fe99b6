"""Tests and intervals of nonlinear functions of the coefficients: "x1 / x2 = 1", by the delta method.

With g(theta) and its Jacobian G, by automatic differentiation: Var(g) = G V G'.
Source: car::deltaMethod.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from torchglm.errors import OptionError
from torchglm.inference.hypotheses.constraints import Written, written
from torchglm.inference.hypotheses.linear import WaldTest, joint_test
from torchglm.inference.record import Record
from torchglm.inference.wald import wald_columns

Function = Callable[[Tensor], Tensor]  # theta (p,) -> a number
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "log10": torch.log10,
    "log2": torch.log2,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "sin": torch.sin,
    "cos": torch.cos,
    "tan": torch.tan,
    "atan": torch.atan,
    "tanh": torch.tanh,
    "plogis": torch.sigmoid,
    "pnorm": torch.special.ndtr,
}
SIGNS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class NonlinearTest:
    """A row of `estimates` a hypothesis, as t_test has them, and the `joint` test of all."""

    estimates: pd.DataFrame
    joint: WaldTest

    def __str__(self) -> str:
        return f"{self.estimates.to_string(float_format='{:.4g}'.format)}\n\n{self.joint}, by the delta method"


@dataclass(frozen=True)
class _Restriction:
    label: str
    value: Function
    target: float


def nonlinear_test(record: Record, hypothesis: Any, level: float) -> NonlinearTest:
    """Each g(theta) = r by itself, and all of them together.

    `hypothesis` is text, a list of texts, or a function of theta (p,) that gives a number or a vector, to be 0.
    Raises: UnknownNameError naming what is no coefficient; OptionError for what cannot be read, is not differentiable
    or finite at the estimates, repeats itself, or depends on an aliased coefficient.
    """
    theta = record.numbers.theta
    if isinstance(hypothesis, str) or (
        isinstance(hypothesis, list | tuple) and hypothesis and all(isinstance(h, str) for h in hypothesis)
    ):
        texts = [hypothesis] if isinstance(hypothesis, str) else list(hypothesis)
        found = [one for text in texts for one in _parsed(record.names, text)]
        labels, target = [one.label for one in found], torch.tensor([one.target for one in found], dtype=torch.float64)
        value, jacobian = _differentiated(lambda t: torch.stack([one.value(t) for one in found]), theta, labels)
    elif callable(hypothesis):
        value, jacobian = _differentiated(hypothesis, theta, None)  # pyright: ignore[reportArgumentType]
        name = getattr(hypothesis, "__name__", "g").replace("<lambda>", "g")
        labels = [f"{name}[{k}]" for k in range(len(value))] if len(value) > 1 else [name]
        target = torch.zeros(len(value), dtype=torch.float64)
    else:
        raise OptionError(
            f'A hypothesis is text, as "x1 / x2 = 1", or a function of the coefficients; got {hypothesis!r}.'
        )
    spread = jacobian @ record.defined_covariance @ jacobian.T
    joint = joint_test(record, value - target, spread, ", ".join(labels))
    error = spread.diagonal().clamp(min=0.0).sqrt()
    frame = pd.DataFrame(wald_columns(record, value, error, level, target), index=pd.Index(labels))
    return NonlinearTest(frame, joint)


def _differentiated(function: Function, theta: Tensor, labels: list[str] | None) -> tuple[Tensor, Tensor]:
    """g (m,) and its Jacobian (m, p) at theta.

    Raises: OptionError where one of them is not finite, or is no vector of float64.
    """
    at = theta.clone().requires_grad_()
    value = function(at)
    if not isinstance(value, Tensor) or value.dim() > 1 or not value.dtype.is_floating_point:
        raise OptionError(f"A hypothesis gives a tensor of numbers for theta ({len(theta)},); got {value!r}.")
    value = value.reshape(-1)
    if not value.requires_grad or not len(value):
        raise OptionError("The hypothesis does not depend on the coefficients, or leaves torch on its way.")
    rows = [torch.autograd.grad(one, at, retain_graph=True, allow_unused=True)[0] for one in value]
    jacobian = torch.stack([torch.zeros_like(theta) if row is None else row for row in rows]).detach().to(torch.float64)
    defined = ~torch.isnan(theta)
    jacobian = torch.where(~defined & torch.isnan(jacobian) & ~torch.isnan(value.detach())[:, None], 0.0, jacobian)
    value = value.detach().to(torch.float64)
    for k, row in enumerate(jacobian):
        shown = labels[k] if labels else f"number {k}"
        if bool(((row != 0) & ~defined).any()):
            raise OptionError(f"The hypothesis {shown!r} names a coefficient that is not defined (aliased).")
        if not bool(torch.isfinite(value[k])) or not bool(torch.isfinite(row).all()):
            raise OptionError(
                f"The hypothesis {shown!r} has value {float(value[k]):g} at the estimates, or no finite slope there."
            )
        if not bool((row != 0).any()):
            raise OptionError(
                f"The hypothesis {shown!r} is flat at the estimates: the delta method has no slope there."
            )
    return value, jacobian


def _parsed(names: tuple[str, ...], text: str) -> list[_Restriction]:
    out = [_restriction(one, text) for one in written(names, text, tuple(FUNCTIONS))]
    if not out:
        raise OptionError(f'The hypothesis {text!r} restricts nothing. Write "exp({names[-1]}) = 1".')
    return out


def _restriction(found: Written, text: str) -> _Restriction:
    """left - right = 0, or left = r where the right side is a number."""
    try:
        bodies = [ast.parse(side, mode="eval").body for side in found.sides]
        functions = [_compiled(body) for body in bodies]
    except (SyntaxError, _Unreadable) as error:
        why = error if isinstance(error, _Unreadable) else "a sign, a number or a coefficient is missing"
        raise OptionError(f"The hypothesis {text!r} cannot be read: {why}.") from error
    left, right = functions[0], functions[1] if len(functions) == 2 else None
    if right is None:
        return _Restriction(found.label, left, 0.0)
    if any(_is_coefficient(node) for node in ast.walk(bodies[1])):
        return _Restriction(found.label, lambda theta: left(theta) - right(theta), 0.0)
    target = float(right(torch.empty(0, dtype=torch.float64)))
    if not math.isfinite(target):
        raise OptionError(f"The hypothesis {text!r} holds a number that is not finite.")
    return _Restriction(found.label, left, target)


class _Unreadable(ValueError):
    """An expression that is no function of the coefficients."""


def _is_coefficient(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id not in FUNCTIONS


def _compiled(node: ast.expr) -> Function:
    """An expression as a function of theta; nothing else of Python is run."""
    if isinstance(node, ast.Constant):
        number = torch.tensor(float(node.value), dtype=torch.float64)  # type: ignore[arg-type]
        return lambda theta: number
    if isinstance(node, ast.Name) and _is_coefficient(node):
        place = int(node.id[1:])
        return lambda theta: theta[place]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _compiled(node.operand)
        return inner if isinstance(node.op, ast.UAdd) else lambda theta: -inner(theta)
    if isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
        sign, left, right = SIGNS[type(node.op)], _compiled(node.left), _compiled(node.right)
        return lambda theta: sign(left(theta), right(theta))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1 and not node.keywords:
        function, inner = FUNCTIONS[node.func.id], _compiled(node.args[0])
        return lambda theta: function(inner(theta))
    raise _Unreadable(f"coefficients and numbers are joined by + - * / ^ and by {', '.join(FUNCTIONS)}")
