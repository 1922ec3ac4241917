"""A series that is forecast, cut into parts that follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import LARGEST
from emoprune.errors import ConfigError, EmopruneError
from emoprune.plugins import find, is_import_target
from emoprune.problems.reservoir.options import ReservoirOptions
from emoprune.problems.reservoir.standalone.reservoir import FloatArray
from emoprune.problems.storage.located import located
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Series", "mackey_glass", "series_of"]

MACKEY_GLASS = "mackey-glass"
FIT = 0.5  # of the steps after the washout; the rest is searched, selected and reported on
PARTS = {Split.SEARCH: 0.2, Split.SELECT: 0.15, Split.TEST: 0.15}
FEWEST = 20  # steps of a part


def mackey_glass(steps: int, delay: int = 17, seed: int = 0) -> FloatArray:
    """Return the series of Mackey and Glass, dx = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x, a step apart."""
    fine, before = 10, 500
    past = delay * fine
    values = np.empty((steps + before) * fine + past)
    values[:past] = 1.2 + 0.2 * (np.random.default_rng(seed).random(past) - 0.5)
    for place in range(past, len(values)):
        delayed = values[place - past]
        values[place] = values[place - 1] + (0.2 * delayed / (1 + delayed**10) - 0.1 * values[place - 1]) / fine
    return values[past::fine][before : before + steps]


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A series scaled by the steps that are learnt from, and which steps are for what.

    Attributes:
        values: All steps, scaled, shape (steps,).
        mean: What was taken off.
        deviation: What was divided by.
        fit: The steps whose forecasts are learnt from.
        rows: The steps whose forecasts are scored, by part; the forecast of none reaches into another part.
    """

    values: FloatArray
    mean: float
    deviation: float
    fit: IntArray
    rows: Mapping[Split, IntArray]

    @classmethod
    def of(cls, plain: FloatArray, washout: int, horizon: int) -> Series:
        """Cut a series.

        Raises:
            ConfigError: It is too short for the washout, holds gaps or too large numbers, or does not vary.
        """
        if plain.ndim != 1 or not np.isfinite(plain).all():
            raise ConfigError(f"data: expected one series of finite numbers, found shape {plain.shape} or gaps in it")
        if np.abs(plain).max(initial=0.0) > LARGEST:
            raise ConfigError(f"data: expected numbers within {LARGEST:g}, found {np.abs(plain).max():g}; scale them")
        shortest = washout + int(np.ceil((FEWEST + horizon) / min(PARTS.values())))
        if len(plain) < shortest:
            raise ConfigError(
                f"data: expected at least {shortest} steps for a washout of {washout} and a horizon of {horizon}, "
                f"found {len(plain)}; give more, or lower `washout`"
            )
        usable = len(plain) - washout
        ends = washout + np.round(np.cumsum([FIT, *PARTS.values()]) * usable).astype(np.int64)
        own = plain[washout : ends[0]]
        if not own.std() > 0:
            raise ConfigError(f"data: expected a series that varies, found {own[0]:g} in all steps to learn from")
        rows = {
            split: np.arange(begin, end - horizon) for split, begin, end in zip(PARTS, ends, ends[1:], strict=False)
        }
        mean, deviation = float(own.mean()), float(own.std())
        return cls((plain - mean) / deviation, mean, deviation, np.arange(washout, ends[0] - horizon), rows)


def series_of(options: ReservoirOptions) -> Series:
    """Return the series that a config names.

    Raises:
        ConfigError: There is none, or it cannot be used.
    """
    if options.data == MACKEY_GLASS:
        plain = mackey_glass(options.length)
    else:
        plain = _called(options.data) if is_import_target(options.data) else _read(options.data, options.column)
    return Series.of(plain, options.washout, options.horizon)


def _called(target: str) -> FloatArray:
    function = find("data", target)
    try:
        return np.asarray(function(), dtype=np.float64)
    except EmopruneError:
        raise
    except Exception as error:  # a stranger's code may raise anything; its own error is the cause
        raise ConfigError(f"data: {target!r} raised {type(error).__name__}: {error}; mend it there") from error


def _read(name: str, column: str | None) -> FloatArray:
    path = located(name)
    if path is None or path.suffix not in (".csv", ".npy"):
        raise ConfigError(
            f"data: expected {MACKEY_GLASS}, a .csv or .npy file here or beside the config, or an import target "
            f"package.module:function, found {name!r}"
        )
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        names = path.read_text(encoding="utf-8").partition("\n")[0].strip().split(",")
        if column is not None and column not in names:
            raise ConfigError(f"column: {name} has no column {column!r}, expected one of {', '.join(names[:20])}")
        place = 0 if column is None else names.index(column)
        return np.asarray(np.loadtxt(path, delimiter=",", skiprows=1, usecols=place, ndmin=1), dtype=np.float64)
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"data: {name} cannot be read as numbers: {error}; mend the file") from error
