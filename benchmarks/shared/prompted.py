"""A prompt whose deletions searches ask about: counted, remembered, and judged on rows that no search sees."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Failure, as_minimised
from emoprune.front import depths
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Counted", "Judge", "Spent", "published", "random_at"]

FloatArray = NDArray[np.float64]
WORST = (0.0, 1e6)  # accuracy and tokens of what could not be measured


class Spent(Exception):  # it ends a search, and is no mistake
    """All prompts that a search may measure are measured."""


class Judge:
    """A problem that is prepared and set up, with a memory of what was measured of each genome."""

    def __init__(self, problem: PromptTokens) -> None:
        self.problem = problem
        with tempfile.TemporaryDirectory() as folder:
            problem.prepare(Path(folder), 1)
        problem.setup("cpu", 1)
        self._rows: dict[tuple[Split, bytes], FloatArray] = {}

    def rows(self, genomes: IntArray, split: Split) -> FloatArray:
        """Return accuracy and tokens of genomes of shape (n, genes), shape (n, 2)."""
        found = []
        for key, genome in zip(self.problem.space.keys(genomes), genomes, strict=True):
            if (split, key) not in self._rows:
                (row,) = self.problem.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), split)
                self._rows[split, key] = np.array(WORST if isinstance(row, Failure) else row, dtype=np.float64)
            found.append(self._rows[split, key])
        return np.array(found)


class Counted:
    """One search's account: which genomes it asked about, in order, and when it may ask no more."""

    def __init__(self, judge: Judge, budget: int) -> None:
        self._judge = judge
        self.budget = budget
        self._asked: dict[bytes, IntArray] = {}
        self.problem = judge.problem
        self.ended: IntArray | None = None  # the one genome that a search ends with, if it ends with one

    @property
    def spent(self) -> int:
        """How many different genomes were asked about."""
        return len(self._asked)

    @property
    def asked(self) -> IntArray:
        """All of them, shape (n, genes)."""
        return np.stack(list(self._asked.values()))

    def minimised(self, genomes: IntArray) -> FloatArray:
        """Return the search objectives to minimise, shape (n, 2).

        Raises:
            Spent: There were not enough left for all of them; those that there were are measured.
        """
        for number, (key, genome) in enumerate(zip(self.problem.space.keys(genomes), genomes, strict=True)):
            if key not in self._asked:
                if self.spent == self.budget:
                    self._judge.rows(genomes[:number], Split.SEARCH)
                    raise Spent
                self._asked[key] = genome
        return as_minimised(self._judge.rows(genomes, Split.SEARCH), self.problem.objectives)

    def accuracies(self, genomes: IntArray) -> FloatArray:
        """Return the search accuracies of genomes, counted."""
        return -self.minimised(genomes)[:, 0]

    def front(self) -> IntArray:
        """Return the genomes on the front of all that was asked, by the search rows, ordered by tokens."""
        values = as_minimised(self._judge.rows(self.asked, Split.SEARCH), self.problem.objectives)
        best = np.flatnonzero(depths(values) == 0)
        return self.asked[best[np.argsort(values[best, 1], kind="stable")]]

    def best_share(self, share: float, most: int, *, part_kept: float | None = None) -> IntArray:
        """Return the best share by search accuracy, ties by fewer tokens, at most so many.

        `part_kept` asks for those alone that keep no more than this part of the first genome's tokens, or else for the
        shortest.
        """
        values = self._judge.rows(self.asked, Split.SEARCH)
        rows = np.arange(len(values))
        if part_kept is not None:
            rows = np.flatnonzero(values[:, 1] <= max(part_kept * values[0, 1], values[:, 1].min()))
        order = rows[np.lexsort((values[rows, 1], -values[rows, 0]))]
        return self.asked[order[: min(most, max(1, round(share * self.spent)))]]


def published(problem: PromptTokens, genome: IntArray) -> list[int]:
    """Return the predicted class of every search row, in one padded batch, all of the vocabulary at every position."""
    task = problem._task  # noqa: SLF001  # the peer runs on the very same texts
    scorer = task.model.scorer
    if not isinstance(scorer, CausalScorer):
        raise TypeError("expected a causal language model")
    text = str(problem.describe(genome)["prompt"])
    texts = [text.replace("{sentence_1}", example.inputs[0]) for example in task.data.parts[Split.SEARCH]]
    tokenizer = scorer.local.tokenizer
    tokenizer.padding_side = "left"
    with torch.inference_mode():
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        logits = scorer.local.model(**batch).logits[:, -1]
    firsts = [tokens[0] for tokens in task.data.task.choices.tokens]  # each word of these is one token
    found: list[int] = logits[:, firsts].argmax(dim=1).tolist()
    return found


def random_at(problem: PromptTokens, kept: int, count: int, seed: int) -> IntArray:
    """Return genomes that keep `kept` of the free tokens at random, shape (count, genes)."""
    rng = np.random.default_rng(seed)
    free = np.flatnonzero(problem.space.free)
    genomes = np.tile(np.where(problem.space.free, 0, problem.space.full), (count, 1))
    for row in genomes:
        row[rng.choice(free, kept, replace=False)] = 1
    return problem.canonical(genomes)
