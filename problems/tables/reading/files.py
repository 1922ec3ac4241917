"""CSV and Parquet files as frames."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

import polars

from emoprune.errors import ConfigError

__all__ = ["SUFFIXES", "frame_from", "lazy_frame_from", "rows_in"]

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
SEPARATORS = (",", ";", "\t", "|")  # of equally good ones the first
LOOKED_AT = 100  # rows that say by what cells are separated


def frame_from(path: Path) -> polars.DataFrame:
    """Read a file with a header; in text files empty cells are missing, and dates are texts still.

    Cells of a .csv file are separated by commas, or else by semicolons, tabs or bars, whichever gives all of its first
    rows as many cells as the header.

    Raises:
        ConfigError: The file cannot be read, is of another kind, or names a column twice.
    """
    _check(path)
    with _read(path):
        if path.suffix == ".parquet":
            return polars.read_parquet(path)
        return polars.read_csv(path, separator=_separator(path), infer_schema_length=None)


def lazy_frame_from(path: Path) -> polars.LazyFrame:
    """Return a file's rows as a frame that reads what is asked of it, with the columns and types of `frame_from`.

    Raises:
        ConfigError: As `frame_from`, but for what is found only where the rows are read.
    """
    _check(path)
    with _read(path):
        if path.suffix == ".parquet":
            return polars.scan_parquet(path)
        return polars.scan_csv(path, separator=_separator(path), infer_schema_length=None)


def rows_in(path: Path) -> int:
    """Return how many rows a file has; of a text file no cell is read.

    Raises:
        ConfigError: As `frame_from`.
    """
    _check(path)
    with _read(path):
        if path.suffix == ".parquet":
            frame = polars.scan_parquet(path)
        else:
            frame = polars.scan_csv(path, separator=_separator(path), infer_schema=False)
        return int(frame.select(polars.len()).collect(engine="streaming").item())


def _check(path: Path) -> None:
    if not path.name.endswith(SUFFIXES):
        raise ConfigError(f"data: {path.name}: expected a file that ends in {', '.join(SUFFIXES)}")
    if path.suffix != ".parquet":
        with _read(path):
            _check_header(path, _separator(path))


def _separator(path: Path) -> str:
    if path.name.endswith((".tsv", ".tsv.gz")):
        return "\t"
    return next((each for each in SEPARATORS if _cuts(path, each)), ",")


def _cuts(path: Path, separator: str) -> bool:
    """Whether a separator cuts all of the first rows into as many cells as the header, and more than one."""
    with _opened(path) as lines:
        widths = {len(row) for row in islice(csv.reader(lines, delimiter=separator), LOOKED_AT) if row}
    return len(widths) == 1 and max(widths) > 1


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


@contextmanager
def _read(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"data: {path.name}: expected texts in UTF-8, found other bytes ({error}); convert it, as by "
            f"`iconv -f LATIN1 -t UTF-8 {path.name}`"
        ) from error
    except (OSError, EOFError, csv.Error, polars.exceptions.PolarsError) as error:
        raise ConfigError(f"data: {path.name} cannot be read: {error}") from error


def _check_header(path: Path, separator: str) -> None:
    """Refuse doubled names here, because polars renames them."""
    with _opened(path) as lines:
        header = next(csv.reader(lines, delimiter=separator), [])
    if not header:
        raise ConfigError(f"data: {path.name}: expected a header line with the columns' names, found an empty file")
    doubled = [name for name, count in Counter(header).items() if count > 1]
    if doubled:
        raise ConfigError(f"data: {path.name}: expected every column name once, found {doubled[0]!r} again; rename one")
