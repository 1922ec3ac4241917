"""Tables: which columns a model needs, and which new ones, made of the others by formulas, it is better with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emoprune.problems.tables.scikit_learn.evolved_features import EvolvedFeatures
    from emoprune.problems.tables.scikit_learn.tabular_transform import TabularTransform

__all__ = ["EvolvedFeatures", "TabularTransform"]


def __getattr__(name: str) -> Any:
    # Listing problems and examples imports this package and must not wait for scikit-learn.
    if name == "EvolvedFeatures":
        from emoprune.problems.tables.scikit_learn.evolved_features import EvolvedFeatures

        return EvolvedFeatures
    if name == "TabularTransform":
        from emoprune.problems.tables.scikit_learn.tabular_transform import TabularTransform

        return TabularTransform
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
