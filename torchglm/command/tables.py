"""Tables in and out of files: CSV and Parquet, told apart by the name; `-` is CSV on standard input or output."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from torchglm.design.streams.open import files_of
from torchglm.errors import DataError, OptionError
from torchglm.numerics.ranks import SWITCH

CSV, TSV, PARQUET = (".csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zst"), (".tsv", ".tsv.gz"), (".parquet", ".pq")
STANDARD = "-"
NUMBERED = re.compile(r"\.\d+$")  # what pandas writes behind a name that is there twice
NO_TEXT = (
    (b"\x1f\x8b", "compressed by gzip", "give the name of the file, or zcat it"),
    (b"PAR1", "a Parquet file", "give its name"),
)


def content_of(name: str) -> str | bytes:
    """What a table is read from, more than once if need be: its name, or all that came on standard input or a pipe.

    Raises: DataError for what is no text; OptionError for several processes that would read it.
    """
    if name != STANDARD:
        return Path(name).read_bytes() if Path(name).is_fifo() else name
    if several_processes()[1] > 1:
        raise OptionError("Standard input cannot be read by several processes at once: give them a file.")
    return _text_of(sys.stdin.buffer.read())  # read first: pandas takes Ctrl-C while it waits for a damaged file


def read_table(name: str, content: str | bytes | None = None, as_text: bool = False) -> Any:
    """What glm() takes as data: a frame of a CSV file, the name itself of anything else.

    `content`: as `content_of` gives it; `as_text`: every value as it is written.
    Raises: DataError for a file that is not there, or not CSV.
    """
    separator = _separator(name)
    if separator is None:
        return name
    shown = "standard input" if name == STANDARD else repr(name)
    given = content_of(name) if content is None else content
    kept: dict[str, Any] = {"dtype": str, "keep_default_na": False} if as_text else {}
    _refuse_without_package(name)
    try:
        frame = pd.read_csv(_opened(given), sep=separator, skipinitialspace=True, **kept)
        if any(NUMBERED.sub("", name) in frame.columns for name in frame.columns if NUMBERED.search(name)):
            head = pd.read_csv(_opened(given), sep=separator, skipinitialspace=True, header=None, nrows=1, dtype=str)
            frame = _with_names(frame, head.iloc[0].tolist())
    except FileNotFoundError as error:
        raise DataError(f"There is no file {shown}.") from error
    except IsADirectoryError as error:
        raise DataError(f"{shown} is a folder, not a file.") from error
    except (ValueError, EOFError, OSError) as error:  # pandas' errors of a parser are ValueErrors
        raise DataError(f"{shown} cannot be read as CSV: {error}") from error
    if frame.columns.empty:
        raise DataError(f"{shown} has no columns.")
    return frame


def _opened(content: str | bytes) -> Any:
    return io.BytesIO(content) if isinstance(content, bytes) else content


def _with_names(frame: pd.DataFrame, names: list[Any]) -> pd.DataFrame:
    """The frame with the names that are written in the file: pandas has numbered those that are there twice."""
    if len(names) != len(frame.columns):
        return frame
    return frame.set_axis([n if isinstance(n, str) else c for n, c in zip(names, frame.columns, strict=True)], axis=1)


def _refuse_without_package(name: str) -> None:
    """Nothing, where what the file is compressed by can be read and written.

    Raises: OptionError.
    """
    if name.lower().endswith(".zst") and find_spec("zstandard") is None:
        raise OptionError(f"{name!r} needs the package zstandard: pip install zstandard.")


def is_text(name: str) -> bool:
    """Whether a table of that name is text, CSV or alike."""
    return _separator(name) is not None


def _text_of(content: bytes) -> bytes:
    """What came on standard input.

    Raises: DataError for a file of another kind than text.
    """
    for begin, kind, advice in NO_TEXT:
        if content.startswith(begin):
            raise DataError(f"Standard input is {kind}, not CSV: {advice}.")
    return content


def as_frame(data: Any) -> pd.DataFrame:
    """The data as a frame, Parquet files read: one, those of a pattern, or of a folder.

    Raises: DataError.
    """
    if isinstance(data, pd.DataFrame):
        return data
    frames = [_parquet(path) for path in files_of(data)]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise DataError(f"{str(path)!r} is not a Parquet file, or is damaged: {error}") from error


def check_target(name: str | None) -> None:
    """Nothing, where a table can be written to `name`: known before the work, not after it.

    Raises: OptionError.
    """
    if name in (None, STANDARD):
        return
    _refuse_without_package(name)
    if _separator(name) is None and not name.lower().endswith(PARQUET):
        raise OptionError(
            f"{name!r}: a table is written to a {', '.join((*CSV[:2], TSV[0], PARQUET[0]))} file, or to -."
        )
    check_folder(name)


def check_folder(name: str) -> None:
    """Nothing, where the folder of a file to write is there.

    Raises: OptionError.
    """
    folder = Path(name).absolute().parent
    if not folder.is_dir():
        raise OptionError(f"There is no folder {str(folder)!r} to write {name!r} in. Make it first.")


def write_table(frame: pd.DataFrame, name: str) -> None:
    """Nothing; the table is in the file, all of it or nothing, without its index."""
    if name == STANDARD:
        frame.to_csv(sys.stdout, index=False, lineterminator="\n")
        return
    separator = _separator(name)
    if separator is None:
        _whole(name, lambda draft: frame.to_parquet(draft, index=False))
    else:
        _whole(name, lambda draft: frame.to_csv(draft, index=False, sep=separator, lineterminator="\n"))


def _whole(name: str, write: Callable[[str], object]) -> None:
    """A file written beside its place and then moved there; a pipe or device is written to as it is."""
    target = Path(name)
    if target.exists() and not target.is_file():
        write(name)
        return
    with tempfile.TemporaryDirectory(prefix=".torchglm-", dir=target.absolute().parent) as folder:
        draft = Path(folder) / target.name  # whose ending says how it is compressed
        write(str(draft))
        os.replace(draft, target)


def several_processes() -> tuple[int, int]:
    """The rank of this process and how many torchrun has started: told by what it has set, without waiting for them."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    return (int(os.environ.get("RANK", "0")), world) if os.environ.get(SWITCH, "").lower() != "off" else (0, 1)


def _separator(name: str) -> str | None:
    """What stands between the values of a text file of that name; None for other files."""
    if name == STANDARD or name.lower().endswith(CSV):
        return ","
    return "\t" if name.lower().endswith(TSV) else None
