"""Training rows that are worth keeping; needs numpy, and for a Subset torch.

from samples import load_samples
samples = load_samples()
inputs, target = samples.select(inputs, target)   # arrays or frames of all rows
kept = samples.subset(dataset)                    # a torch Subset of all rows
samples.check(frame)                              # the kept rows are those that were chosen
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
FORMAT = "emoprune.samples/1"
DIGITS = 16  # of a hash


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The numbers of the rows that stay, counted from 0 in the order of the data, and a hash of each."""

    rows: NDArray[np.int64]
    hashes: tuple[str, ...]
    teacher: float
    columns: tuple[str, ...] = ()

    def select(self, *arrays: Any) -> Any:
        """Return the kept rows of arrays or frames, one for each; of one alone itself.

        Raises:
            ValueError: There are fewer rows than were chosen from.
        """
        found = [self._taken(own) for own in arrays]
        return found[0] if len(found) == 1 else tuple(found)

    def _taken(self, own: Any) -> Any:
        if len(own) <= self.rows.max():
            raise ValueError(
                f"expected all rows that were chosen from, at least {self.rows.max() + 1}, found {len(own)}"
            )
        if hasattr(own, "iloc"):
            return own.iloc[self.rows]
        return own[self.rows] if hasattr(own, "__array__") else [own[row] for row in self.rows.tolist()]

    def subset(self, dataset: Any) -> Any:
        """Return a torch Subset of a dataset of all rows."""
        from torch.utils.data import Subset

        return Subset(dataset, self.rows.tolist())

    def check(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Compare the kept rows with what was chosen.

        Args:
            columns: Of all rows, by name, as they were read, and the target as `target`; what was left out of the
                search is not looked at.

        Raises:
            ValueError: A column is missing, or a row is another one.
        """
        wanted = self.columns or tuple(columns)
        missing = [name for name in wanted if name not in columns]
        if missing:
            raise ValueError(f"expected the columns {', '.join(wanted)}, found none called {', '.join(missing)}")
        found = row_hashes({name: np.asarray(columns[name])[self.rows] for name in wanted})
        wrong = [row for row, own, known in zip(self.rows.tolist(), found, self.hashes, strict=True) if own != known]
        if wrong:
            raise ValueError(
                f"expected the rows that were chosen, found {len(wrong)} others, the first in row {wrong[0]}"
            )


def row_hashes(columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return a hash of each row: of numbers by their bytes as doubles, of all else and of the target by its text."""
    names = sorted(columns)
    plain = [_bytes(np.asarray(columns[name]), text=name == "target") for name in names]
    head = "\x1f".join(names).encode()
    return [hashlib.sha256(b"\x1f".join([head, *row])).hexdigest()[:DIGITS] for row in zip(*plain, strict=True)]


def _bytes(column: NDArray[Any], *, text: bool) -> list[bytes]:
    if not text and column.dtype.kind in "fiub":
        return [np.ascontiguousarray(row, dtype="<f8").tobytes() for row in column]
    return [str(value).encode() for value in column.tolist()]


def load_samples(folder: Path | str = HERE) -> Samples:
    """Return the rows of rows.json and manifest.json in `folder`."""
    plan = json.loads((Path(folder) / "rows.json").read_text(encoding="utf-8"))
    if plan.get("format") != FORMAT:
        raise ValueError(f"rows.json: expected format {FORMAT!r}, found {plan.get('format')!r}")
    manifest = json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
    hashes = manifest["rows"]
    rows = np.array(plan["rows"], dtype=np.int64)
    return Samples(
        rows,
        tuple(hashes[str(row)] for row in rows.tolist()),
        plan["share of the teacher"],
        tuple(manifest.get("columns", ())),
    )
