"""A model, a prompt, examples and what is measured: what all problems of this domain share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from emoprune.contracts import Constraint, Failure, Objective, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.blocks import ExampleBlocks
from emoprune.problems.prompts.budget import Budget
from emoprune.problems.prompts.chats import NO_CHAT, chat_of
from emoprune.problems.prompts.continuation import Continuation
from emoprune.problems.prompts.data.messages import Messages
from emoprune.problems.prompts.measures import measures_of
from emoprune.problems.prompts.models import PromptModel, Trial
from emoprune.problems.prompts.objectives.contract import Answers, Needs, Seen
from emoprune.problems.prompts.options import PromptOptions
from emoprune.problems.prompts.prompt_data import PromptData, prompt_data_of
from emoprune.problems.prompts.scorers.calling import EndpointFailed
from emoprune.problems.prompts.scorers.contract import Filled, Scorer
from emoprune.problems.prompts.scorers.ledger import BudgetSpent, Price, account_of
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.spans import ByToken, ByWord, Splitter
from emoprune.problems.prompts.stopping import GiveUp
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.naming import Naming
from emoprune.problems.prompts.tasks.writing import Writing
from emoprune.problems.prompts.template import USER, Template
from emoprune.records import Split

__all__ = ["PromptTask"]


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
        self.budget = Budget(options.budget, Price.of(options.price))
        self.model = PromptModel(options, self.budget)
        self.tokenizer = self.model.tokenizer
        self.splitter: Splitter = ByWord() if self.tokenizer is None else ByToken(self.tokenizer)
        roles = ("system", "user") if isinstance(options.prompt, Messages) else ("user",)
        self.chat = chat_of(self.tokenizer, roles) if options.as_chat else NO_CHAT
        if options.between == "ending":  # as runs of earlier versions go on, which put messages as they were
            self.chat = replace(self.chat, trims=False)
        # What a server puts between a message and its answer only it knows, so words are told by their text there.
        words = None if options.chatting else self.tokenizer
        self.data: PromptData = prompt_data_of(options.asked, words, self.chat.after, tuple(special))
        self.continuation: Continuation | None = None
        self.longest = self.data.template
        for slot, text in special.items():
            self.longest = self.longest.with_text(slot, text)
        priced: set[Needs] = set() if self.budget.price is None else {"costs"}
        known = self.data.task.known | priced
        self.measures = measures_of(options, problem, known=known, unpruned=self._unanswered(self.longest))
        classes = not isinstance(self.data.task, Writing)
        self.blocks = (
            ExampleBlocks.of(self.data.parts, options.blocks, classes=classes) if self.measures.noisy else None
        )
        self._check()

    def _check(self) -> None:
        masked = self.data.template.masked
        if masked and self.options.endpoint is not None:
            raise ConfigError("prompt: {mask_token} needs a masked language model, and endpoints have none")
        if masked and getattr(self.tokenizer, "mask_token", None) is None:
            raise ConfigError(
                f"prompt: {{mask_token}} needs a masked language model, and the tokenizer of {self.model.name!r} has "
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

    @property
    def trial(self) -> Trial:
        """What the model is tried on when it is loaded."""
        return Trial(self.filled(self.longest, Split.SEARCH), self.data.task, special=self.chat == NO_CHAT)

    def load(self, device: str) -> Scorer:
        """Load the model, once per process.

        Raises:
            ConfigError: There is no such device here, or no such model, or the prompt does not fit into its context.
        """
        return self.model.load(device, self.trial)

    @property
    def undecided(self) -> bool:
        """Whether it is still open how answers follow the prompt."""
        asked = self.options.between != "ending"  # as runs of earlier versions go on
        return asked and self.continuation is None and isinstance(self.data.task, Choosing)

    def follow(self, continuation: Continuation) -> None:
        """Let answers follow the prompt as was decided."""
        self.continuation = continuation
        self.data = self.data.following(continuation.between)

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

    def scoring(self) -> Scoring:
        """Return what puts prompts to the examples."""
        return Scoring(
            self.model.scorer, self.data.task, self.data.parts, self.measures, self.length, self.chat, self.budget.price
        )

    def check_lengths(self) -> None:
        """Refuse a text that is longer than the model reads, without its weights; what an endpoint reads only it knows.

        Raises:
            ConfigError: There is one.
        """
        for split in Split:
            filled = self.filled(self.longest, split)
            self.model.check_lengths(split.value, filled, self.data.task, special=self.chat == NO_CHAT)

    def rows(self, scoring: Scoring, template: Template, split: Split, blocks: range) -> Row:
        """Return a prompt's objectives and bounded values on some blocks of a part, or why it has none."""
        if self.blocks is None:
            raise ContractError("the examples are not in blocks; ask for all of them")
        try:
            measured = scoring.by_block(template, split, self.blocks, blocks)
        except (EndpointFailed, BudgetSpent) as error:
            return Failure(str(error))
        return measured if isinstance(measured, Failure) else self.measures.rows(measured)

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
        digest = hashlib.sha256(self.model.scorer.fingerprint().encode())
        task, around = self.data.task, (self.chat.before, self.chat.after)
        digest.update(f"({self.data.template!r}, {around!r}, {task.choices.told()})".encode())
        if isinstance(task, Naming) or USER in self.data.template.slots:
            digest.update(repr((self.chat, task)).encode())
        for split, examples in self.data.parts.items():
            for example in examples:
                digest.update(repr((split.value, example.inputs, example.answer)).encode())
        return digest.hexdigest()
