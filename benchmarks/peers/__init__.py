"""One file a contestant; `load` imports only the one that is asked for, in its own process."""

from __future__ import annotations

from collections.abc import Callable
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
WORKERS = {
    OURS: "inference_ours:Ours",
    "costs": "inference_ours:Costs",
    "statsmodels": "inference_statsmodels:Statsmodels",
    "statsmodels-1": "inference_statsmodels:OneThread",
    "R": "inference_r:R",
}
MODELS = "models"
MODELLERS = {OURS: "models_ours:Ours", "statsmodels": "models_statsmodels:Statsmodels", "R": "models_r:R"}


def load(name: str) -> Contestant:
    """The contestant of a name.

    "R/bootstrap/3": a worker, what it does after its fit, and how many replicates. "R/models": who fits other models.
    """
    who, *work = name.split("/")
    if work == [MODELS]:
        return _made(MODELLERS[who])()
    return _made(WORKERS[who])(work[0], *map(int, work[1:])) if work else _made(PEERS[who])()


def _made(place: str) -> Callable[..., Contestant]:
    module, cls = place.split(":")
    return getattr(import_module(f"benchmarks.peers.{module}"), cls)
