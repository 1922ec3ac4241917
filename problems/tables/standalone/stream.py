"""Choose columns of a stream anew when they drift; needs numpy and scikit-learn, nothing else.

from stream import load_reselector
reselector = load_reselector()
kept = reselector.update(window, target)  # a matrix with the columns of stream.json, in their order
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
FORMAT = "emoprune.stream/1"
TIGHTEST = 1e-6  # variance of a standardised column inside its clusters, below which it counts as constant

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def standardised(window: FloatArray) -> FloatArray:
    """Return columns of mean 0 and deviation 1, gaps filled with the mean; constant columns are 0 throughout."""
    present = ~np.isnan(window)
    counts = np.maximum(present.sum(axis=0), 1)
    means = np.where(present, window, 0.0).sum(axis=0) / counts
    centred = np.where(present, window - means, 0.0)
    deviations = np.sqrt((centred**2).sum(axis=0) / counts)
    return np.asarray(centred / np.where(deviations > 0, deviations, 1.0))


def tightness(window: FloatArray, clusters: int, seed: int = 0) -> FloatArray:
    """Return a weight per column, shape (columns,), of sum 1: the tighter inside the clusters, the more.

    The columns are standardised first, because otherwise the inverse of a variance says nothing but the scale.
    """
    from sklearn.cluster import KMeans

    scaled = standardised(window)
    count = min(clusters, len(np.unique(scaled, axis=0)))
    labels = KMeans(count, init="k-means++", n_init=3, random_state=seed).fit(scaled).labels_
    members = np.eye(count)[labels]
    sizes = members.sum(axis=0)[:, np.newaxis]
    centres = members.T @ scaled / sizes
    within = (members.T @ (scaled - centres[labels]) ** 2 / sizes).mean(axis=0)
    # A constant column is as tight as can be, and says nothing.
    inverse = np.where(scaled.any(axis=0), 1.0 / np.maximum(within, TIGHTEST), 0.0)
    total = inverse.sum()
    return np.asarray(inverse / total if total > 0 else np.full(len(inverse), 1 / len(inverse)))


def information(window: FloatArray, target: FloatArray, *, classes: bool, seed: int = 0) -> FloatArray:
    """Return the mutual information of each column with the target, of sum 1, shape (columns,)."""
    from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

    estimate = mutual_info_classif if classes else mutual_info_regression
    found = np.maximum(estimate(standardised(window), target, random_state=seed), 0.0)
    total = found.sum()
    return np.asarray(found / total if total > 0 else np.full(len(found), 1 / len(found)))


def top(scores: FloatArray, keep: int) -> IntArray:
    """Return the places of the highest scores in ascending order; of equals the first ones."""
    return np.sort(np.argsort(-scores, kind="stable")[:keep])


def drifted(old: IntArray, new: IntArray, threshold: float) -> bool:
    """Whether two choices have less in common than the threshold, by Jaccard's measure."""
    common = len(np.intersect1d(old, new))
    return common / (len(old) + len(new) - common) < threshold


@dataclass
class Reselector:
    """Which columns are kept, changed when the best ones of a new window are others.

    `threshold` 0 never changes the first choice, and above 1 every window chooses for itself.
    """

    columns: list[str]
    keep: int
    clusters: int
    threshold: float
    information_weight: float
    classes: bool
    kept: list[int] = field(default_factory=list)

    def update(self, window: FloatArray, target: FloatArray | None = None) -> list[int]:
        """Look at a new window, shape (rows, columns), and return the places of the columns that are kept from now on.

        Raises:
            ValueError: The window has other columns, or mutual information is asked for and there is no target.
        """
        if window.ndim != 2 or window.shape[1] != len(self.columns):
            raise ValueError(f"expected a window of {len(self.columns)} columns, found shape {window.shape}")
        scores = np.zeros(len(self.columns))
        if self.information_weight < 1:
            scores = scores + (1 - self.information_weight) * tightness(window, self.clusters)
        if self.information_weight > 0:
            if target is None:
                raise ValueError("expected the window's target, because mutual information has a weight; give it")
            scores = scores + self.information_weight * information(window, target, classes=self.classes)
        new = top(scores, self.keep)
        if not self.kept or drifted(np.array(self.kept), new, self.threshold):
            self.kept = new.tolist()
        return self.kept


def load_reselector(folder: Path | str = HERE) -> Reselector:
    """Return the reselector that stream.json describes, with the choice it had when it was written."""
    plan: dict[str, Any] = json.loads((Path(folder) / "stream.json").read_text(encoding="utf-8"))
    if plan.pop("format", None) != FORMAT:
        raise ValueError(f"stream.json: expected format {FORMAT!r}")
    return Reselector(**plan)
