"""One file a contestant; `load` imports only the one that is asked for, in its own process."""

from __future__ import annotations

from importlib import import_module

from benchmarks.contestant import Contestant

OURS = "torchglm"
PEERS = {
    OURS: "ours:Ours",
    "statsmodels": "statsmodels:Statsmodels",
    "glum": "glum:Glum",
    "glum-tight": "glum:GlumTight",
    "glum-fit": "glum:GlumFit",
    "sklearn": "sklearn:Sklearn",
    "pyfixest": "pyfixest:Pyfixest",
    "R": "r:R",
    "passes": "passes:Passes",
    "passes-separate": "passes:SeparatePasses",
}


def load(name: str) -> Contestant:
    module, cls = PEERS[name].split(":")
    return getattr(import_module(f"benchmarks.peers.{module}"), cls)()
