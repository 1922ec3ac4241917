"""The model that prompts are put to: its tokenizer, and its weights or its endpoint, taken up once per process."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import check_device
from emoprune.problems.language.loading import config_of, pretrained, tokenizer_of
from emoprune.problems.prompts.budget import Budget
from emoprune.problems.prompts.options import Precision, PromptOptions
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.contract import Filled, Scorer
from emoprune.problems.prompts.scorers.endpoint import EndpointScorer
from emoprune.problems.prompts.scorers.masked import MaskedScorer
from emoprune.problems.prompts.scorers.precision import choose_precision
from emoprune.problems.prompts.scorers.reading import LocalModel, check_fast, limit_of, too_long
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.contract import Task
from emoprune.problems.storage.kept import write_json

__all__ = ["PromptModel", "Trial", "check_fits"]

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What a model is tried on when it is loaded: the longest prompt about the search examples, and what is asked."""

    longest: Filled
    task: Task
    special: bool  # whether texts begin and end as the model's texts do, which those of a chat say themselves


class PromptModel:
    """A model by its name, or an endpoint; its weights are loaded where they are needed.

    Args:
        options: What the config says.
        budget: Where calls of an endpoint are counted.

    Raises:
        ConfigError: There is no such tokenizer, or it is no fast one.
    """

    def __init__(self, options: PromptOptions, budget: Budget) -> None:
        self._options, self._budget = options, budget
        self.name = "smollm2" if options.model is None else options.model
        self.tokenizer = self._tokenizer()
        self._precision: Precision = "float32" if options.precision == "auto" else options.precision
        self._scorer: Scorer | None = None

    def _tokenizer(self) -> Any | None:
        endpoint = self._options.endpoint
        name = self.name if endpoint is None else endpoint.tokenizer
        if name is None:
            return None
        tokenizer = tokenizer_of(name)
        check_fast(tokenizer, name)
        return tokenizer

    @property
    def here(self) -> bool:
        """Whether the model is read here, and is not behind an endpoint."""
        return self._options.endpoint is None

    @property
    def scorer(self) -> Scorer:
        """The loaded model."""
        if self._scorer is None:
            raise ContractError("the model is not loaded yet; call setup(device, threads) first")
        return self._scorer

    def load(self, device: str, trial: Trial) -> Scorer:
        """Load the model, once per process.

        Raises:
            ConfigError: There is no such device here, or no such model, or the prompt does not fit into its context.
        """
        check_device(device)
        if self._scorer is None or (isinstance(self._scorer, CausalScorer | MaskedScorer) and
                                    self._scorer.local.device != device):  # fmt: skip
            self._scorer = self._loaded(device, self._precision, trial)
        return self._scorer

    def _loaded(self, device: str, precision: str, trial: Trial) -> Scorer:
        if self._options.endpoint is not None:
            return EndpointScorer(self._options.endpoint, self._budget.ledger())
        if trial.longest.template.masked:
            masked = pretrained(self.name, "masked-language-model", dtype=precision)
            return MaskedScorer(LocalModel(masked, device, special=True))
        causal = pretrained(self.name, "language-model", dtype=precision)
        return self._fastest(LocalModel(causal, device, special=trial.special), trial)

    def _fastest(self, local: LocalModel, trial: Trial) -> CausalScorer:
        """Return the fastest scorer of those that say what the model says of each text by itself."""
        task = trial.task
        check_fits(CausalScorer(local, sharing=False), trial.longest, task, "search")  # else nothing can be compared
        for packing in (True, False):
            scorer = CausalScorer(local, packing=packing)
            if scorer.agrees_with_plain(trial.longest, task.choices, task.answer_tokens):
                return scorer
        _log.warning("what examples share of the prompt cannot be read once by this model; each is read by itself")
        return CausalScorer(local, sharing=False)

    def recall_precision(self, path: Path) -> bool:
        """Take up the precision that was decided before, and say whether there is nothing to decide.

        What is written freely has no few predictions to compare, and an endpoint has a precision of its own.
        """
        if self._options.precision == "auto" and path.exists():
            self._precision = json.loads(path.read_text(encoding="utf-8"))["precision"]
            return True
        return self._options.precision != "auto" or not self.here

    def decide_precision(self, path: Path, prompts: Sequence[Filled], trial: Trial) -> None:
        """Take bfloat16 where it predicts what float32 does for all prompts, and write that down."""
        if not isinstance(trial.task, Choosing):
            return
        choice, self._scorer = choose_precision(
            lambda precision: self._loaded("cpu", precision, trial), prompts, trial.task.choices
        )
        self._precision = choice.precision
        write_json(path, {"precision": choice.precision, "why": choice.reason})

    def check_lengths(self, part: str, filled: Filled, task: Task, *, special: bool) -> None:
        """Refuse a text that is longer than the model reads, without its weights; what an endpoint reads only it knows.

        Raises:
            ConfigError: There is one.
        """
        if not self.here or self.tokenizer is None:
            return
        masked = filled.template.masked
        mask, answer_tokens = (self.tokenizer.mask_token, 1) if masked else ("", task.answer_tokens)
        ids = self.tokenizer(filled.texts(mask), add_special_tokens=special)["input_ids"]
        _refuse(part, task, too_long(ids, limit_of(config_of(self.name), self.tokenizer), answer_tokens))

    def __getstate__(self) -> dict[str, Any]:
        # Workers load for themselves.
        return {**vars(self), "_scorer": None}


def check_fits(scorer: Scorer, filled: Filled, task: Task, part: str) -> None:
    """Refuse a prompt about some examples that a model cannot be asked about.

    Raises:
        ConfigError: It does not fit into the model's context.
    """
    _refuse(part, task, scorer.prompted(filled, task.choices).refusal(task.answer_tokens))


def _refuse(part: str, task: Task, refusal: str | None) -> None:
    if refusal is not None:
        shorter = "the prompt" if isinstance(task, Choosing) else "the prompt, or answer_tokens"
        raise ConfigError(f"examples: {part} part: {refusal}; shorten {shorter}, or leave the example out")
