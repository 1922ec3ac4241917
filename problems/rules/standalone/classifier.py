"""Rules with exceptions and confidences as a classifier of scikit-learn; needs numpy, scipy and scikit-learn.

from rules import load_rules
rules = load_rules()
rules.predict_proba(frame)  # a pandas or polars frame, or a mapping of names to arrays
print(rules.text)

RuleClassifier() learns rules of its own from numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from emoprune.problems.rules.standalone.fold import (
    Clause,
    FloatArray,
    Literal,
    Rule,
    Trusted,
    learnt,
    literals_in,
    pruned,
)

HERE = Path(__file__).parent
FORMAT = "emoprune.rules/1"


class RuleClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Classify by rules with exceptions: FOLD-RM's, with confidences and pruned as CON-FOLD does.

    Args:
        ratio: How many rows of other classes a rule may cover for each of its own, before exceptions.
        improvement: What an exception must add to the confidence of its rule.
        confidence: What the confidence of a rule must be.
        most: How many rules there are at most.
    """

    def __init__(self, ratio: float = 0.5, improvement: float = 0.02, confidence: float = 0.75, most: int = 50) -> None:
        self.ratio = ratio
        self.improvement = improvement
        self.confidence = confidence
        self.most = most

    def fit(self, X: Any, y: Any) -> RuleClassifier:  # noqa: N803  # scikit-learn's name
        """Learn rules from numbers and classes.

        Raises:
            ValueError: There are no classes, or only one.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")  # noqa: N806
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"expected at least two classes, found one class, {self.classes_[0]!r}")
        rules = learnt(X, np.zeros(X.shape[1], dtype=np.bool_), labels, self.ratio, self.most)
        rules = pruned(rules, X, labels, self.improvement, self.confidence)
        self.trusted_ = Trusted.of(rules, X, labels, len(self.classes_))
        self.features_: Any = None
        self.literals_ = literals_in(rules)
        return self

    def predict_proba(self, X: Any) -> FloatArray:  # noqa: N803
        """Return the probability of each class, shape (rows, classes).

        Raises:
            ValueError: The rows cannot be read, or have other columns.
        """
        check_is_fitted(self)
        if self.features_ is not None:
            matrix = self.features_.transform(X)
        else:
            matrix = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        return self.trusted_.probabilities(matrix)

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the most probable class of each row, shape (rows,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[np.argmax(probabilities, axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def load_rules(folder: Path | str = HERE) -> RuleClassifier:
    """Return the classifier that rules.json in `folder` describes, and features.py beside it reads columns for."""
    folder = Path(folder)
    plan = json.loads((folder / "rules.json").read_text(encoding="utf-8"))
    if plan.get("format") != FORMAT:
        raise ValueError(f"rules.json: expected format {FORMAT!r}, found {plan.get('format')!r}")
    loaded = RuleClassifier()
    loaded.classes_ = np.array(plan["classes"])
    rules = tuple(Rule(each["class"], _clause(each), np.zeros(0, dtype=np.int64)) for each in plan["rules"])
    labels = np.array([*(rule.label for rule in rules), plan["otherwise"]["class"]], dtype=np.int64)
    confidences = [*(each["confidence"] for each in plan["rules"]), plan["otherwise"]["confidence"]]
    loaded.trusted_ = Trusted(rules, labels, np.array(confidences), np.array(plan["shares"]))
    loaded.literals_ = literals_in(rules)
    loaded.text = (folder / "rules.txt").read_text(encoding="utf-8")
    reader = run_path(str(folder / "features.py"))["load_features"] if rules else None
    loaded.features_ = _Unread() if reader is None else reader(folder)
    loaded.n_features_in_ = len(plan["columns"])
    return loaded


def _clause(plain: Mapping[str, Any]) -> Clause:
    body = tuple(Literal(each["column"], each["operator"], each["value"]) for each in plain["if"])
    return Clause(body, tuple(map(_clause, plain["unless"])))


class _Unread:
    """What reads a frame of which no column is needed."""

    def transform(self, frame: Any) -> FloatArray:
        """Return no columns for each row."""
        rows = len(next(iter(frame.values()))) if isinstance(frame, Mapping) else len(frame)
        return np.zeros((rows, 0))
