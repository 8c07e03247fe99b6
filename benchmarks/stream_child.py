"""One measurement of the stream benchmark in a process of its own: `python -m benchmarks.stream_child WHAT FOLDER`."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

from benchmarks.memory import peak

NUMERIC = tuple(f"x{k}" for k in range(10))
FORMULA = f"y ~ {' + '.join(NUMERIC)} + region + kind"
USED = ["y", *NUMERIC, "region", "kind"]
LIMIT = "512 MB"


def scan(folder: Path) -> dict[str, float]:
    """Seconds to decode the columns that the formula uses, as pyarrow does by itself."""
    import pyarrow.parquet as pq

    began = time.perf_counter()
    rows = 0
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(131_072, columns=USED):
                rows += batch.num_rows
    return {"rows": rows, "seconds": time.perf_counter() - began, "peak": peak()}


def fit(folder: Path) -> dict[str, float]:
    """Seconds from the path to a summary's standard errors, passes, and the process's whole memory at its peak."""
    from torchglm import glm

    began = time.perf_counter()
    fitted = glm(FORMULA, folder, "poisson", memory_limit=LIMIT)
    errors = fitted.bse
    seconds = time.perf_counter() - began
    return {
        "rows": fitted.nobs,
        "seconds": seconds,
        "peak": peak(),
        "passes": fitted.record.facts.passes,
        "check": float(errors.sum() + fitted.params.sum()),
    }


def main(what: str, folder: str) -> int:
    warnings.filterwarnings("ignore")
    print(json.dumps({"scan": scan, "fit": fit}[what](Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
