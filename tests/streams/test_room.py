"""How much memory and which directory a stream takes where nobody says so."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path

import pandas as pd
import pytest

from torchglm import glm, stream
from torchglm.numerics import machine

FRAME = pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 2.0]})


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Writes a control group and mounts as the system would have them."""

    def write(own: str, limits: dict[str, str], mounts: str = ""):
        for name, text in {**limits, "own": own, "mounts": mounts}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text + "\n")
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (-1, -1))
        for name, path in (("GROUPS", tmp_path), ("OWN_GROUP", tmp_path / "own"), ("MOUNTS", tmp_path / "mounts")):
            monkeypatch.setattr(machine, name, path)

    return write


@pytest.mark.parametrize(
    "own, limits, expected",
    [
        ("0::/", {"memory.max": "800000000"}, 800_000_000),
        ("0::/job/step", {"job/memory.max": "800000000", "job/step/memory.max": "max"}, 800_000_000),
        ("0::/of/the/host", {"memory.max": "800000000"}, 800_000_000),
        ("4:cpu,memory:/a\n3:cpuset:/b", {"memory/a/memory.limit_in_bytes": "700000000"}, 700_000_000),
        ("0::/", {"memory.max": "max"}, None),
        ("", {}, None),
    ],
)
def test_memory_is_what_the_control_group_leaves(system, own, limits, expected):
    system(own, limits)
    found = stream(lambda: [FRAME]).stream.room.memory
    assert found == (expected or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) // 8


def test_memory_is_what_ulimit_leaves(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (600_000_000, -1))
    assert machine.memory_bytes() == 600_000_000


def test_a_tmp_in_memory_is_not_taken(system, monkeypatch, caplog, tmp_path):
    monkeypatch.setattr(machine.tempfile, "gettempdir", lambda: "/tmp")
    system("", {}, "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0")
    assert machine.large_directory() == Path("/var/tmp")
    system("", {}, "/dev/vda / ext4 rw 0 0")
    assert machine.large_directory() == Path("/tmp")
    system("", {}, f"tmpfs {tmp_path} tmpfs rw 0 0")
    with caplog.at_level(logging.INFO, "torchglm"):
        glm("y ~ x", lambda: [FRAME], cache=tmp_path)
    assert f"in {tmp_path}, which is memory: name another directory, cache=" in caplog.text
