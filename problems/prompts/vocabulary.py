"""Prompts written with the most influential words of a vocabulary: a few slots, each empty or with one word."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Inspection, Paper, Passage, Reference, about
from emoprune.errors import ContractError
from emoprune.problems.prompts.export import FORMATS, export_prompt
from emoprune.problems.prompts.inspection import inspection_of_prompt
from emoprune.problems.prompts.options import VocabularyOptions
from emoprune.problems.prompts.prepare import going_on_later
from emoprune.problems.prompts.problem import PromptProblem
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.masked import MaskedScorer
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.template import Template
from emoprune.problems.prompts.words.influence import Influence, most_influential
from emoprune.problems.prompts.words.measured import influences
from emoprune.problems.prompts.words.references.catalogue import references_of
from emoprune.problems.prompts.words.references.contract import ReferenceInputs
from emoprune.problems.prompts.words.whole import clustered, given_words, whole_words
from emoprune.problems.storage.kept import write_json
from emoprune.records import Split
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["PromptVocabulary"]

NAME = "prompt-vocabulary"
SLOT = "words"
VOCABULARY = "vocabulary.json"
FEWER = "fewer words, or fewer search_examples"

_log = logging.getLogger("emoprune")


@about(
    "pruning",
    ["words"],
    cost="an answer per example, and before the search one per word and example",
    papers=[Paper("Survival of the Most Influential Prompts", "2310.12774")],
)
class PromptVocabulary(PromptProblem):
    """Write a prompt of a few words, chosen from those that change the answers most; a slot may stay empty.

    Once per run the vocabulary is pruned: whole words, one for each cluster of their embeddings, and of these the ones
    whose influence lies above a percentile. Then any algorithm searches: nsga2 against the number of tokens, or greedy,
    genetic and particle-swarm by the first objective alone.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774).
    """

    options: ClassVar = VocabularyOptions
    formats: tuple[str, ...] = FORMATS

    def __init__(self, **given: Any) -> None:
        self._own = VocabularyOptions(**given)
        self._influence: Influence = plugins.method("criterion", self._own.influence, NAME, option="influence")
        self._methods = plugins.methods("reference", self._own.references, NAME, option="references")
        self._given = None if self._own.words is None else given_words(self._own.words)
        super().__init__(PromptTask(self._own, NAME, special={SLOT: " ".join(["word"] * self._own.slots)}))
        self._vocabulary: tuple[str, ...] | None = None
        self._measured = 0
        self._references: tuple[Reference, ...] | None = None

    def prepare(self, folder: Path, seed: int) -> None:
        """Load the model and prune the vocabulary once; what is measured for it is never measured twice."""
        self._begin(folder, self._tried, FEWER)
        path = folder / VOCABULARY
        if not path.exists():
            words, numbers, rng = self._candidates(), folder / "influence.jsonl", np.random.default_rng([seed, 22])
            with going_on_later("the words' influences", FEWER):
                found = influences(self._influence, words, self._gold, self._logits, path=numbers, rng=rng)
            kept = most_influential(found, self._own.percentile)
            plain = {
                "words": [words[place] for place in kept.tolist()],
                "influence": found[kept].tolist(),
                "measured": len(words) + 1 if self._influence.measures else 0,
            }
            write_json(path, plain, ensure_ascii=False)
        known = json.loads(path.read_text(encoding="utf-8"))
        self._vocabulary, self._measured = tuple(known["words"]), int(known["measured"])
        influence, rng = np.array(known["influence"], dtype=np.float64), np.random.default_rng([seed, 23])
        inputs = ReferenceInputs(self.space, self._vocabulary, influence, rng)
        self._references = references_of(self._methods, inputs, self.canonical)

    def try_unpruned(self, folder: Path, seed: int) -> None:
        """Refuse a search where neither the prompt without words nor a reference answers better than guessing.

        Raises:
            ConfigError: It says what is likely wrong, or as in `prepare`.
        """
        if not self._own.accept_guessing:
            self._begin(folder, self._tried, FEWER)
            what = "the prompt without words and its references"
            self._try(folder, self._first_prompts(folder, seed), what, FEWER)

    def _tried(self) -> list[Template]:
        return [self._template_of(()), self._task.longest]

    def _first_prompts(self, folder: Path, seed: int) -> Iterator[Template]:
        """Yield the prompt without words, and then what the references are, for which the vocabulary is pruned."""
        yield self._template_of(())
        self.prepare(folder, seed)
        for reference in self.references()[1:]:
            yield self._template(reference.genome)

    def _candidates(self) -> list[str]:
        if self._given is not None:
            return self._given
        words = whole_words(self._task.tokenizer)
        scorer = self._task.model.scorer
        if self._own.clusters is None or not isinstance(scorer, CausalScorer | MaskedScorer):
            return list(words)
        if self._own.clusters < len(words):
            _log.info("reducing %d whole words of the model to %d clusters", len(words), self._own.clusters)
        embeddings = scorer.local.model.get_input_embeddings().weight.detach()
        own = embeddings[list(words.values())]  # before it is widened: most rows are of no whole word
        return clustered(list(words), own.double().cpu().numpy(), self._own.clusters)

    @property
    def _gold(self) -> NDArray[np.int64]:
        """The place of the right choice of each search example."""
        task = self._task.data.task
        if not isinstance(task, Choosing):
            raise ContractError("expected answers that are chosen")
        answers = [example.answer for example in self._task.data.parts[Split.SEARCH]]
        return np.array([task.labels.index(answer) for answer in answers], dtype=np.int64)

    def _logits(self, words: Sequence[str]) -> NDArray[np.float64]:
        prompted = self._task.scoring().prompted(self._template_of(words), Split.SEARCH)
        return prompted.choices(np.arange(len(self._task.data.parts[Split.SEARCH])))

    @property
    def _words(self) -> tuple[str, ...]:
        if self._vocabulary is None:
            raise ContractError("the vocabulary is not pruned yet; call prepare(folder, seed) first")
        return self._vocabulary

    @property
    def space(self) -> Space:
        """One gene per slot: no word, or one of the vocabulary's."""
        levels = len(self._words) + 1
        return Space(tuple(Gene(f"word {place + 1}", levels, GeneKind.CATEGORY) for place in range(self._own.slots)))

    @property
    def evaluations_of_references(self) -> Mapping[str, int]:
        """How many prompts were measured to prune the vocabulary."""
        return {"influence": self._measured}

    def _template(self, genome: IntArray) -> Template:
        return self._template_of([self._words[level - 1] for level in genome.tolist() if level > 0])

    def _template_of(self, words: Sequence[str]) -> Template:
        return self._task.data.template.with_text(SLOT, " ".join(words))

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return each genome with its words moved to the first slots; which slots are empty says nothing."""
        order = np.argsort(genomes == 0, axis=1, kind="stable")
        return np.take_along_axis(genomes, order, axis=1)

    def references(self) -> Sequence[Reference]:
        """Return the prompt without words, then what a user would have picked without a search."""
        if self._references is None:
            raise ContractError("there are no references yet; call prepare(folder, seed) first")
        return self._references

    def describe(self, genome: IntArray) -> Description:
        """Say which words stand before the input."""
        template = self._template(genome)
        words = [self._words[level - 1] for level in genome.tolist() if level > 0]
        return {"tokens": self._task.length(template), "words": " ".join(words), "prompt": template.text}

    def marked(self, genome: IntArray) -> Sequence[Passage]:
        """Return the prompt with its words; nothing of it goes."""
        return [Passage(self._template(genome).text)]

    def inspect(self) -> Inspection:
        """Return what the words are chosen from, the words for answers, and the examples of each part."""
        count = len(self._given) if self._given is not None else len(whole_words(self._task.tokenizer))
        summary: dict[str, str | int | float | bool] = {"slots": self._own.slots, "words": count}
        notes, measured = [], str(count)
        if self._given is None and self._own.clusters is not None and self._own.clusters < count:
            measured = f"at most {self._own.clusters}"
            summary["words after clustering"] = measured
        if self._influence.measures:
            examples = len(self._task.data.parts[Split.SEARCH])
            notes.append(
                f"Before the search the influence of {measured} words is measured, each on the {examples} examples of "
                f"the search part; fewer {'words' if self._given else 'clusters'} or search_examples make that less."
            )
        return inspection_of_prompt(self._task, summary, {}, notes)

    def export_as(self, genome: IntArray, folder: Path, formats: Sequence[str], verify: bool) -> Description:
        """Write the prompt as text, as JSON with the words for its answers, or as a chat.

        Raises:
            ConfigError: A chat is wanted of a model that has no chat template, or the prompt's own words read as a
                placeholder.
            ContractError: What was written is answered otherwise than what was measured.
        """
        template = self._template(genome)
        template.check_alike()
        facts = {"tokens": self._task.length(template)}
        return {**facts, **export_prompt(self._task, template, folder, formats, verify=verify, facts=dict(facts))}
