"""What a search found, as a transformer for pipelines: it computes features, and searches for none."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from emoprune.errors import ConfigError
from emoprune.problems.tables.fitting import learnt_anew
from emoprune.problems.tables.reading.frames import check_names, names_of, plain_columns
from emoprune.problems.tables.reading.lazily import is_lazy
from emoprune.problems.tables.scikit_learn.given import tidy
from emoprune.problems.tables.scikit_learn.typed_output import modelled_frame
from emoprune.problems.tables.standalone.features import Features, load_features

__all__ = ["FeatureSource", "TabularTransform", "features_in"]

# A folder with features, a fitted transformer that has them as `features_`, or they themselves.
FeatureSource: TypeAlias = str | Path | Features | Any

REFUSED = re.compile(r'[\[\]<>{}:,"]')  # by XGBoost or LightGBM in the name of a feature


class TabularTransform(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """The columns and formulas that a search chose, computed for any rows, as a scikit-learn transformer.

    It needs no fit. Frames may be of pandas, polars or Arrow; columns are found by name, in any order, and others are
    ignored. It gives an array of floats in which categories are codes, or after `set_output` a frame of floats and
    categories, whose categories are the same for all rows, in training as in prediction. Missing is NaN, and so are a
    category that the search never saw and what a formula does not define. In names of features `_` stands for the
    signs that LightGBM or XGBoost refuse: brackets, braces, angles, colons, commas and double quotes.

    Args:
        source: A folder that `emoprune export` or `EvolvedFeatures.save` wrote, a run's folder with one export, a
            fitted `EvolvedFeatures`, or its `features_`.
        refit: Whether `fit` learns statistics of groups, counts and ranks again, on the rows that it is given; if not,
            they stay those of the search. What the categories are stays in either case.
        missing: What a missing or unseen category is called in frames, such as "missing" for CatBoost, which refuses
            gaps in categories; all categories are texts then. None leaves it missing.

    Attributes:
        features_: The features with everything they learnt, after `fit`.
    """

    __module__ = "emoprune.problems.tables"  # what a pickle names, wherever this file lies

    def __init__(self, source: FeatureSource = None, *, refit: bool = False, missing: str | None = None) -> None:
        self.source = source
        self.refit = refit
        self.missing = missing

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, N803  # scikit-learn's names
        """Check that the columns are there, and learn statistics of the rows if `refit`.

        Raises:
            ConfigError: There are no features at `source`.
            ValueError: A column is missing, or holds what it did not hold in the search.
        """
        features, frame = self._found(), self._columns(X)
        self.features_ = learnt_anew(features, frame) if self.refit else features
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803  # scikit-learn's name
        """Return the features of rows, shape (rows, features); one row is as good as many.

        Raises:
            ConfigError: There are no features at `source`.
            ValueError: A column is missing, or holds what it did not hold in the search.
        """
        features, frame = self._current(), self._columns(X)
        library = _get_output_config("transform", self)["dense"]
        if library == "default":
            return features.transform(frame)
        index = getattr(X, "index", None) if hasattr(X, "iloc") else None
        return modelled_frame(features, frame, self._names(features), library, index=index, missing=self.missing)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:  # noqa: ARG002  # names come from formulas
        """Return the names of the features: formulas to read."""
        return np.asarray(self._names(self._current()), dtype=object)

    @staticmethod
    def _names(features: Features) -> list[str]:
        names: list[str] = []
        for feature in features.names:
            name, number = REFUSED.sub("_", feature), 2
            while name in names:
                name, number = f"{REFUSED.sub('_', feature)} #{number}", number + 1
            names.append(name)
        return names

    def _current(self) -> Features:
        check_is_fitted(self)
        return self.features_ if "features_" in vars(self) else self._found()

    def _found(self) -> Features:
        """Return the features at the source, read once."""
        known = vars(self).get("_read")
        if known is None or known[0] is not self.source:
            self._read = known = (self.source, features_in(self.source))
        found: Features = known[1]
        return found

    def _columns(self, frame: Any) -> Any:
        """Return a frame, or the columns of an array under the names that the search gave them; all that are needed."""
        frame = tidy(frame)
        frame = frame.collect() if is_lazy(frame) else frame
        if not isinstance(frame, Mapping):
            if hasattr(frame, "columns"):
                check_names(frame)
            else:
                frame = plain_columns(np.asarray(frame))
        needed, names = self._found().plan["needs"], set(names_of(frame))
        missing = [name for name in needed if name not in names]
        if missing:
            raise ValueError(
                f"expected the columns {', '.join(needed)}, found none called {', '.join(missing)}; give a frame with "
                "the columns that the search had"
            )
        return frame

    @property
    def _n_features_out(self) -> int:
        return len(self._current().names)

    def __sklearn_is_fitted__(self) -> bool:
        return not self.refit or "features_" in vars(self)

    def __sklearn_clone__(self) -> Self:
        # A source that was fitted is what this is made of: it is shared, not cloned to one that was not fitted.
        made = type(self)(self.source, refit=self.refit, missing=self.missing)
        kept = {"_sklearn_output_config", "_metadata_request"} & vars(self).keys()
        for name in kept:
            setattr(made, name, copy.deepcopy(getattr(self, name)))
        return made

    def __getstate__(self) -> dict[str, Any]:
        self._found()  # a folder need not be there where this is loaded
        return super().__getstate__()  # type: ignore[no-any-return]  # scikit-learn ships no types

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = self.refit
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def features_in(source: FeatureSource) -> Features:
    """Return the features that a source holds.

    Raises:
        ConfigError: It holds none, or a run holds those of several exports.
    """
    if isinstance(source, Features):
        return source
    if not isinstance(source, str | Path):
        found = getattr(source, "features_", None)
        if isinstance(found, Features):
            return found
        raise ConfigError(
            "source: expected a folder that `emoprune export` or `save` wrote, or a fitted EvolvedFeatures, found "
            f"{type(source).__name__ if source is not None else 'nothing'}; fit it first, or name the folder"
        )
    folder = Path(source)
    if (folder / "exports").is_dir():
        exports = sorted(path.parent for path in folder.glob("exports/*/features.json"))
        if len(exports) != 1:
            listed = ", ".join(str(path) for path in exports) or "none; write one with `emoprune export RUN ID`"
            raise ConfigError(f"{folder}: expected a run with one export, found {listed}")
        (folder,) = exports
    try:
        return load_features(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{folder}: expected features.json and statistics.npz: {error}") from error
