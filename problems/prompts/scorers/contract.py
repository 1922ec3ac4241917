"""What a scorer promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from emoprune.contracts import FloatArray
from emoprune.problems.prompts.scorers.choices import Choices
from emoprune.problems.prompts.template import Template
from emoprune.space import IntArray

__all__ = ["Choices", "Filled", "Prompted", "Scorer", "TokenScores"]


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt and what its placeholders are filled with, once per example; asking is counted under `account`."""

    template: Template
    inputs: tuple[tuple[str, ...], ...]
    account: str = "other"

    def texts(self, mask: str = "") -> list[str]:
        """Return the prompt about each example."""
        return [self.template.about(each, mask) for each in self.inputs]

    def messages(self) -> list[list[dict[str, str]]]:
        """Return the prompt about each example as a chat's messages."""
        system, user = self.template.parts
        split = 0 if system is None else len(system.inputs)
        return [
            [
                *([] if system is None else [{"role": "system", "content": system.about(each[:split])}]),
                {"role": "user", "content": user.about(each[split:])},
            ]
            for each in self.inputs
        ]


@dataclass(frozen=True, slots=True, eq=False)
class TokenScores:
    """How surprising each token of a text is: spans of the text, shape (n, 2), and nats, shape (n,)."""

    spans: IntArray
    surprisal: FloatArray


class Prompted(Protocol):
    """A filled prompt, ready to be continued; what its examples share is computed once, when it is first needed."""

    def refusal(self, answer_tokens: int) -> str | None:
        """Return why it cannot be put to the model, such as its length with its answer's; None if it can."""
        ...

    def choices(self, rows: IntArray) -> FloatArray:
        """Return log-probabilities of the choices after some examples, shape (rows, choices), up to a constant per row.

        An example's are the same whichever others are asked about with it, up to rounding.
        """
        ...

    def likelihoods(self, rows: IntArray) -> FloatArray:
        """Return the log-likelihood of each of the choices' words after some examples, shape (rows, words).

        Of all that the model could say there; -inf where it is too small to be told.
        """
        ...

    def continuations(self, rows: IntArray, limit: int, stop: str) -> list[str]:
        """Return the likeliest continuation of some examples: up to `limit` tokens, or up to the text `stop`."""
        ...

    def used(self, rows: IntArray) -> FloatArray:
        """Return how many tokens were read and written for some examples that were asked about, shape (rows, 2)."""
        ...


class Scorer(Protocol):
    """A language model that is asked how filled prompts go on."""

    def prompted(self, filled: Filled, choices: Choices) -> Prompted:
        """Take in a filled prompt and what it is to choose from; nothing is computed yet."""
        ...

    def token_scores(self, text: str) -> TokenScores:
        """Say how surprising each token of a text is to the model.

        Raises:
            ConfigError: This scorer cannot say.
        """
        ...

    def fingerprint(self) -> str:
        """Return a digest of the model as far as it can be known."""
        ...
