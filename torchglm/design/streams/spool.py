"""Spool: columns written to one file as they come, then looked at where they lie, as tensors of mapped memory.

The file has no name from the start, so that nothing is left of it however the process ends. A pass over it that is
kept from filling memory lets go of the pages it has seen: what the system keeps of them it may give away.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchglm.design.pages import Pages
from torchglm.errors import DataError

PAGE = mmap.ALLOCATIONGRANULARITY
NUMPY = {
    torch.float64: np.float64,
    torch.int16: np.int16,
    torch.int32: np.int32,
    torch.int64: np.int64,
}


@dataclass(frozen=True)
class Section:
    """Room for `width` columns of one type, the first at `offset` bytes, one every `gap` bytes."""

    dtype: torch.dtype
    width: int
    offset: int
    gap: int


@dataclass
class Spool:
    """A file being written. `capacity`: the rows that there is room for."""

    directory: Path
    capacity: int
    rows: int = 0
    size: int = 0
    sections: dict[str, Section] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self.file = tempfile.TemporaryFile(prefix="torchglm-", dir=self.directory, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise DataError(
                f"No cache can be made in {str(self.directory)!r}: {error}. Name another, cache=."
            ) from error

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, name: str, dtype: torch.dtype, width: int = 1) -> None:
        """Room for `width` more columns, evenly spaced."""
        gap = -(-self.capacity * dtype.itemsize // PAGE) * PAGE
        self.sections[name] = Section(dtype, width, self.size, gap)
        self.size += gap * width

    def refuse_too_large(self) -> None:
        """Nothing, where the directory has room for all that may come.

        Raises: DataError.
        """
        free = os.statvfs(self.directory)
        if self.size > free.f_bavail * free.f_frsize:
            raise self._full(free.f_bavail * free.f_frsize)

    def write(self, columns: dict[str, Tensor], rows: int) -> None:
        """The next `rows` rows: a tensor (rows,) or (width, rows) for every section.

        Raises: DataError where the disk is full.
        """
        with self._growing():
            for name, section in self.sections.items():
                table = columns[name].reshape(section.width, rows).to(section.dtype).contiguous().numpy()
                for k, column in enumerate(table):
                    place = section.offset + k * section.gap + self.rows * section.dtype.itemsize
                    self._put(memoryview(column).cast("B"), place)
        self.rows += rows

    @contextmanager
    def _growing(self) -> Iterator[None]:
        """A block in which the file grows.

        Raises: DataError where the disk is full, or no file may be so large.
        """
        try:
            yield
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise DataError(
                    f"The cache of the data needs {self.size / 1e9:.3g} GB, and no file may be so large in "
                    f"{str(self.directory)!r}. Raise the limit (ulimit -f), or name another directory: cache=."
                ) from error
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise self._full(0) from error

    def _put(self, data: memoryview, offset: int) -> None:
        while data:
            done = os.pwrite(self.file.fileno(), data, offset)
            data, offset = data[done:], offset + done

    def _full(self, free: int) -> DataError:
        return DataError(
            f"The cache of the data needs {self.size / 1e9:.3g} GB in {str(self.directory)!r}, which has "
            f"{free / 1e9:.3g} GB left. Name a directory on a larger disk: cache=, or TMPDIR in the environment."
        )

    def finish(self) -> tuple[dict[str, Tensor], Pages]:
        """The columns, (width, rows) each, and their pages. The file lives as long as they do."""
        if not self.rows:
            return {name: torch.empty(s.width, 0, dtype=s.dtype) for name, s in self.sections.items()}, Pages(None)
        with self._growing():
            os.ftruncate(self.file.fileno(), self.size)
        # Shared: of a private map the system would have to promise as much memory and swap. Torch warns of memory that
        # cannot be written to; nothing here writes.
        mapped = mmap.mmap(self.file.fileno(), self.size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        tensors = {}
        for name, section in self.sections.items():
            items = section.gap // section.dtype.itemsize * section.width
            flat = torch.from_numpy(np.frombuffer(mapped, NUMPY[section.dtype], items, section.offset))
            tensors[name] = flat.view(section.width, -1)[:, : self.rows]
        return tensors, Pages(mapped)
