"""Prompts written with the most influential words of a vocabulary: a few slots, each empty or with one word."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Description, Inspection, Passage, Reference, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.data.splitting import Sizes
from emoprune.problems.prompts.export import FORMATS, export_prompt
from emoprune.problems.prompts.inspection import inspection_of_prompt
from emoprune.problems.prompts.measures import TOKENS
from emoprune.problems.prompts.prepare import going_on_later
from emoprune.problems.prompts.prompt_data import Asked
from emoprune.problems.prompts.scorers.calling import Endpoint
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.masked import MaskedScorer
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.task import Options, Precision, PromptTask
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.template import Template
from emoprune.problems.prompts.words.influence import Influence, influence_of, most_influential
from emoprune.problems.prompts.words.whole import clustered, given_words, whole_words
from emoprune.problems.storage.kept import write_json
from emoprune.problems.storage.kept_numbers import KeptNumbers
from emoprune.records import Split
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["PromptVocabulary"]

SLOT = "words"
VOCABULARY = "vocabulary.json"
SAID = 100  # words, after which it is said how many are measured

_log = logging.getLogger("emoprune")


class PromptVocabulary:
    """Write a prompt of a few words, chosen from those that change the answers most; a slot may stay empty.

    Once per run the vocabulary is pruned: whole words, one for each cluster of their embeddings, and of these the ones
    whose influence lies above a percentile. Then any algorithm searches: nsga2 against the number of tokens, or greedy,
    genetic and particle-swarm by the first objective alone.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774).

    Args:
        prompt: The text, with `{words}` where the words go, and placeholders named after columns of the examples.
        model: A Hugging Face folder or name, a GGUF file, or smollm2, which is taken if no endpoint is given.
        endpoint: url, model and limits of an OpenAI-compatible endpoint that returns log-probabilities; needs `words`.
        chat: Put the prompt as a user's message through the model's chat template.
        examples: One CSV, TSV or JSONL file, or one each for search, select and test; or film-reviews.
        verbalisers: The word that stands for each answer of the examples: one token, as it follows the prompt.
        answer: The column that holds the answers; by default label, class, target, answer or gold.
        slots: How many words a prompt has at most.
        words: Words to choose from, as a list or a file with one a line; the model's own whole words by default.
        clusters: How many clusters the model's words are reduced to; null for none.
        influence: What words are kept for: reward, kl, or random, the control.
        percentile: Words are kept whose influence lies above this percentile.
        objectives: What is made better: accuracy, balanced-accuracy, reward, cross-entropy, entropy, tokens.
        at_most: Upper bounds by measure.
        at_least: Lower bounds by measure.
        search_examples: How many examples the search part has at most, with which influence is measured too.
        select_examples: How many the select part has at most.
        test_examples: How many the test part has at most.
        precision: What the model computes in.
    """

    formats: tuple[str, ...] = FORMATS

    def __init__(
        self,
        *,
        prompt: str,
        model: str | None = None,
        endpoint: Endpoint | None = None,
        chat: bool = False,
        examples: str | Mapping[str, str] = "film-reviews",
        verbalisers: Mapping[str, str] | None = None,
        answer: str | None = None,
        slots: int = 5,
        words: str | Sequence[str] | None = None,
        clusters: int | None = 2000,
        influence: Influence = "reward",
        percentile: float = 90.0,
        objectives: Sequence[str] = ("cross-entropy", TOKENS),
        at_most: Mapping[str, float] | None = None,
        at_least: Mapping[str, float] | None = None,
        search_examples: int | None = 32,
        select_examples: int | None = 200,
        test_examples: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        if slots < 1:
            raise ConfigError(f"slots: expected 1 or more, found {slots}")
        if not 0 <= percentile < 100:
            raise ConfigError(f"percentile: expected 0 or more and less than 100, found {percentile}")
        if clusters is not None and clusters < 2:
            raise ConfigError(f"clusters: expected 2 or more, found {clusters}")
        if endpoint is not None and words is None:
            raise ConfigError("words: an endpoint does not say which words its model knows; give some")
        self._slots, self._clusters, self._kind, self._percentile = slots, clusters, influence, percentile
        self._given = None if words is None else given_words(words)
        sizes = Sizes(search_examples, select_examples, test_examples)
        asked = Asked(prompt, examples, "classification", answer, verbalisers, sizes=sizes)
        options = Options(
            asked,
            model=model,
            endpoint=endpoint,
            chat=chat,
            objectives=tuple(objectives),
            at_most=dict(at_most or {}),
            at_least=dict(at_least or {}),
            precision=precision,
        )
        self._task = PromptTask(options, special={SLOT: " ".join(["word"] * slots)})
        self.objectives = self._task.objectives
        self.constraints = self._task.constraints
        self._vocabulary: tuple[str, ...] | None = None
        self._measured = 0
        self._seed = 0
        self._scoring: Scoring | None = None

    def prepare(self, folder: Path, seed: int) -> None:
        """Load the model and prune the vocabulary once; what is measured for it is never measured twice."""
        self._seed = seed
        template = self._template_of(())
        self._task.prepare(folder, lambda: [template, self._task.longest])
        path = folder / VOCABULARY
        if not path.exists():
            words = self._candidates()
            with going_on_later("the words' influences"):
                influences = self._influences(words, folder / "influence.jsonl", seed)
            kept = most_influential(influences, self._percentile)
            plain = {
                "words": [words[place] for place in kept.tolist()],
                "influence": influences[kept].tolist(),
                "measured": 0 if self._kind == "random" else len(words) + 1,
            }
            write_json(path, plain, ensure_ascii=False)
        known = json.loads(path.read_text(encoding="utf-8"))
        self._vocabulary, self._measured = tuple(known["words"]), int(known["measured"])

    def _candidates(self) -> list[str]:
        if self._given is not None:
            return self._given
        words = whole_words(self._task.tokenizer)
        scorer = self._task.scorer
        if self._clusters is None or not isinstance(scorer, CausalScorer | MaskedScorer):
            return list(words)
        if self._clusters < len(words):
            _log.info("reducing %d whole words of the model to %d clusters", len(words), self._clusters)
        embeddings = scorer.local.model.get_input_embeddings().weight.detach()
        own = embeddings[list(words.values())]  # before it is widened: most rows are of no whole word
        return clustered(list(words), own.double().cpu().numpy(), self._clusters)

    def _influences(self, words: Sequence[str], path: Path, seed: int) -> NDArray[np.float64]:
        """Return the influence of each word on the answers of the search part, against no word at all."""
        if self._kind == "random":
            return np.random.default_rng([seed, 22]).random(len(words))
        examples = self._task.data.parts[Split.SEARCH]
        _log.info("measuring the influence of %d words, each on %d examples", len(words), len(examples))
        labels = self._choosing.labels
        gold = np.array([labels.index(example.answer) for example in examples], dtype=np.int64)
        without, kept = self._logits(()), KeptNumbers(path)

        def measured(number: int, word: str) -> float | None:
            found = kept.number(word, lambda: influence_of(self._kind, self._logits([word]), without, gold))
            if number % SAID == 0:
                _log.info("measured the influence of %d of %d words", number, len(words))
            return found

        return np.array([measured(number, word) for number, word in enumerate(words, start=1)], dtype=np.float64)

    @property
    def _choosing(self) -> Choosing:
        task = self._task.data.task
        if not isinstance(task, Choosing):
            raise ContractError("expected answers that are chosen")
        return task

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
        return Space(tuple(Gene(f"word {place + 1}", levels, GeneKind.CATEGORY) for place in range(self._slots)))

    @property
    def evaluations_of_references(self) -> Mapping[str, int]:
        """How many prompts were measured to prune the vocabulary."""
        return {"influence": self._measured}

    def setup(self, device: str, threads: int) -> None:
        """Load the model to `device`."""
        torch.set_num_threads(threads)
        self._task.load(device)
        self._scoring = self._task.scoring()

    def evaluate(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
    ) -> Sequence[Row]:
        """Return objectives and bounded values of each genome."""
        if self._scoring is None:
            raise ContractError("the model is not loaded yet; call setup(device, threads) first")
        return [self._task.row(self._scoring, self._template(genome), split) for genome in genomes]

    def _template(self, genome: IntArray) -> Template:
        return self._template_of([self._words[level - 1] for level in genome.tolist() if level > 0])

    def _template_of(self, words: Sequence[str]) -> Template:
        return self._task.data.template.with_text(SLOT, " ".join(words))

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return each genome with its words moved to the first slots; which slots are empty says nothing."""
        order = np.argsort(genomes == 0, axis=1, kind="stable")
        return np.take_along_axis(genomes, order, axis=1)

    def references(self) -> Sequence[Reference]:
        """Return the prompt without words, the most influential words, and some at random."""
        slots, most = np.arange(1, self._slots + 1), len(self._words)
        random = np.random.default_rng([self._seed, 23]).integers(1, most + 1, self._slots)
        return (
            Reference("empty", np.zeros(self._slots, dtype=np.int64)),
            Reference("most-influential", self.canonical(np.where(slots <= most, slots, 0)[None])[0]),
            Reference("random", random),
        )

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
        summary: dict[str, str | int | float | bool] = {"slots": self._slots, "words": count}
        notes, measured = [], str(count)
        if self._given is None and self._clusters is not None and self._clusters < count:
            measured = f"at most {self._clusters}"
            summary["words after clustering"] = measured
        if self._kind != "random":
            examples = len(self._task.data.parts[Split.SEARCH])
            notes.append(
                f"Before the search the influence of {measured} words is measured, each on the {examples} examples of "
                f"the search part; fewer {'words' if self._given else 'clusters'} or search_examples make that less."
            )
        return inspection_of_prompt(self._task, summary, {}, notes)

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the prompt's text into `folder`, verified."""
        return self.export_as(genome, folder, self.formats[:1], verify=True)

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

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        return self._task.fingerprint()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_scoring": None}
