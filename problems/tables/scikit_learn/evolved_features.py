"""The search as a scikit-learn transformer: fit finds formulas, transform computes them."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.reading.lazily import is_lazy, row_count
from emoprune.problems.tables.reading.making import TaskName, Wanted
from emoprune.problems.tables.rows.drawing import BY_DEFAULT, Drawing
from emoprune.problems.tables.rows.given_splits import GivenSplits, checked_splits
from emoprune.problems.tables.rows.splits import Block, SplitKind, Splits
from emoprune.problems.tables.scikit_learn.all_rows import learnt_on_all_rows
from emoprune.problems.tables.scikit_learn.batched import in_batches
from emoprune.problems.tables.scikit_learn.given import columns_given, names_given, tables_given
from emoprune.problems.tables.scikit_learn.tabular_transform import features_in
from emoprune.problems.tables.scikit_learn.typed_output import typed_frame
from emoprune.problems.tables.subsets.choosing import Choice, check_choice, chosen
from emoprune.problems.tables.subsets.export import write_features
from emoprune.problems.tables.subsets.features import FeatureBoosting, FeatureSearch, FeaturesOptions, Mode
from emoprune.problems.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EvolvedFeatures"]

REFERENCES = ("openfe", "stable", "rfe", "mutual-information", "forward-new")
ROWS_PER_FOLD = 4


class EvolvedFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """All columns and the new features that they are better with, by a Pareto search, as a scikit-learn transformer.

    `fit` cuts its rows in three as the command line does: it searches on the first part, chooses from the front on
    fresh folds of the first two, and reports the front's scores on the third in `front_`. Statistics of groups are then
    learnt once more, on all rows. `transform` gives numbers; a categorical feature is given as codes, and missing is
    NaN, as is what a formula does not define, such as a quotient by zero: put an imputer behind it for models that want
    no gaps.

    Frames may be pandas, polars or Arrow, with columns of any type: texts, categories, dates and missing values. Unseen
    categories take the statistics of all training rows. Columns must come under the names of `fit`, in their order.

    Args:
        task: classification or regression; auto takes texts and few different whole numbers for classes.
        mode: add keeps all columns and chooses new features; select chooses among both.
        keep: Names of columns that stay whatever is chosen.
        learner: What is trained on each subset: lightgbm, logistic, ridge, random-forest, an import target, or an
            estimator, which is cloned for each training.
        metric: error, a name of scikit-learn's, a scorer's import target, a scorer (`make_scorer`), or a function of
            scikit-learn's; auto is the log loss, or the root of the mean squared error.
        costs: What is minimised besides: auto is how many columns are new, or with `select` how many there are; or
            new-columns, columns, sources, price, milliseconds, or an objective's import target.
        categorical: Names of columns of numbers or free texts that are categories.
        text: Names of columns that are free texts although few of their texts differ; of others it is found. None reads
            no column as free texts.
        operators: Which of the 23 operators formulas are made of; all of them if none is named.
        order: How many operators may lie on top of each other.
        budget: How many formulas are looked at for each order.
        feature_boosting: What formulas are judged from: True for OpenFE's feature boosting as published (what adds to
            the out-of-fold predictions of trees on all columns), False for a constant start (what tells the target by
            itself), both for either, boosting with predictions that are shrunk until they are no surer than right.
        survivors: How many new features have a bit.
        slots: How many other new features a subset can have at once.
        others: How many formulas the slots can hold.
        references: What stands beside the search: openfe, stable, rfe, mutual-information, boruta, forward,
            forward-new, or a method's import target.
        population: How many subsets survive a generation.
        generations: How many generations.
        time_limit: Seconds after which no new generation begins; None for no limit.
        choose: best (the least loss, if that is below the loss of all columns by more than one standard error, and else
            all columns), sparse (the fewest columns that lose no more), knee, or the best with at most so many columns.
        splits: stratified, random, grouped or time; auto goes by `groups` if they are given to `fit`. A splitter such
            as TimeSeriesSplit(), or pairs of training rows and rows to score, give the folds of the rows to search on,
            and then of all rows but those to test on, to choose by; the rows to select and to test on are the last ones
            where every fold scores rows after those that it learns on.
        rows: At how many rows the search looks, None for all; of more so many are drawn, with the classes in their
            shares, evenly in time, or in whole groups. What is chosen is learnt on all rows.
        select: The share of rows to choose on.
        test: The share of rows to report on.
        folds: How many folds of the other rows lead the search; fewer where there are few rows.
        workers: 1 stays in this process, more are Ray actors.
        runs: A folder to keep the search's run in; None keeps none.
        random_state: The seed.

    Attributes:
        features_: The chosen features with everything they learnt.
        formulas_: The same as terms.
        front_: The front and the references as a frame, with scores on all three parts, the difference on fresh folds,
            its standard error, what it is held against (all columns, or a guess where they are no better than that),
            and the difference as it was measured, before luck was taken off; of several outputs one after another,
            named in `output`.
        n_features_in_: How many columns `fit` saw.
        feature_names_in_: Their names, if it was a frame.
    """

    __module__ = "emoprune.problems.tables"  # what a pickle names, wherever this file lies

    def __init__(
        self,
        *,
        task: TaskName = "auto",
        mode: Mode = "add",
        keep: Sequence[str] = (),
        learner: str | Mapping[str, Any] | Any = "lightgbm",
        metric: str | Any = "auto",
        costs: Sequence[str | Mapping[str, Any]] = ("auto",),
        categorical: Sequence[str] = (),
        text: Sequence[str] | None = (),
        operators: Sequence[str] = (),
        order: int = 1,
        budget: int = 4000,
        feature_boosting: FeatureBoosting = "both",
        survivors: int = 40,
        slots: int = 4,
        others: int = 200,
        references: Sequence[str | Mapping[str, Any]] = REFERENCES,
        population: int = 20,
        generations: int = 6,
        time_limit: float | None = None,
        choose: Choice = "best",
        splits: SplitKind | Any = "auto",
        rows: int | None = BY_DEFAULT,
        select: float = 0.1,
        test: float = 0.1,
        folds: int = 3,
        workers: int = 1,
        runs: str | Path | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.task = task
        self.mode = mode
        self.keep = keep
        self.learner = learner
        self.metric = metric
        self.costs = costs
        self.categorical = categorical
        self.text = text
        self.operators = operators
        self.order = order
        self.budget = budget
        self.feature_boosting = feature_boosting
        self.survivors = survivors
        self.slots = slots
        self.others = others
        self.references = references
        self.population = population
        self.generations = generations
        self.time_limit = time_limit
        self.choose = choose
        self.splits = splits
        self.rows = rows
        self.select = select
        self.test = test
        self.folds = folds
        self.workers = workers
        self.runs = runs
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, groups: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803  # scikit-learn's names
        """Search for columns and formulas, choose, and learn what the chosen ones need on all rows.

        Args:
            X: A frame or matrix of n rows. Of a lazy frame of polars only those rows are collected that the search
                looks at, and then the columns that the chosen formulas learn on.
            y: The target, shape (n,), or several, shape (n, outputs): each is searched for with models of its own,
                and what any of them keeps is kept. A frame of one column is a target too, a lazy one as well.
            groups: Rows of equal groups stay together when rows are cut; None if there are none.
            sample_weight: What each row counts in training, in screening and in scores, shape (n,).

        Raises:
            ValueError: The data or a parameter cannot be used; the message says what to change.
        """
        check_choice(self.choose)
        self._splits = checked_splits(self.splits, SplitKind)  # once, because a generator of pairs can be read once
        texts = None if self.text is None else names_given("text", self.text)
        wanted = Wanted(self.task, names_given("categorical", self.categorical), text=texts)
        drawing = Drawing(self.rows, Splits(self._splits))
        given = tables_given(self, X, y, wanted, groups=groups, weights=sample_weight, drawing=drawing)
        if given.drawn is not None and isinstance(self._splits, GivenSplits):
            self._splits = self._splits.among(given.drawn.places, row_count(given.frame))
        found = {name: self._searched(table) for name, table in given.tables.items()}
        self.front_ = _side_by_side({name: front for name, (_, front) in found.items()})
        table = next(iter(given.tables.values()))  # of several outputs all have the same columns
        terms: tuple[Term, ...] = tuple(dict.fromkeys(term for kept, _ in found.values() for term in kept))
        self.formulas_ = terms
        if given.drawn is None:
            rows = np.arange(len(table))
            self.features_ = features_of(Computed(table), Block("all rows", rows, rows), terms)
        else:
            self.features_ = learnt_on_all_rows(given.frame, table, terms)
        return self

    def _searched(self, table: Table) -> tuple[tuple[Term, ...], pd.DataFrame]:
        from emoprune.loop.search import search

        problem = FeatureSearch(table, self._options(len(table)))
        for note in problem.task.measures.metric.notes:
            warnings.warn(f"{type(self).__name__}: metric: {note}", stacklevel=3)
        seed = int(check_random_state(self.random_state).randint(2**31))
        config: dict[str, Any] = {
            "search": {
                "population": self.population,
                "generations": self.generations,
                "time_limit": self.time_limit,
                "seed": seed,
            },
            "evaluation": {"backend": "serial"} if self.workers == 1 else {"workers": self.workers},
        }
        with tempfile.TemporaryDirectory() as folder:
            searching = search(config, problem=problem, runs=folder if self.runs is None else self.runs)
            for _ in searching:
                pass
            run = searching.run
            genomes = {each.candidate.id: each.candidate.genome for each in run.evaluations()}
            front = run.pareto
        measured = front.loc[front["select." + problem.task.measures.metric.name].notna(), "candidate_id"]
        evidence = problem.evidence({number: genomes[number] for number in measured.astype(int)}, seed)
        shown = {"difference": "difference", "standard error": "error", "held against": "against"}
        shown["measured difference"] = "measured"
        for column, name in shown.items():
            front[column] = front["candidate_id"].map({n: getattr(each, name) for n, each in evidence.items()})
        number = chosen(front, evidence, problem.task.measures.signs, self.choose, problem.led)
        return problem.kept(genomes[number]), front

    def _options(self, rows: int) -> FeaturesOptions:
        searched = int(rows * (1 - self.select - self.test))
        return FeaturesOptions(
            data="data",
            mode=self.mode,
            keep=names_given("keep", self.keep),
            learner=self.learner,
            metric=self.metric,
            costs=self.costs,
            select=self.select,
            test=self.test,
            splits=self._splits,
            folds=min(self.folds, max(1, searched // ROWS_PER_FOLD)),
            references=self.references,
            operators=self.operators,
            order=self.order,
            budget=self.budget,
            feature_boosting=self.feature_boosting,
            survivors=self.survivors,
            slots=self.slots,
            others=self.others,
        )

    def transform(self, X: Any) -> Any:  # noqa: N803  # scikit-learn's name
        """Return the chosen features of new rows, shape (rows, features); one row is as good as many.

        An array of floats, in which categories are codes. After `set_output` a frame: kept columns have the types with
        which they came, new features are floats, or categories where a formula gives categories. A lazy frame of polars
        gives what it would give as a frame, and is read in batches.

        Raises:
            ValueError: Columns are missing, in another order, or hold what they did not hold in `fit`.
        """
        check_is_fitted(self, "features_")
        library = _get_output_config("transform", self)["dense"]
        if is_lazy(X):
            if row_count(X):
                return in_batches(self.features_, X, library, lambda batch: columns_given(self, batch, reset=False))
            X = X.collect()  # noqa: N806  # scikit-learn's name
        columns = columns_given(self, X, reset=False)
        return (
            self.features_.transform(columns)
            if library == "default"
            else typed_frame(self.features_, columns, X, library)
        )

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the chosen features: formulas to read."""
        check_is_fitted(self, "features_")
        if hasattr(self, "n_features_in_"):
            _check_feature_names_in(self, input_features)
        return np.asarray(self.features_.names, dtype=object)

    @property
    def _n_features_out(self) -> int:
        return len(self.features_.names)

    def save(self, folder: str | Path) -> None:
        """Write the fitted features as JSON and arrays, with a loader that needs numpy alone; nothing is pickled."""
        check_is_fitted(self, "features_")
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_features(Path(folder), self.features_)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Return a fitted transformer from a folder that `save` or `emoprune export` wrote.

        It takes any frame that has the columns its formulas need. For pipelines there is `TabularTransform`.

        Raises:
            ConfigError: The folder holds no features.
        """
        made = cls()
        made.features_ = features_in(folder)
        return made

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


def _side_by_side(fronts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the front of one output as it is, and those of several one after another."""
    import pandas as pd

    if len(fronts) == 1:
        return next(iter(fronts.values()))
    return pd.concat([front.assign(output=name) for name, front in fronts.items()], ignore_index=True)
