from __future__ import annotations

import datetime
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torchglm", "torch", "numpy", "pandas", "formulaic", "statsmodels", "glum", "scikit-learn", "pyfixest")


def describe() -> str:
    """The machine, the versions and the date, as one paragraph."""
    versions = ", ".join(f"{name} {found}" for name in PACKAGES if (found := version_of(name)))
    today = datetime.date.today().isoformat()
    python = f"Python {platform.python_version()}"
    return f"{processor()}, {os.cpu_count()} cores, {memory()}. {python}, {versions}, {r()}. {today}."


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The model of the processor; for a model that a virtual machine hides, its numbers."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in fields.items()}
    family, model = facts.get("cpu family", "?"), facts.get("model", "?")
    return f"{facts.get('model name', platform.machine())} (family {family}, model {model})"


def memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def r() -> str:
    if shutil.which("Rscript") is None:
        return "no R"
    ran = subprocess.run(["Rscript", "-e", "cat(format(getRversion()))"], capture_output=True, text=True)
    return f"R {ran.stdout.strip()}"
