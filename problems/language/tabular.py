"""Rows of a CSV, TSV or JSONL file, as texts by column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emoprune.errors import ConfigError

__all__ = ["TabularFile", "tabular_file"]


@dataclass(frozen=True, slots=True)
class TabularFile:
    """The rows of a file as texts, in the order of `columns`, which are lower-case; `lines` are where they begin."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def as_mappings(self) -> list[dict[str, str]]:
        """Return each row by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def tabular_file(place: Path) -> TabularFile:
    """Read a file in UTF-8: .tsv is split at tabs and knows no quotes, .jsonl has one object per line, else CSV.

    CSV and TSV begin with a header. Numbers in JSON become the texts that they are written as.

    Raises:
        ConfigError: The file cannot be read, is empty, or a row is of another form than the first.
    """
    try:
        text = place.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"data: {place.name} cannot be read: {error}; expected CSV, TSV or JSONL in UTF-8") from error
    found = _objects(place, text) if place.suffix.lower() in {".jsonl", ".ndjson"} else _table(place, text)
    if not found.rows:
        raise ConfigError(f"data: {place.name} has a header and no rows; add some")
    return found


def _table(place: Path, text: str) -> TabularFile:
    lines = io.StringIO(text, newline="")  # ends a line at nothing that could stand within a sentence
    # Sentences in .tsv hold quote marks that mean nothing.
    tabs = place.suffix.lower() == ".tsv"
    reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(lines)
    rows: list[tuple[str, ...]] = []
    numbers: list[int] = []
    begun = 1
    try:
        for row in reader:
            if row:
                rows.append(tuple(row))
                numbers.append(begun)
            begun = reader.line_num + 1
    except csv.Error as error:
        raise ConfigError(f"data: {place.name} cannot be read: {error}; expected CSV or TSV in UTF-8") from error
    if not rows:
        raise ConfigError(f"data: {place.name} is empty; expected a header and rows")
    columns = tuple(name.strip().lower() for name in rows[0])
    for number, cells in zip(numbers[1:], rows[1:], strict=True):
        if len(cells) != len(columns):
            raise ConfigError(
                f"data: {place.name}, row {number}: expected {len(columns)} columns as in the header, found "
                f"{len(cells)}; mend it"
            )
    return TabularFile(place.name, columns, tuple(rows[1:]), tuple(numbers[1:]))


def _objects(place: Path, text: str) -> TabularFile:
    objects = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not objects:
        raise ConfigError(f"data: {place.name} is empty; expected one JSON object per line")
    read = [_object(place, number, line) for number, line in objects]
    columns = tuple(read[0])
    for (number, _), row in zip(objects, read, strict=True):
        if set(row) != set(columns):
            wrong = ", ".join(sorted(set(row) ^ set(columns)))
            raise ConfigError(
                f"data: {place.name}, row {number}: expected the members of the first row, found a difference in "
                f"{wrong}; mend it"
            )
    rows = tuple(tuple(row[column] for column in columns) for row in read)
    return TabularFile(place.name, columns, rows, tuple(number for number, _ in objects))


def _object(place: Path, number: int, line: str) -> Mapping[str, str]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ConfigError(
            f"data: {place.name}, row {number}: expected a JSON object, found {error}; mend it"
        ) from error
    if not isinstance(row, dict) or any(isinstance(value, dict | list) for value in row.values()):
        raise ConfigError(
            f"data: {place.name}, row {number}: expected a JSON object of texts and numbers, found {line[:60]!r}"
        )
    return {str(name).strip().lower(): _text(value) for name, value in row.items()}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)
