"""Two gloo processes, started once, whose answers all tests read."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def started(command: Sequence[str], world: int = 2, **environment: str) -> list[subprocess.Popen[str]]:
    """A command as every rank of a world of its own, as torchrun would start it."""
    port = str(free_port())
    shared = {
        **os.environ,
        **{"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
        **{"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TORCHGLM_RANKS_TIMEOUT": "60", **environment},
    }
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]


def ended(processes: Sequence[subprocess.Popen[str]], seconds: float = 100.0) -> list[str]:
    """What each printed, when all have ended."""
    try:
        return [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.fixture
def two_ranks(tmp_path: Path) -> Callable[..., list[str]]:
    """What two ranks print that run `code`."""

    def run(code: str, **environment: str) -> list[str]:
        script = tmp_path / "script.py"
        script.write_text(code)
        return ended(started([str(script)], **environment))

    return run


@pytest.fixture(scope="session")
def two_ranks_of() -> Callable[..., list[str]]:
    """What two ranks print that run a script with arguments."""
    return lambda *command: ended(started(list(map(str, command))))


def module_of(script: str) -> ModuleType:
    """A script of this folder that ranks run, as a module."""
    spec = importlib.util.spec_from_file_location(f"ranks_{script}", HERE / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def cases() -> ModuleType:
    return module_of("cases")


@pytest.fixture(scope="session")
def shared() -> ModuleType:
    return module_of("shared_fits")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="session")
def answers(folder: Path, cases: ModuleType) -> list[dict[str, Any]]:
    """What rank 0 and rank 1 found."""
    for k in range(4):
        cases.DATA.iloc[100 * k : 100 * (k + 1)].to_parquet(folder / f"part {k}.parquet")
    printed = ended(started([str(HERE / "worker.py"), str(folder)]))
    missing = [text for rank, text in enumerate(printed) if not (folder / f"{rank}.json").exists()]
    assert not missing, "\n".join(missing)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
