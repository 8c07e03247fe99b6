"""Solvers: ways from a start to the optimum, all under one loop."""

from __future__ import annotations

from torchglm.solvers.epochs import EarlyStopping, Epoch
from torchglm.solvers.irls import IRLS
from torchglm.solvers.lbfgs import LBFGS
from torchglm.solvers.newton_cg import NewtonCG
from torchglm.solvers.sgd import SGD
from torchglm.solvers.solver import Solution, Solver, Status, Stop, run

__all__ = ["IRLS", "LBFGS", "SGD", "EarlyStopping", "Epoch", "NewtonCG", "Solution", "Solver", "Status", "Stop", "run"]
