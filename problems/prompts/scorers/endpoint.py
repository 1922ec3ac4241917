"""A language model behind an OpenAI-compatible endpoint, asked for the log-probabilities of what comes next."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError
from emoprune.problems.prompts.scorers.calling import Caller, Endpoint, EndpointFailed, EndpointRefused
from emoprune.problems.prompts.scorers.contract import Choices, Filled, TokenScores
from emoprune.space import IntArray

__all__ = ["EndpointScorer"]

UNSEEN = 1.0  # nats below the least likely token that was answered, for a choice that was not among them
TRIED = 4  # examples that an endpoint is asked about before it is relied upon

_log = logging.getLogger("emoprune")


class EndpointScorer:
    """Asks an endpoint for one token after each filled prompt, with the likeliest tokens and their log-probabilities.

    A choice that is not among the likeliest counts as a little less likely than the last of them; where none of the
    choices is, all are equal, and no answer is right.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.caller = Caller(endpoint)

    def prompted(self, filled: Filled, choices: Choices) -> EndpointPrompted:
        """Take in a filled prompt."""
        if filled.template.masked:
            raise ConfigError(
                "prompt: {mask_token} needs a masked language model, and endpoints have none; leave it out"
            )
        return EndpointPrompted(self, filled.texts(), choices)

    def check(self, filled: Filled, choices: Choices) -> None:
        """Ask about the first examples; refuse an endpoint without log-probabilities, and tell of words it never says.

        Raises:
            ConfigError: It does not answer with log-probabilities.
        """
        try:
            found = self.prompted(filled, choices).choices(np.arange(min(TRIED, len(filled.inputs))))
        except EndpointFailed as error:
            raise ConfigError(f"endpoint: cannot be used: {error}") from error
        if np.ptp(found, axis=1).max() == 0:
            _log.warning(
                "none of the answers %s is among the %d likeliest tokens after the prompt, so none can be right: each "
                "must be one token of this model; choose other verbalisers, or a larger endpoint.top",
                ", ".join(map(repr, choices.words)),
                self.endpoint.top,
            )

    def check_writing(self, filled: Filled, limit: int, stop: str) -> None:
        """Let the first example be answered; refuse an endpoint that does not write, or has no room for an answer.

        Raises:
            ConfigError: It does not answer with a text.
        """
        try:
            self.prompted(filled, Choices((), ())).continuations(np.arange(1), limit, stop)
        except EndpointFailed as error:
            raise ConfigError(f"endpoint: cannot be used: {error}") from error

    def token_scores(self, text: str) -> TokenScores:
        """Say how surprising each token is, from an endpoint that echoes the prompt with its log-probabilities.

        Raises:
            ConfigError: It does not echo.
            EndpointFailed: It does not answer at all.
        """
        body = {"prompt": text, "max_tokens": 1, "echo": True, "logprobs": 1, "temperature": 0}
        try:
            (answer,) = self.caller.answers([body])
            found = _choice(answer)["logprobs"]
            starts = [int(place) for place in found["text_offset"]]
            ends = [*starts[1:], starts[-1] + len(found["tokens"][-1])]
            surprisal = [np.inf if each is None else -float(each) for each in found["token_logprobs"]]
            kept = [place for place, start in enumerate(starts) if start < len(text)]
            spans = np.array([[starts[place], ends[place]] for place in kept], dtype=np.int64).reshape(-1, 2)
        except (EndpointRefused, KeyError, TypeError, ValueError, IndexError) as error:
            why = f" ({error})" if isinstance(error, EndpointRefused) else ""
            raise ConfigError(
                f"references: the endpoint does not echo a prompt with its log-probabilities{why}, so perplexity is "
                "not known; leave that reference out: name in `references` those you want, such as "
                "[random, accepting-in-runs]"
            ) from error
        return TokenScores(spans, np.array([surprisal[place] for place in kept]))

    def fingerprint(self) -> str:
        """Return a digest of what is known of the model: its name, and where it is."""
        known = (self.endpoint.url, self.endpoint.model, sorted(self.endpoint.body.items()))
        return hashlib.sha256(repr(known).encode()).hexdigest()


class EndpointPrompted:
    """A prompt about some examples, as texts."""

    def __init__(self, scorer: EndpointScorer, texts: Sequence[str], choices: Choices) -> None:
        self._scorer = scorer
        self._texts = texts
        self._choices = choices

    def refusal(self, answer_tokens: int) -> str | None:  # noqa: ARG002  # the contract's
        """Nothing is known beforehand; the endpoint says itself if a text is too long."""
        return None

    def choices(self, rows: IntArray) -> FloatArray:
        """Return log-probabilities of the choices after some examples."""
        asked = {"max_tokens": 1, "temperature": 0, "logprobs": self._scorer.endpoint.top}
        answers = self._scorer.caller.answers([{"prompt": self._texts[row], **asked} for row in rows.tolist()])
        return np.array([self._of(answer) for answer in answers]).reshape(len(rows), len(self._choices))

    def _of(self, answer: Any) -> list[float]:
        try:
            likeliest = _likeliest(answer)
            least = min(likeliest.values()) - UNSEEN
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise EndpointFailed(
                f"endpoint {self._scorer.endpoint.url}: expected logprobs.top_logprobs of one token in the answer, "
                f"found {str(answer)[:200]}; it may need to be started so that it returns log-probabilities"
            ) from error
        return [likeliest.get(word, least) for word in self._choices.words]

    def continuations(self, rows: IntArray, limit: int, stop: str) -> list[str]:
        """Return the likeliest continuation of some examples."""
        asked = {"max_tokens": limit, "temperature": 0, **({"stop": [stop]} if stop else {})}
        answers = self._scorer.caller.answers([{"prompt": self._texts[row], **asked} for row in rows.tolist()])
        try:
            return [str(_choice(answer)["text"]) for answer in answers]
        except (KeyError, TypeError, IndexError) as error:
            raise EndpointFailed(
                f"endpoint {self._scorer.endpoint.url}: expected choices with a text, found {str(answers)[:200]}"
            ) from error


def _likeliest(answer: Any) -> dict[str, float]:
    """Return the likeliest first tokens with their log-probabilities.

    They come by token, as vLLM answers a completion, or as a list of tokens, as the server of llama.cpp does.
    """
    told = _choice(answer)["logprobs"]
    if told.get("content"):
        return {str(each["token"]): float(each["logprob"]) for each in told["content"][0]["top_logprobs"]}
    return {str(token): float(value) for token, value in told["top_logprobs"][0].items()}


def _choice(answer: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = answer["choices"][0]
    return found
