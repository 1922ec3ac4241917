"""CSV and Parquet files as frames."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import polars

from emoprune.errors import ConfigError

__all__ = ["SUFFIXES", "frame_from"]

SUFFIXES = (".csv", ".tsv", ".parquet")


def frame_from(path: Path) -> polars.DataFrame:
    """Read a file with a header; in text files empty cells are missing, and dates are texts still.

    Raises:
        ConfigError: The file cannot be read, is of another kind, or names a column twice.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"data: {path.name}: expected a file that ends in {', '.join(SUFFIXES)}")
    try:
        if path.suffix == ".parquet":
            return polars.read_parquet(path)
        separator = "\t" if path.suffix == ".tsv" else ","
        _check_header(path, separator)
        return polars.read_csv(path, separator=separator, infer_schema_length=None)
    except (OSError, UnicodeDecodeError, polars.exceptions.PolarsError) as error:
        raise ConfigError(f"data: {path.name} cannot be read: {error}") from error


def _check_header(path: Path, separator: str) -> None:
    """Refuse doubled names here, because polars renames them."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        header = next(csv.reader(lines, delimiter=separator), [])
    if not header:
        raise ConfigError(f"data: {path.name}: expected a header line with the columns' names, found an empty file")
    doubled = [name for name, count in Counter(header).items() if count > 1]
    if doubled:
        raise ConfigError(f"data: {path.name}: expected every column name once, found {doubled[0]!r} again; rename one")
