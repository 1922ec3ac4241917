"""The options of the problems: each written and documented once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.few_shot import FewShot
from emoprune.problems.prompts.data.messages import Messages
from emoprune.problems.prompts.data.splitting import Sizes
from emoprune.problems.prompts.earlier import of_earlier_prompt
from emoprune.problems.prompts.marker import Marker
from emoprune.problems.prompts.prompt_data import Asked, TaskName, Verbalisers
from emoprune.problems.prompts.scorers.calling import Endpoint
from emoprune.problems.prompts.scorers.choices import Likelihood
from emoprune.problems.prompts.scorers.ledger import BOUNDED, Price
from emoprune.problems.prompts.tasks.saying import Reading
from emoprune.problems.prompts.tasks.words import Between
from emoprune.problems.prompts.tasks.writing import Match, Writing
from emoprune.problems.prompts.units import Unit
from emoprune.problems.prompts.words.references.catalogue import BY_DEFAULT

__all__ = ["Given", "Precision", "PromptOptions", "TokenOptions", "VocabularyOptions"]

Given = str | Mapping[str, Any]  # a method: its name or import target, or a mapping of `name` and options
Precision = Literal["float32", "bfloat16", "auto"]
Answering = Literal["auto", "chosen", "written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """What is put to which model, and what is measured of it.

    Args:
        prompt: The text, with placeholders such as `{sentence}` named after columns of the examples, and `{{` and `}}`
            for braces of its own; a .txt file that holds it; shots, template, instruction and separator of a prompt
            made of some of the examples; or system, user and keep of a prompt of two messages. With `{mask_token}` in
            it, a masked language model fills in the answer.
        placeholder: Other signs that placeholders are written between, as in `<<{}>>`; braces are plain text then.
        model: A Hugging Face folder or name, a GGUF file, or smollm2, which is taken if no endpoint is given.
        endpoint: url, model and limits of an OpenAI-compatible endpoint, of completions or of chats.
        price: What a million tokens cost, as one number or as `{input: 0.15, output: 0.6}`; then cost is an objective.
        chat: Put the prompt as a user's message through the model's chat template.
        examples: One CSV, TSV or JSONL file, or one each for search, select and test; or film-reviews.
        verbalisers: The word that stands for each answer of the examples, or a list of words.
        between: What stands between the prompt and its answers: space, nothing, or auto, which tries both and takes the
            one with more of the probability on the answers; ending is a space unless the prompt ends in white space.
        likelihood: What counts of answers of several tokens: their whole log-likelihood, or its mean, per-token or
            per-byte.
        answering: chosen among the words by their likelihoods, or written; auto writes them where an endpoint chats.
        reading: How written answers are read: answer leaves out what is thought before one, and words behind a
            negation; words counts any.
        answer: The column that holds the answers; by default label, class, target, answer or gold.
        objectives: What is made better: accuracy, balanced-accuracy, reward, cross-entropy, entropy, tokens, cost.
        at_most: Upper bounds by measure, as in tokens: 40; calls, billed-tokens and spending bound what the whole run
            may ask of an endpoint.
        at_least: Lower bounds by measure, as in accuracy: 0.7.
        search_examples: How many examples the search part has at most; all of them for null.
        select_examples: How many the select part has at most.
        test_examples: How many the test part has at most.
        blocks: In how many blocks of examples each part is measured at most, after some of which prompts are given up;
            null measures all at once.
        precision: What the model computes in; auto takes bfloat16 where it predicts the same.
        accept_guessing: Whether to search though the whole prompt's answers are no better than guessing.
    """

    prompt: str | FewShot | Messages
    placeholder: str | None = None
    model: str | None = None
    endpoint: Endpoint | None = None
    price: float | Price | None = None
    chat: bool = False
    examples: str | Mapping[str, str] = "film-reviews"
    verbalisers: Verbalisers | None = None
    between: Between = "auto"
    likelihood: Likelihood = "whole"
    answering: Answering = "auto"
    reading: Reading = "answer"
    answer: str | None = None
    objectives: Sequence[Given] = ("accuracy", "tokens")
    at_most: Mapping[str, float] | None = None
    at_least: Mapping[str, float] | None = None
    search_examples: int | None = 32
    select_examples: int | None = 200
    test_examples: int | None = None
    blocks: int | None = 32
    precision: Precision = "float32"
    accept_guessing: bool = False
    on_resume: ClassVar = ("accept_guessing", *(f"at_most.{name}" for name in BOUNDED))  # neither says what is measured

    def __post_init__(self) -> None:
        if self.model is not None and self.endpoint is not None:
            raise ConfigError("model: expected a model here or an endpoint, found both; leave one out")
        if self.endpoint is None and self.budget:
            raise ConfigError(
                f"at_most: {next(iter(self.budget))} bounds what an endpoint is asked, and a model here is asked for "
                "nothing; leave it out, or bound search.evaluations"
            )
        if self.blocks is not None and self.blocks < 2:
            raise ConfigError(f"blocks: expected 2 or more, or null for none, found {self.blocks}")
        if "spending" in self.budget and self.price is None:
            raise ConfigError("at_most: spending: expected the price of a million tokens as `price`, found none")

    @classmethod
    def of_earlier(cls, resolved: Mapping[str, Any], objectives: Sequence[str]) -> Mapping[str, Any]:  # noqa: ARG003  # the contract's
        """Return the options of a run in today's words: a space once stood before answers, and two braces were two."""
        return of_earlier_prompt(resolved)

    @property
    def sizes(self) -> Sizes:
        """How many examples each part has at most."""
        return Sizes(self.search_examples, self.select_examples, self.test_examples)

    @property
    def budget(self) -> dict[str, float]:
        """What the whole run may ask of its endpoint."""
        return {name: bound for name, bound in (self.at_most or {}).items() if name in BOUNDED}

    @property
    def bounds(self) -> dict[str, float]:
        """What each prompt may have at most."""
        return {name: bound for name, bound in (self.at_most or {}).items() if name not in BOUNDED}

    @property
    def chatting(self) -> bool:
        """Whether an endpoint takes messages, and puts them through a chat template of its own."""
        return self.endpoint is not None and self.endpoint.api == "chat"

    @property
    def as_chat(self) -> bool:
        """Whether the prompt goes through the chat template of the model's tokenizer here."""
        return not self.chatting and (self.chat or isinstance(self.prompt, Messages))

    @property
    def named(self) -> bool:
        """Whether the words that stand for answers are written."""
        return self.answering == "written" or (self.answering == "auto" and self.chatting)

    @property
    def asked(self) -> Asked:
        """What of it prompt, examples and answers are made of."""
        return self._asked("classification", Writing(reading=self.reading))

    def _asked(self, task: TaskName, writing: Writing) -> Asked:
        return Asked(
            self.prompt,
            self.examples,
            task,
            self.answer,
            self.verbalisers,
            writing,
            self.sizes,
            Marker.of(self.placeholder),
            self.between,
            self.likelihood,
            named=self.named,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOptions(PromptOptions):
    """What is pruned of the prompt, and when it is given up.

    Args:
        task: classification, multiple-choice or generation.
        unit: What is deleted: token, word, sentence, or demonstration, which is text between blank lines, or an example
            of a prompt that is made of some; the one with the input stays.
        answer_tokens: How long a written answer may become.
        answer_end: The text that ends a written answer; empty for none.
        match: What of a written answer must match: its last number, or all of its text.
        keep: Texts of the prompt that stay whole.
        references: What a user would have picked without a search: perplexity, random, accepting-in-runs,
            threshold-accepting, hill-climbing.
        reference_prompts: How many prompts the last three may measure, each.
        stop_early: Give a prompt up when a reference dominates it whatever comes, as runs of earlier versions go on.
        halving: Give a prompt up below this share of the unpruned prompt's accuracy on half of the search part, as runs
            of earlier versions go on.
    """

    task: TaskName = "classification"
    unit: Unit = "token"
    answer_tokens: int = 64
    answer_end: str = "\n"
    match: Match = "number"
    keep: Sequence[str] = ()
    references: Sequence[Given] = ("perplexity", "random", "accepting-in-runs")
    reference_prompts: int = 200
    stop_early: bool = False
    halving: float | None = None

    def __post_init__(self) -> None:
        PromptOptions.__post_init__(self)
        if self.reference_prompts < 1:
            raise ConfigError(f"reference_prompts: expected 1 or more, found {self.reference_prompts}")
        if self.halving is not None and not 0 < self.halving <= 1:
            raise ConfigError(f"halving: expected a share above 0 and at most 1, found {self.halving}")
        if self.blocks is not None and (self.stop_early or self.halving is not None):
            raise ConfigError(
                f"{'stop_early' if self.stop_early else 'halving'}: prompts are given up block by block now, by "
                "`search: {grades: auto}`; leave it out, or measure without blocks, as earlier versions did, with "
                "`blocks: null`"
            )

    @property
    def asked(self) -> Asked:
        """What of it prompt, examples and answers are made of."""
        return self._asked(self.task, Writing(self.answer_tokens, self.answer_end, self.match, self.reading))


@dataclass(frozen=True, slots=True, kw_only=True)
class VocabularyOptions(PromptOptions):
    """Which words the prompt is written with.

    Args:
        prompt: The text, with `{words}` where the words go, and placeholders named after columns of the examples.
        endpoint: url, model and limits of an OpenAI-compatible endpoint that returns log-probabilities; needs `words`.
        search_examples: How many examples the search part has at most, with which influence is measured too.
        slots: How many words a prompt has at most.
        words: Words to choose from, as a list or a file with one a line; the model's own whole words by default.
        clusters: How many clusters the model's words are reduced to; null for none.
        influence: What words are kept for: reward, kl, or random, the control.
        percentile: Words are kept whose influence lies above this percentile.
        references: What a user would have picked without a search: most-influential, random.
    """

    prompt: str
    objectives: Sequence[Given] = ("cross-entropy", "tokens")
    slots: int = 5
    words: str | Sequence[str] | None = None
    clusters: int | None = 2000
    influence: Given = "reward"
    percentile: float = 90.0
    references: Sequence[Given] = BY_DEFAULT

    def __post_init__(self) -> None:
        PromptOptions.__post_init__(self)
        if self.slots < 1:
            raise ConfigError(f"slots: expected 1 or more, found {self.slots}")
        if not 0 <= self.percentile < 100:
            raise ConfigError(f"percentile: expected 0 or more and less than 100, found {self.percentile}")
        if self.clusters is not None and self.clusters < 2:
            raise ConfigError(f"clusters: expected 2 or more, found {self.clusters}")
        if self.named:
            raise ConfigError(
                "answering: words are searched by how likely they make the answers, which written ones do not say; "
                "give an endpoint of completions, or prune the prompt's tokens"
            )
        if self.endpoint is not None and self.words is None:
            raise ConfigError("words: an endpoint does not say which words its model knows; give some")
