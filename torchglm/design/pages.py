"""Pages: memory that is mapped from a file, let go after its use."""

from __future__ import annotations

import mmap
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Pages:
    """The pages of columns in one file; None where there is no row."""

    mapped: mmap.mmap | None

    def release(self) -> None:
        """Nothing; what has been looked at no longer counts as this process's memory."""
        if self.mapped is not None and sys.platform == "linux":
            self.mapped.madvise(mmap.MADV_DONTNEED)
