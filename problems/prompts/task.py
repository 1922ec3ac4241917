"""A model, a prompt, examples and what is measured: what all problems of this domain share."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from emoprune.contracts import Constraint, Failure, Objective, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import check_device
from emoprune.problems.language.loading import config_of, pretrained, tokenizer_of
from emoprune.problems.prompts.budget import Budget
from emoprune.problems.prompts.chats import NO_CHAT, chat_of
from emoprune.problems.prompts.continuation import Continuation, chosen_continuation, kept_continuation
from emoprune.problems.prompts.data.messages import Messages
from emoprune.problems.prompts.measures import measures_of
from emoprune.problems.prompts.objectives.contract import Answers, Needs, Seen
from emoprune.problems.prompts.options import Precision, PromptOptions
from emoprune.problems.prompts.prompt_data import PromptData, prompt_data_of
from emoprune.problems.prompts.scorers.calling import EndpointFailed
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.contract import Filled, Scorer
from emoprune.problems.prompts.scorers.endpoint import EndpointScorer
from emoprune.problems.prompts.scorers.ledger import BudgetSpent, Price, account_of
from emoprune.problems.prompts.scorers.masked import MaskedScorer
from emoprune.problems.prompts.scorers.precision import choose_precision
from emoprune.problems.prompts.scorers.reading import LocalModel, check_fast, limit_of, too_long
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.spans import ByToken, ByWord, Splitter
from emoprune.problems.prompts.stopping import GiveUp
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.naming import LOST, Naming
from emoprune.problems.prompts.template import USER, Template
from emoprune.problems.storage.kept import write_json
from emoprune.records import Split

__all__ = ["CONTINUATION", "PromptTask"]

CONTINUATION = "continuation.json"
_log = logging.getLogger("emoprune")


class PromptTask:
    """Model, prompt and examples of one config; made in the driver, sent to the workers.

    Args:
        options: What the config says.
        problem: The name of the problem, for which measures are found.
        special: Placeholders that no example fills, and the longest text that the problem puts there.

    Raises:
        ConfigError: Something of it cannot be used.
    """

    def __init__(self, options: PromptOptions, problem: str, special: Mapping[str, str] = MappingProxyType({})) -> None:
        self.options = options
        self.model_name = "smollm2" if options.model is None else options.model
        self.tokenizer = self._tokenizer()
        self.splitter: Splitter = ByWord() if self.tokenizer is None else ByToken(self.tokenizer)
        roles = ("system", "user") if isinstance(options.prompt, Messages) else ("user",)
        self.chat = chat_of(self.tokenizer, roles) if options.as_chat else NO_CHAT
        if options.between == "ending":  # as runs of earlier versions go on, which put messages as they were
            self.chat = replace(self.chat, trims=False)
        # What a server puts between a message and its answer only it knows, so words are told by their text there.
        words = None if options.chatting else self.tokenizer
        self.data: PromptData = prompt_data_of(options.asked, words, self.chat.after, tuple(special))
        self.continuation: Continuation | None = None
        self.budget = Budget(options.budget, Price.of(options.price))
        self.longest = self.data.template
        for slot, text in special.items():
            self.longest = self.longest.with_text(slot, text)
        priced: set[Needs] = set() if self.budget.price is None else {"costs"}
        known = self.data.task.known | priced
        self.measures = measures_of(options, problem, known=known, unpruned=self._unanswered(self.longest))
        self._precision: Precision = "float32" if options.precision == "auto" else options.precision
        self._scorer: Scorer | None = None
        self._check()

    def _tokenizer(self) -> Any | None:
        name = self.model_name if self.options.endpoint is None else self.options.endpoint.tokenizer
        if name is None:
            return None
        tokenizer = tokenizer_of(name)
        check_fast(tokenizer, name)
        return tokenizer

    def _check(self) -> None:
        masked = self.data.template.masked
        if masked and self.options.endpoint is not None:
            raise ConfigError("prompt: {mask_token} needs a masked language model, and endpoints have none")
        if masked and getattr(self.tokenizer, "mask_token", None) is None:
            raise ConfigError(
                f"prompt: {{mask_token}} needs a masked language model, and the tokenizer of {self.model_name!r} has "
                "no mask; leave it out, or give another model"
            )
        if masked and self.options.chat:
            raise ConfigError("chat: a masked language model takes no chats; leave it out")
        if self.options.likelihood != "whole" and not isinstance(self.data.task, Choosing):
            raise ConfigError("likelihood: answers are written here, and have none; leave it out")

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is made better."""
        return self.measures.objectives

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What must hold."""
        return self.measures.constraints

    def length(self, template: Template) -> int:
        """Return how many tokens a prompt has without its input, to which the spaces before it belong."""
        return sum(map(self.splitter.count, [*(text.rstrip(" ") for text in template.texts[:-1]), template.texts[-1]]))

    def _unanswered(self, template: Template) -> Seen:
        return Seen(template.text, self.length(template), Answers.none())

    def of_prompt(self, template: Template) -> dict[str, float]:
        """Return what is measured of a prompt alone, which is known before it is put to an example."""
        return self.measures.of_prompt(self._unanswered(template))

    def filled(self, template: Template, split: Split) -> Filled:
        """Return a prompt about the examples of a part, as it is put to the model."""
        inputs = tuple(example.inputs for example in self.data.parts[split])
        return Filled(self.chat.put(template), inputs, account_of(split.value, template.text))

    def prepare(self, folder: Path, tried: Callable[[], Sequence[Template]]) -> None:
        """Load the model, decide its precision once if that is to be decided, and check that the prompt can be put.

        Args:
            folder: Where the decision is kept.
            tried: The whole prompt and several pruned ones, to decide by.

        Raises:
            ConfigError: The prompt does not fit into the model's context, or the endpoint cannot be used.
        """
        self.budget.begin(folder)
        kept = kept_continuation(folder / CONTINUATION)
        if kept is not None:
            self._follow(kept)
        precision = folder / "precision.json"
        if self.options.precision == "auto" and precision.exists():
            self._precision = self._decided(precision, tried)
        scorer = self.load("cpu")
        for split in Split:
            self._check_fits(scorer, split)
        whole = self.filled(tried()[0], Split.SEARCH)
        if isinstance(scorer, EndpointScorer):
            self._check_endpoint(scorer, whole, folder / CONTINUATION)
        elif self._undecided:
            rows, ways = np.arange(len(whole.inputs)), self.data.alternatives
            self._follow(chosen_continuation(
                folder / CONTINUATION, ways, lambda words: scorer.prompted(whole, words).likelihoods(rows)
            ))  # fmt: skip
        if self.options.precision == "auto" and not precision.exists():
            self._precision = self._decided(precision, tried)
        for words in self.alarms():
            _log.warning("%s", words)

    @property
    def _undecided(self) -> bool:
        asked = self.options.between != "ending"  # as runs of earlier versions go on
        return asked and self.continuation is None and isinstance(self.data.task, Choosing)

    def _follow(self, continuation: Continuation) -> None:
        self.continuation = continuation
        self.data = self.data.following(continuation.between)

    def _check_endpoint(self, scorer: EndpointScorer, whole: Filled, path: Path) -> None:
        task, rows = self.data.task, len(whole.inputs)
        if isinstance(task, Naming):
            _log.warning("%s", LOST)
        if not isinstance(task, Choosing):
            scorer.check_writing(whole, task.answer_tokens, task.answer_end)
        elif self._undecided:
            ways = self.data.alternatives
            self._follow(chosen_continuation(path, ways, lambda words: scorer.tried(whole, words, rows)))
        else:
            scorer.check(whole, task.choices)

    def alarms(self) -> list[str]:
        """Return what a person should be alarmed by, a sentence each."""
        task = self.data.task
        if self.continuation is None or not isinstance(task, Choosing):
            return []
        alarm = self.continuation.alarm(task.choices)
        return [] if alarm is None else [alarm]

    def asked_for(self, template: Template) -> dict[str, int]:
        """Return what an endpoint was asked for to measure a prompt on the search part, by what it is called."""
        return self.budget.words_of(account_of(Split.SEARCH.value, template.text))

    @property
    def calls_per_answer(self) -> int:
        """How many calls an endpoint is asked for one answer."""
        choices = self.data.task.choices
        return len(choices.words) if choices.longest > 1 else 1

    def unaffordable(self, searched: int, shown: int) -> str | None:
        """Say why the run cannot pay for more, None if it can.

        Args:
            searched: How many candidates are put to the search part next.
            shown: How many are put to the select and the test part at the end.
        """
        sizes = {split: len(examples) for split, examples in self.data.parts.items()}
        answers = searched * sizes[Split.SEARCH] + shown * (sizes[Split.SELECT] + sizes[Split.TEST])
        return self.budget.unaffordable(answers * self.calls_per_answer)

    def _decided(self, path: Path, tried: Callable[[], Sequence[Template]]) -> Precision:
        if not isinstance(self.data.task, Choosing) or self.options.endpoint is not None:
            return "float32"  # what is written freely has no few predictions to compare
        if not path.exists():
            prompts = [self.filled(template, Split.SEARCH) for template in tried()]
            choice, self._scorer = choose_precision(
                lambda precision: self._loaded("cpu", precision), prompts, self.data.task.choices
            )
            write_json(path, {"precision": choice.precision, "why": choice.reason})
        kept: Precision = json.loads(path.read_text(encoding="utf-8"))["precision"]
        return kept

    def load(self, device: str) -> Scorer:
        """Load the model, once per process.

        Raises:
            ConfigError: There is no such device here, or no such model, or the prompt does not fit into its context.
        """
        check_device(device)
        if self._scorer is None or (isinstance(self._scorer, CausalScorer | MaskedScorer) and
                                    self._scorer.local.device != device):  # fmt: skip
            self._scorer = self._loaded(device, self._precision)
        return self._scorer

    def _loaded(self, device: str, precision: str) -> Scorer:
        if self.options.endpoint is not None:
            return EndpointScorer(self.options.endpoint, self.budget.ledger())
        if self.data.template.masked:
            masked = pretrained(self.model_name, "masked-language-model", dtype=precision)
            return MaskedScorer(LocalModel(masked, device, special=True))
        causal = pretrained(self.model_name, "language-model", dtype=precision)
        return self._fastest(LocalModel(causal, device, special=self.chat == NO_CHAT))

    def _fastest(self, local: LocalModel) -> CausalScorer:
        """Return the fastest scorer of those that say what the model says of each text by itself."""
        filled, task = self.filled(self.longest, Split.SEARCH), self.data.task
        self._check_fits(CausalScorer(local, sharing=False), Split.SEARCH)  # else there is nothing to compare
        for packing in (True, False):
            scorer = CausalScorer(local, packing=packing)
            if scorer.agrees_with_plain(filled, task.choices, task.answer_tokens):
                return scorer
        _log.warning("what examples share of the prompt cannot be read once by this model; each is read by itself")
        return CausalScorer(local, sharing=False)

    @property
    def scorer(self) -> Scorer:
        """The loaded model."""
        if self._scorer is None:
            raise ContractError("the model is not loaded yet; call setup(device, threads) first")
        return self._scorer

    def scoring(self) -> Scoring:
        """Return what puts prompts to the examples."""
        return Scoring(
            self.scorer, self.data.task, self.data.parts, self.measures, self.length, self.chat, self.budget.price
        )

    def _check_fits(self, scorer: Scorer, split: Split) -> None:
        task = self.data.task
        self._refuse(split, scorer.prompted(self.filled(self.longest, split), task.choices).refusal(task.answer_tokens))

    def check_lengths(self) -> None:
        """Refuse a text that is longer than the model reads, without its weights; what an endpoint reads only it knows.

        Raises:
            ConfigError: There is one.
        """
        if self.options.endpoint is not None or self.tokenizer is None:
            return
        limit = limit_of(config_of(self.model_name), self.tokenizer)
        masked = self.data.template.masked
        mask, answer_tokens = (self.tokenizer.mask_token, 1) if masked else ("", self.data.task.answer_tokens)
        for split in Split:
            texts = self.filled(self.longest, split).texts(mask)
            ids = self.tokenizer(texts, add_special_tokens=self.chat == NO_CHAT)["input_ids"]
            self._refuse(split, too_long(ids, limit, answer_tokens))

    def _refuse(self, split: Split, refusal: str | None) -> None:
        if refusal is not None:
            shorter = "the prompt" if isinstance(self.data.task, Choosing) else "the prompt, or answer_tokens"
            raise ConfigError(f"examples: {split.value} part: {refusal}; shorten {shorter}, or leave the example out")

    def row(self, scoring: Scoring, template: Template, split: Split, give_up: GiveUp | None = None) -> Row:
        """Return a prompt's objectives and bounded values on a part, or why it has none.

        A call that fails during a search must not end it, so it is a failure of its prompt alone.
        """
        try:
            scored = scoring.scored(template, split, give_up)
        except (EndpointFailed, BudgetSpent) as error:
            return Failure(str(error))
        return scored if isinstance(scored, Failure) else self.measures.row(scored.values)

    def fingerprint(self) -> str:
        """Return a digest of the model, the prompt, all examples and the words for their answers."""
        digest = hashlib.sha256(self.scorer.fingerprint().encode())
        task, around = self.data.task, (self.chat.before, self.chat.after)
        digest.update(f"({self.data.template!r}, {around!r}, {task.choices.told()})".encode())
        if isinstance(task, Naming) or USER in self.data.template.slots:
            digest.update(repr((self.chat, task)).encode())
        for split, examples in self.data.parts.items():
            for example in examples:
                digest.update(repr((split.value, example.inputs, example.answer)).encode())
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # Workers load for themselves.
        return {**vars(self), "_scorer": None}
