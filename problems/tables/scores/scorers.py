"""Scorers as scikit-learn makes them, for predictions that were made already, and classes by their names."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.plugins import find, is_import_target
from emoprune.problems.tables.standalone.readings import label

__all__ = ["by_scorer", "judged", "needed", "of_places", "positive_class", "scorer_of"]

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

FloatArray = NDArray[np.float64]
Weights = FloatArray | None


def needed(function: Any) -> list[str]:
    """Return the names of the arguments that a function cannot do without; a scorer has three of them."""
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.kind in POSITIONAL and each.default is inspect.Parameter.empty]


def scorer_of(function: Any) -> Any:
    """Return the scorer of a function of target and predictions.

    Raises:
        ConfigError: Its name does not say whether more is better.
    """
    from sklearn.metrics import get_scorer, make_scorer, matthews_corrcoef

    if function is matthews_corrcoef:  # the one of scikit-learn's whose name says nothing
        return get_scorer("matthews_corrcoef")
    name = getattr(function, "__name__", "")
    if not name.endswith(("_error", "_loss", "_score")):
        raise ConfigError(
            f"metric: {name or repr(function)} does not say whether more is better; give it as "
            "make_scorer(function, greater_is_better=...)"
        )
    second = [each.name for each in inspect.signature(function).parameters.values() if each.kind in POSITIONAL][1]
    of_probabilities = name == "log_loss" or second in ("y_score", "y_proba", "y_prob")
    response = "predict_proba" if of_probabilities else "predict"
    return make_scorer(function, greater_is_better=name.endswith("_score"), response_method=response)


def of_places(scorer: Any, classes: Sequence[str]) -> Any:
    """Return a scorer whose pos_label and labels name classes by their places, as targets do here.

    Where no pos_label is given it is the scorer's own, such as 1, if the target has a class of that name.

    Raises:
        ConfigError: It names a class that the target does not have.
    """
    given = getattr(scorer, "_kwargs", {})
    named = {option: given[option] for option in ("pos_label", "labels") if given.get(option) is not None}
    own = _own_positive(scorer, len(classes))
    if "pos_label" not in given and own is not None and label(own) in classes and classes.index(label(own)) != own:
        named["pos_label"] = own
    if not classes or not named:
        return scorer
    placed = copy.copy(scorer)
    of_target = {option: _places(option, value, classes) for option, value in named.items()}
    placed._kwargs = {**given, **of_target}  # noqa: SLF001  # it has no other place
    return placed


def _own_positive(scorer: Any, classes: int) -> Any:
    """Return the class that a scorer takes for the positive one if nothing is said; None if it has none."""
    function = getattr(scorer, "_score_func", None)
    parameters = {} if function is None else inspect.signature(function).parameters
    own, average = (parameters[name].default if name in parameters else None for name in ("pos_label", "average"))
    asked = getattr(scorer, "_kwargs", {}).get("average")
    of_all = asked not in (None, "binary") or (average not in (None, "binary") and classes != 2)
    return None if of_all or own is inspect.Parameter.empty else own


def positive_class(scorer: Any, classes: Sequence[str]) -> str:
    """Return the class that a scorer takes for the positive one though nobody named it; empty if there is none."""
    own = _own_positive(scorer, len(classes))
    if own is None or len(classes) != 2 or "pos_label" in getattr(scorer, "_kwargs", {}):
        return ""
    return "" if label(own) in classes else classes[-1]


def _places(option: str, named: Any, classes: Sequence[str]) -> Any:
    several = np.ndim(named) > 0
    names = [label(name) for name in (named if several else [named])]
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise ConfigError(
            f"metric: its {option} expects a class of the target, one of {', '.join(classes)}, found {unknown[0]!r}"
        )
    places = [classes.index(name) for name in names]
    return places if several else places[0]


def by_scorer(name: str, target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    """Let a scorer of that name or import target judge predictions that were made already."""
    from sklearn.metrics import get_scorer

    scorer = find("metric", name) if is_import_target(name) else get_scorer(name)
    score = judged(scorer, target, predictions, weights)
    return -score if name.startswith("neg_") else score


def judged(scorer: Any, target: FloatArray, predictions: FloatArray, weights: Weights = None) -> float:
    """Return what a scorer says of predictions that were made already."""
    given = {} if weights is None else {"sample_weight": weights}
    return float(scorer(_given(predictions), np.zeros((len(target), 1)), target, **given))


def _given(predictions: FloatArray) -> Any:
    """Return an estimator that knows nothing but its predictions."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    if predictions.ndim == 1:

        class Numbers(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
            """Predicts what was predicted."""

            def fit(self) -> None:
                """Learn nothing."""

            def predict(self, inputs: FloatArray) -> FloatArray:  # noqa: ARG002  # the predictions are made already
                """Return the predictions."""
                return predictions

        return Numbers()

    class Classes(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
        """Predicts what was predicted."""

        classes_ = np.arange(predictions.shape[1], dtype=np.float64)

        def fit(self) -> None:
            """Learn nothing."""

        def predict(self, inputs: FloatArray) -> FloatArray:  # noqa: ARG002  # the predictions are made already
            """Return the most probable class."""
            return np.asarray(self.classes_[predictions.argmax(axis=1)])

        def predict_proba(self, inputs: FloatArray) -> FloatArray:  # noqa: ARG002  # the predictions are made already
            """Return the probabilities."""
            return predictions

    return Classes()
