"""Deletion of a prompt's tokens: a bit per token says whether it stays, against what the answers are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Inspection, Paper, Passage, Reference, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.baselines import Stops, made_stops
from emoprune.problems.prompts.data.messages import Messages
from emoprune.problems.prompts.export import FORMATS, MESSAGE_FORMATS, export_prompt, words_of
from emoprune.problems.prompts.inspection import inspection_of_prompt
from emoprune.problems.prompts.options import TokenOptions
from emoprune.problems.prompts.prepare import going_on_later, worth_of
from emoprune.problems.prompts.problem import PromptProblem
from emoprune.problems.prompts.references.contract import ReferenceInputs
from emoprune.problems.prompts.references.made import MadeReferences, kept_references, made_references
from emoprune.problems.prompts.references.perplexity import surprisal_of
from emoprune.problems.prompts.references.ranked import kept_by, random_order
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.stopping import GiveUp
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.template import USER, Template
from emoprune.problems.prompts.units import spans_by
from emoprune.problems.storage.kept import write_json
from emoprune.problems.storage.kept_references import REFERENCES
from emoprune.records import Split
from emoprune.space import Gene, Group, IntArray, Space

__all__ = ["PromptTokens"]

NAME = "prompt-tokens"
LONGEST = 60  # characters of a gene's name
FEWER = (
    "fewer methods in references, fewer reference_prompts (each method that measures may ask about so many), or fewer "
    "search_examples"
)


@about(
    "pruning",
    ["tokens"],
    cost="one answer per example, for which what examples share of the prompt is read once",
    papers=[Paper("Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective", "2506.17930")],
)
class PromptTokens(PromptProblem):
    """Prune the tokens of a prompt: one bit per token; placeholders stay, and the order does.

    What is left is put to the model as text, so it is what anybody gets who uses the text.

    Source: Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective (PromptQuine, arXiv 2506.17930).
    """

    options: ClassVar = TokenOptions
    formats: tuple[str, ...] = FORMATS

    def __init__(self, **given: Any) -> None:
        self._own = TokenOptions(**given)
        self._methods = plugins.methods("reference", self._own.references, NAME, option="references")
        super().__init__(PromptTask(self._own, NAME))
        data = self._task.data
        self._spans, self._held = spans_by(self._own.unit, data.template, self._task.splitter, data.blocks)
        self._locked = self._locked_spans(self._own.keep)
        self.space = self._space()
        if isinstance(self._own.prompt, Messages):
            self.formats = MESSAGE_FORMATS
        self._made: MadeReferences | None = None
        self._stops: Stops | None = None

    def _locked_spans(self, keep: Sequence[str]) -> NDArray[np.bool_]:
        absent = next((text for text in keep if text not in self._task.data.template.text), None)
        if absent is not None:
            raise ConfigError(f"keep: expected texts of the prompt, found {absent!r}, which does not stand in it")
        return self._spans.fixed | self._held | self._of_kept_messages | self._spans.overlapping(keep)

    @property
    def _of_kept_messages(self) -> NDArray[np.bool_]:
        """Say which spans belong to a message that is not pruned, shape (spans,)."""
        prompt, names = self._own.prompt, self._task.data.template.slots
        if not isinstance(prompt, Messages):
            return np.zeros(len(self._spans), dtype=np.bool_)
        user = np.arange(len(self._spans)) > np.flatnonzero(self._spans.slots)[names.index(USER)]
        return np.where(user, "user" in prompt.keep, "system" in prompt.keep)

    def _space(self) -> Space:
        """Return a bit per span; a prompt of nothing but its placeholders is not one."""
        if self._locked.all():
            blank = ", and demonstrations that blank lines part" if self._own.unit == "demonstration" else ""
            raise ConfigError(
                f"prompt: expected text beside the placeholders that may be deleted, found none; give some{blank}, or "
                "keep less"
            )
        width = len(str(len(self._spans) - 1))
        genes = [
            Gene(f"{number:0{width}d} {self._named(text)}", locked=1 if locked else None)
            for number, (text, locked) in enumerate(zip(self._spans.texts, self._locked.tolist(), strict=True))
        ]
        text = tuple(np.flatnonzero(~self._spans.fixed).tolist())
        each = 1.0 if self._own.unit == "token" else np.array([*map(self._task.splitter.count, self._spans.texts)])
        costs = np.where(self._spans.fixed, 0.0, each)
        return Space(tuple(genes), (Group("text", text, floor=1),), costs)

    def _named(self, text: str) -> str:
        """Return what a gene is called besides its number; a sentence is cut off."""
        name = text.strip() or repr(text)[1:-1]
        if self._own.unit != "token":
            name = " ".join(name.split())
            name = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        return name

    def prepare(self, folder: Path, seed: int) -> None:
        """Load the model, check that the prompt fits into it, and make the references and baselines once."""
        self._begin(folder, lambda: self._varied(seed), FEWER)
        with going_on_later("references and baselines", FEWER):
            self._make(folder, seed, self._task.scoring())

    def try_unpruned(self, folder: Path, seed: int) -> None:
        """Refuse a prompt whose answers are no better than guessing, unless the options accept it.

        Raises:
            ConfigError: It says what is likely wrong, or as in `prepare`.
        """
        if not self._own.accept_guessing:
            self._begin(folder, lambda: self._varied(seed), FEWER)
            self._try(folder, [self._template(self.space.full)], "the whole prompt", FEWER)

    def _make(self, folder: Path, seed: int, scoring: Scoring) -> None:
        path = folder / REFERENCES
        if not path.exists():
            worth = worth_of(self._task, scoring, self._template, folder / "worth.jsonl")
            rng, most = np.random.default_rng([seed, 20]), self._own.reference_prompts
            inputs = ReferenceInputs(self.space, rng, worth, most, self._surprisal)
            write_json(path, made_references(self._methods, inputs, self.canonical).as_json())
        self._made = kept_references(path, self.space)
        self._stops = made_stops(
            self._task,
            scoring,
            [self._template(reference.genome) for reference in self.references()],
            path=folder / "yardsticks.json",
            dominated=self._own.stop_early,
            halving=self._own.halving,
        )

    def _varied(self, seed: int) -> list[Template]:
        """Return the whole prompt and some with random tokens deleted, from few to most."""
        rng = np.random.default_rng([seed, 21])
        shares = (0.9, 0.7, 0.5, 0.3)
        genomes = [kept_by(random_order(self.space, rng), self.space, share) for share in shares]
        return [self._template(genome) for genome in (self.space.full, *genomes)]

    def _surprisal(self) -> NDArray[np.float64]:
        example = self._task.data.parts[Split.SEARCH][0]
        return surprisal_of(self._spans, example, self._task.model.scorer)

    def _give_up(self, template: Template, split: Split) -> GiveUp | None:
        """Return when an earlier version gave a prompt up: on the search part, by what was fixed before the search."""
        if split is not Split.SEARCH or self._stops is None:
            return None
        return self._stops.against(template.text, self._task.of_prompt(template))

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
        """How many prompts were measured to make the references, by method, and for the baselines."""
        made = {} if self._made is None else dict(self._made.evaluations)
        return made | ({} if self._stops is None else {"yardsticks": self._stops.evaluations})

    def describe(self, genome: IntArray) -> Description:
        """Say what is left of the prompt, and what was asked of an endpoint to search it."""
        template = self._template(genome)
        return {"tokens": self._task.length(template), **words_of(template), **self._task.asked_for(template)}

    def marked(self, genome: IntArray) -> Sequence[Passage]:
        """Return the whole prompt with what stays of it and what goes."""
        return [Passage(text, bool(stays)) for text, stays in zip(self._spans.texts, genome.tolist(), strict=True)]

    def inspect(self) -> Inspection:
        """Return the tokens of the prompt, the words for answers, and the examples of each part."""
        spans = [
            {self._own.unit: number, "text": repr(text)[1:-1], "may go": "no" if locked else "yes"}
            for number, (text, locked) in enumerate(zip(self._spans.texts, self._locked.tolist(), strict=True))
        ]
        free = int(self.space.free.sum())
        summary: dict[str, str | int | float | bool] = {
            f"{self._own.unit}s that may go": free,
            "genomes": f"{float(self.space.size):.3g}",
        }
        return inspection_of_prompt(self._task, summary, {"prompt": spans}, ())

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
