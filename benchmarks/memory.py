from __future__ import annotations

import ctypes
import gc
import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def settle() -> int:
    """Resident bytes now, after freed memory has gone back to the system and the peak counter has been reset."""
    gc.collect()
    if sys.platform == "linux":
        # Freed pages that the allocator keeps would hide the first megabytes of the fit.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return status_bytes("VmRSS")
    return peak()


def peak() -> int:
    """The largest resident set since `settle`; where the system cannot reset it, since the process started."""
    if sys.platform == "linux":
        # Not ru_maxrss: a child inherits its parent's through vfork.
        return status_bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def status_bytes(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return 1024 * int(line.split()[1])


def available_bytes() -> int:
    """Bytes that a new process may take; unknown counts as 8 GB."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return 8 << 30
    line = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
    return 1024 * int(line.split()[1])
