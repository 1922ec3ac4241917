"""Tables that come with scikit-learn, and one with planted features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

__all__ = ["BUILT_IN", "planted"]

Frame = tuple[dict[str, Any], Any]  # columns by name, and the target


def _from_sklearn(name: str) -> Callable[[], Frame]:
    def read() -> Frame:
        from sklearn import datasets

        loaded = getattr(datasets, f"load_{name}")()
        names = [str(each).removesuffix(" (cm)") for each in loaded.feature_names]
        target = loaded.target
        if name != "diabetes":
            target = np.asarray(loaded.target_names).astype(str)[loaded.target]
        return dict(zip(names, np.asarray(loaded.data, dtype=np.float64).T, strict=True)), target

    return read


def planted(rows: int = 3000, seed: int = 0) -> Frame:
    """Return a table whose target depends on debt / income, on the mean income by city, and on noise.

    There are ten rows of each city, too few to learn a city's effect from the target alone.
    """
    rng = np.random.default_rng(seed)
    count = max(2, rows // 10)
    city = rng.permutation(np.arange(rows) % count)
    wealth = rng.uniform(0.5, 3.0, count)
    income = wealth[city] * rng.gamma(8.0, 1 / 8.0, rows)
    debt = rng.lognormal(0.0, 0.7, rows)
    means = np.bincount(city, income, count) / np.bincount(city, minlength=count)
    noise = {f"noise{number}": rng.normal(size=rows) for number in range(6)}
    target = np.log(debt / income) + 1.5 * means[city] + rng.normal(0, 0.2, rows)
    names = np.array([f"city {number}" for number in range(count)], dtype=object)
    return {"income": income, "debt": debt, "city": names[city], **noise}, target


BUILT_IN: Mapping[str, Callable[[], Frame]] = MappingProxyType(
    {
        "breast-cancer": _from_sklearn("breast_cancer"),
        "diabetes": _from_sklearn("diabetes"),
        "digits": _from_sklearn("digits"),
        "iris": _from_sklearn("iris"),
        "wine": _from_sklearn("wine"),
        "planted": planted,
    }
)
