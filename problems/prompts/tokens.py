"""Deletion of a prompt's tokens: a bit per token says whether it stays, against what the answers are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Description, Inspection, Passage, Reference, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.data.few_shot import FewShot
from emoprune.problems.prompts.data.splitting import Sizes
from emoprune.problems.prompts.export import FORMATS, export_prompt
from emoprune.problems.prompts.inspection import inspection_of_prompt
from emoprune.problems.prompts.measures import TOKENS
from emoprune.problems.prompts.prepare import Stops, going_on_later, made_stops, worth_of
from emoprune.problems.prompts.prompt_data import Asked, TaskName
from emoprune.problems.prompts.references.catalogue import (
    METHODS,
    USUAL,
    Bench,
    MadeReferences,
    kept_references,
    made_references,
)
from emoprune.problems.prompts.references.ranked import kept_by, random_order, surprisal_of
from emoprune.problems.prompts.scorers.calling import Endpoint
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.spans import Spans
from emoprune.problems.prompts.stopping import GiveUp
from emoprune.problems.prompts.task import Options, Precision, PromptTask
from emoprune.problems.prompts.tasks.writing import Match, Writing
from emoprune.problems.prompts.template import Template
from emoprune.problems.storage.kept import write_json
from emoprune.problems.storage.kept_references import REFERENCES, check_names
from emoprune.records import Split
from emoprune.space import Gene, Group, IntArray, Space

__all__ = ["PromptTokens"]


class PromptTokens:
    """Prune the tokens of a prompt: one bit per token; placeholders stay, and the order does.

    What is left is put to the model as text, so it is what anybody gets who uses the text.

    Source: Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective (PromptQuine, arXiv 2506.17930).

    Args:
        prompt: The text, with placeholders such as `{sentence}` named after columns of the examples; a .txt file that
            holds it; or shots, template, instruction and separator of a prompt made of some of the examples. With
            `{mask_token}` in it, a masked language model fills in the answer.
        model: A Hugging Face folder or name, a GGUF file, or smollm2, which is taken if no endpoint is given.
        endpoint: url, model and limits of an OpenAI-compatible endpoint that returns log-probabilities.
        chat: Put the prompt as a user's message through the model's chat template.
        examples: One CSV, TSV or JSONL file, or one each for search, select and test; or film-reviews.
        verbalisers: The word that stands for each answer of the examples: one token, as it follows the prompt.
        task: classification, multiple-choice or generation.
        answer: The column that holds the answers; by default label, class, target, answer or gold.
        answer_tokens: How long a written answer may become.
        answer_end: The text that ends a written answer; empty for none.
        match: What of a written answer must match: its last number, or all of its text.
        keep: Texts of the prompt that stay whole.
        objectives: What is made better: accuracy, balanced-accuracy, reward, cross-entropy, entropy, tokens.
        at_most: Upper bounds by measure, as in tokens: 40.
        at_least: Lower bounds by measure, as in accuracy: 0.7.
        references: What a user would have picked without a search: perplexity, random, accepting-in-runs,
            threshold-accepting, hill-climbing.
        reference_prompts: How many prompts the last three may measure, each.
        stop_early: Stop measuring a prompt on the search part when a reference dominates it whatever comes.
        halving: Stop after half of the search part below this share of the unpruned prompt's accuracy there.
        search_examples: How many examples the search part has at most; all of them for null.
        select_examples: How many the select part has at most.
        test_examples: How many the test part has at most.
        precision: What the model computes in; auto takes bfloat16 where it predicts the same.
    """

    formats: tuple[str, ...] = FORMATS

    def __init__(
        self,
        *,
        prompt: str | FewShot,
        model: str | None = None,
        endpoint: Endpoint | None = None,
        chat: bool = False,
        examples: str | Mapping[str, str] = "film-reviews",
        verbalisers: Mapping[str, str] | None = None,
        task: TaskName = "classification",
        answer: str | None = None,
        answer_tokens: int = 64,
        answer_end: str = "\n",
        match: Match = "number",
        keep: Sequence[str] = (),
        objectives: Sequence[str] = ("accuracy", TOKENS),
        at_most: Mapping[str, float] | None = None,
        at_least: Mapping[str, float] | None = None,
        references: Sequence[str] = USUAL,
        reference_prompts: int = 200,
        stop_early: bool = True,
        halving: float | None = None,
        search_examples: int | None = 32,
        select_examples: int | None = 200,
        test_examples: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        check_names(references, METHODS)
        if reference_prompts < 1:
            raise ConfigError(f"reference_prompts: expected 1 or more, found {reference_prompts}")
        if halving is not None and not 0 < halving <= 1:
            raise ConfigError(f"halving: expected a share above 0 and at most 1, found {halving}")
        self._methods, self._most = tuple(references), reference_prompts
        self._stop_early, self._halving = stop_early, halving
        asked = Asked(
            prompt,
            examples,
            task,
            answer,
            verbalisers,
            Writing(answer_tokens, answer_end, match),
            Sizes(search_examples, select_examples, test_examples),
        )
        self._task = PromptTask(
            Options(
                asked,
                model=model,
                endpoint=endpoint,
                chat=chat,
                objectives=tuple(objectives),
                at_most=dict(at_most or {}),
                at_least=dict(at_least or {}),
                precision=precision,
            )
        )
        self._spans = Spans.of(self._task.data.template, self._task.splitter)
        self._locked = self._locked_spans(keep)
        self.space = self._space()
        self.objectives = self._task.objectives
        self.constraints = self._task.constraints
        self._made: MadeReferences | None = None
        self._stops: Stops | None = None
        self._scoring: Scoring | None = None

    def _locked_spans(self, keep: Sequence[str]) -> NDArray[np.bool_]:
        absent = next((text for text in keep if text not in self._task.data.template.text), None)
        if absent is not None:
            raise ConfigError(f"keep: expected texts of the prompt, found {absent!r}, which does not stand in it")
        return self._spans.fixed | self._spans.overlapping(keep)

    def _space(self) -> Space:
        """Return a bit per span; a prompt of nothing but its placeholders is not one."""
        if self._locked.all():
            raise ConfigError("prompt: expected text beside the placeholders that may be deleted, found none")
        width = len(str(len(self._spans) - 1))
        genes = [
            Gene(f"{number:0{width}d} {text.strip() or repr(text)[1:-1]}", locked=1 if locked else None)
            for number, (text, locked) in enumerate(zip(self._spans.texts, self._locked.tolist(), strict=True))
        ]
        text = tuple(np.flatnonzero(~self._spans.fixed).tolist())
        costs = np.where(self._spans.fixed, 0.0, 1.0)
        return Space(tuple(genes), (Group("text", text, floor=1),), costs)

    def prepare(self, folder: Path, seed: int) -> None:
        """Load the model, check that the prompt fits into it, and make the references and yardsticks once."""
        self._task.prepare(folder, lambda: self._varied(seed))
        with going_on_later("references and yardsticks"):
            self._make(folder, seed, self._task.scoring())

    def _make(self, folder: Path, seed: int, scoring: Scoring) -> None:
        path = folder / REFERENCES
        if not path.exists():
            worth = worth_of(self._task, scoring, self._template, folder / "worth.jsonl")
            bench = Bench(self.space, self.canonical, worth, self._surprisal)
            write_json(path, made_references(self._methods, bench, self._most, seed).as_json())
        self._made = kept_references(path, self.space)
        self._stops = made_stops(
            self._task,
            scoring,
            [self._template(reference.genome) for reference in self.references()],
            path=folder / "yardsticks.json",
            dominated=self._stop_early,
            halving=self._halving,
        )

    def _varied(self, seed: int) -> list[Template]:
        """Return the whole prompt and some with random tokens deleted, from few to most."""
        rng = np.random.default_rng([seed, 21])
        shares = (0.9, 0.7, 0.5, 0.3)
        genomes = [kept_by(random_order(self.space, rng), self.space, share) for share in shares]
        return [self._template(genome) for genome in (self.space.full, *genomes)]

    def _surprisal(self) -> NDArray[np.float64]:
        example = self._task.data.parts[Split.SEARCH][0]
        return surprisal_of(self._spans, example, self._task.scorer)

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
        templates = [self._template(genome) for genome in genomes]
        return [self._task.row(self._scoring, each, split, self._give_up(each, split)) for each in templates]

    def _give_up(self, template: Template, split: Split) -> GiveUp | None:
        """Return when a prompt is given up: on the search part alone, by what was fixed before the search."""
        if split is not Split.SEARCH or self._stops is None:
            return None
        return self._stops.against(template.text, float(self._task.length(template)))

    def _template(self, genome: IntArray) -> Template:
        return self._spans.template(genome > 0)

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return for each genome the one that stands for its text: of equal tokens, the first ones stay."""
        return self._spans.canonical(genomes, self._locked)

    def references(self) -> Sequence[Reference]:
        """Return the whole prompt, then what a user would have picked without a search."""
        if self._made is None:
            raise ContractError("the references are not made yet; call prepare(folder, seed) first")
        return self._made.references

    @property
    def evaluations_of_references(self) -> Mapping[str, int]:
        """How many prompts were measured to make the references, by method, and for the yardsticks."""
        made = {} if self._made is None else dict(self._made.evaluations)
        return made | ({} if self._stops is None else {"yardsticks": self._stops.evaluations})

    def describe(self, genome: IntArray) -> Description:
        """Say what is left of the prompt."""
        template = self._template(genome)
        return {"tokens": self._task.length(template), "prompt": template.text}

    def marked(self, genome: IntArray) -> Sequence[Passage]:
        """Return the whole prompt with what stays of it and what goes."""
        return [Passage(text, bool(stays)) for text, stays in zip(self._spans.texts, genome.tolist(), strict=True)]

    def inspect(self) -> Inspection:
        """Return the tokens of the prompt, the words for answers, and the examples of each part."""
        spans = [
            {"token": number, "text": repr(text)[1:-1], "may go": "no" if locked else "yes"}
            for number, (text, locked) in enumerate(zip(self._spans.texts, self._locked.tolist(), strict=True))
        ]
        free = int(self.space.free.sum())
        summary: dict[str, str | int | float | bool] = {
            "tokens that may go": free,
            "genomes": f"{float(self.space.size):.3g}",
        }
        return inspection_of_prompt(self._task, summary, {"prompt": spans}, ())

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
        template, whole = self._template(genome), self._task.data.template
        template.check_alike()
        deleted = [text for text, stays in zip(self._spans.texts, genome.tolist(), strict=True) if not stays]
        tokens = {"tokens": self._task.length(template), "tokens_of_the_whole": self._task.length(whole)}
        facts: dict[str, str | int | float] = {**tokens, "deleted": len(deleted)}
        return {**tokens, **export_prompt(self._task, template, folder, formats, verify=verify, facts=facts)}

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        return self._task.fingerprint()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_scoring": None}
