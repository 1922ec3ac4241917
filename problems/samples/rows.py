"""Rows with frozen features and classes, in four parts, from tables and from images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.fashion import fashion
from emoprune.problems.networks.data.image_folder import image_folder
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.data.mnist_5k import mnist_5k
from emoprune.problems.samples.options import SampleOptions
from emoprune.problems.storage.located import located
from emoprune.problems.tables.fitting import frame_of
from emoprune.problems.tables.reading.making import Wanted
from emoprune.problems.tables.reading.sources import Source, read_table
from emoprune.problems.tables.rows.splits import Splits, split
from emoprune.problems.tables.table import ColumnKind, Table
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Rows", "rows_of"]

FloatArray = NDArray[np.float64]

IMAGES: Mapping[str, Callable[[], ImageData]] = {"mnist-5k": mnist_5k, "fashion": fashion}


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of the `fit` part, which are pruned, and of three parts that they are scored on.

    Attributes:
        features: Of the rows that are pruned, scaled and brought to components by these rows alone, shape (n, d).
        labels: Their classes, shape (n,).
        numbers: Which rows of the data they are, shape (n,).
        raw: Of them what a user has, by column: what their hashes are of.
        held_out: Features and labels of the other parts.
        classes: The names of the classes.
        notes: What a person should know.
        origin: A digest of the data.
    """

    features: FloatArray
    labels: IntArray
    numbers: IntArray
    raw: Mapping[str, NDArray[Any]]
    held_out: Mapping[Split, tuple[FloatArray, IntArray]]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    origin: str


def rows_of(options: SampleOptions) -> Rows:
    """Return the rows that a config names.

    Raises:
        ConfigError: There are none, they cannot be read, or are of one class.
    """
    place = located(options.data)
    if options.data in IMAGES or (place is not None and place.is_dir()):
        found = _of_images(IMAGES[options.data]() if options.data in IMAGES else image_folder(place), options)  # type: ignore[arg-type]  # a folder that is no set has a place
    else:
        found = _of_table(options)
    missing = [name for label, name in enumerate(found.classes) if not (found.labels == label).any()]
    if len(found.classes) - len(missing) < 2:
        raise ConfigError("data: expected training rows of two classes or more, found one class; give more rows")
    if missing:
        raise ConfigError(f"data: expected training rows of every class, found none of {', '.join(missing)}")
    return found


def _of_table(options: SampleOptions) -> Rows:
    wanted = Wanted("classification", (), tuple(options.ignore), ())
    table = read_table(Source(options.data, options.target, options.groups, None, wanted))
    parts = split(table, Splits("auto", options.select, options.test, 1, options.split_seed))
    plain, labels = _plain(table), table.target.astype(np.int64)
    fit = parts.folds[0].train
    held_out = {
        Split.SEARCH: parts.folds[0].scored,
        Split.SELECT: parts.select.scored,
        Split.TEST: parts.test.scored,
    }
    scaled = _Scaled.of(plain[fit], options.components)
    return Rows(
        scaled(plain[fit]),
        labels[fit],
        fit,
        {**frame_of(table, fit), "target": np.array(table.classes, dtype=object)[labels[fit]]},
        {part: (scaled(plain[rows]), labels[rows]) for part, rows in held_out.items()},
        table.classes,
        table.notes,
        table.digest(),
    )


def _plain(table: Table) -> FloatArray:
    """Return numbers as they are, NaN in gaps, and a column for each category, shape (n, columns)."""
    columns: list[FloatArray] = []
    for column, values in zip(table.columns, table.values, strict=True):
        own = values.as_input()
        if column.kind is ColumnKind.CATEGORICAL:
            columns += [np.equal(own, code).astype(np.float64) for code in range(len(column.categories))]
        else:
            columns.append(own)
    return np.column_stack(columns)


def _of_images(data: ImageData, options: SampleOptions) -> Rows:
    parts = {name: part.images.reshape(len(part), -1).astype(np.float64) for name, part in data.parts.items()}
    scaled = _Scaled.of(parts["train"], options.components)
    labels = {name: part.labels for name, part in data.parts.items()}
    classes = data.names or tuple(str(label) for label in range(int(labels["train"].max()) + 1))
    digest = hashlib.sha256(b"".join(part.tobytes() for part in parts.values())).hexdigest()
    return Rows(
        scaled(parts["train"]),
        labels["train"],
        np.arange(len(labels["train"])),
        {"image": data.train.images, "target": labels["train"]},
        {part: (scaled(parts[part.value]), labels[part.value]) for part in Split},
        tuple(classes),
        data.notes,
        digest,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scaled:
    """Columns scaled, gaps at the mean, and principal components of many; learnt from rows that are pruned."""

    mean: FloatArray
    deviation: FloatArray
    turned: FloatArray

    @classmethod
    def of(cls, plain: FloatArray, components: int) -> _Scaled:
        known = np.where(np.isnan(plain).all(axis=0), 0.0, plain)  # a column that has no value here says nothing
        mean, deviation = np.nanmean(known, axis=0), np.nanstd(known, axis=0)
        plain = np.where(np.isnan(plain), mean, plain)
        deviation = np.where(deviation > 0, deviation, 1.0)
        columns = plain.shape[1]
        if columns <= components:
            return cls(mean, deviation, np.eye(columns))
        centred = plain - mean  # components of pixels that hardly vary are noise, so they are not scaled up before
        values, vectors = np.linalg.eigh(centred.T @ centred / len(plain))
        first = vectors[:, ::-1][:, :components]
        spread = np.sqrt(np.maximum(values[::-1][:components], 1e-12))
        return cls(mean, np.ones(columns), first / spread)

    def __call__(self, plain: FloatArray) -> FloatArray:
        centred = np.where(np.isnan(plain), 0.0, plain - self.mean)
        return np.asarray(centred / self.deviation @ self.turned)
