"""What the machine gives this process: memory, and directories that lie on a disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch

GROUPS, OWN_GROUP, MOUNTS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"), Path("/proc/mounts")
MOST_ENTRIES, SHARE = 1 << 27, 64  # of a block on a GPU: at most a GB, and no more than this part of its memory
UNIX_TMP, UNIX_LARGE = Path("/tmp"), Path("/var/tmp")


def memory_bytes() -> int:
    """The memory of the machine, or what a container, a control group or ulimit leaves of it to this process."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_group_limits()]
    limits += _process_limits()
    return min(limit for limit in limits if limit > 0)  # no limit is -1


def entries_on(device: torch.device, here: int = MOST_ENTRIES) -> int:
    """How many float64 numbers a block may have: `here`, near the cache; more on a GPU, which is slow at small ones."""
    if device.type != "cuda":
        return here if device.type == "cpu" else MOST_ENTRIES
    return min(MOST_ENTRIES, torch.cuda.get_device_properties(device).total_memory // (8 * SHARE))


def _process_limits() -> list[int]:
    import resource  # of Unix only: a stream is, and importing torchglm is not

    return [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]


def _group_limits() -> list[int]:
    """The limits of the control group of this process, and of those that it is in: of version 2, and of version 1."""
    found = []
    for line in _lines(OWN_GROUP):
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (GROUPS / "memory", "memory.limit_in_bytes") if controllers else (GROUPS, "memory.max")
        place = Path(path.lstrip("/"))
        for folder in (place, *place.parents):
            found += [int(text) for text in _lines(root / folder / name) if text.isdigit()]
    return found


def is_in_memory(directory: Path) -> bool:
    """Whether files in a directory take memory, as in one of type tmpfs."""
    mounted = {Path(fields[1]): fields[2] for line in _lines(MOUNTS) if len(fields := line.split()) > 2}
    place = directory.resolve()
    return next((mounted[p] for p in (place, *place.parents) if p in mounted), "") in ("tmpfs", "ramfs")


def large_directory() -> Path:
    """The directory of temporary files; /var/tmp, which is on a disk, where it is a /tmp that is in memory."""
    usual = Path(tempfile.gettempdir())
    elsewhere = usual == UNIX_TMP and is_in_memory(usual) and os.access(UNIX_LARGE, os.W_OK)
    return UNIX_LARGE if elsewhere and not is_in_memory(UNIX_LARGE) else usual


def _lines(path: Path) -> list[str]:
    """The lines of a file; none where there is no such file, as on systems other than Linux."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
