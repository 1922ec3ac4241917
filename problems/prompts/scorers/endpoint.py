"""A language model behind an OpenAI-compatible endpoint, asked for the log-probabilities of what comes next."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError
from emoprune.problems.prompts.scorers.calling import Caller, Endpoint, EndpointFailed, EndpointRefused, usage_of
from emoprune.problems.prompts.scorers.contract import Choices, Filled, TokenScores
from emoprune.problems.prompts.scorers.ledger import Ledger
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

    def __init__(self, endpoint: Endpoint, ledger: Ledger | None = None) -> None:
        self.endpoint = endpoint
        self.caller = Caller(endpoint, ledger)

    def prompted(self, filled: Filled, choices: Choices) -> EndpointPrompted:
        """Take in a filled prompt."""
        if filled.template.masked:
            raise ConfigError(
                "prompt: {mask_token} needs a masked language model, and endpoints have none; leave it out"
            )
        return EndpointPrompted(self, filled, choices)

    def check(self, filled: Filled, choices: Choices) -> None:
        """Ask about the first examples; refuse an endpoint without log-probabilities.

        Raises:
            ConfigError: It does not answer with log-probabilities.
        """
        self.tried(filled, choices, min(TRIED, len(filled.inputs)))

    def tried(self, filled: Filled, choices: Choices, rows: int) -> FloatArray:
        """Return the log-likelihoods of words after the first examples, and tell of words that it never says.

        Raises:
            ConfigError: It does not answer with log-probabilities.
        """
        try:
            found = self.prompted(filled, choices).likelihoods(np.arange(rows))
        except EndpointFailed as error:
            raise ConfigError(f"endpoint: cannot be used: {error}; {self._otherwise}") from error
        if not np.isfinite(found).any():
            _log.warning(
                "none of the answers %s is among the %d likeliest tokens after the prompt, so none can be right: each "
                "must be one token of this model; choose other verbalisers, a larger endpoint.top, or let answers be "
                "written, with `answering: written`",
                ", ".join(map(repr, choices.words)),
                self.endpoint.top,
            )
        return found

    @property
    def _otherwise(self) -> str:
        chat = "" if self.endpoint.api == "chat" else "say `api: chat` of a server that only chats, or "
        return f"{chat}let answers be written, with `answering: written`"

    def check_writing(self, filled: Filled, limit: int, stop: str) -> str:
        """Return what the first example is answered; refuse an endpoint that does not write, or has no room for it.

        Raises:
            ConfigError: It does not answer with a text.
        """
        try:
            (said,) = self.prompted(filled, Choices.none()).continuations(np.arange(1), limit, stop)
        except EndpointFailed as error:
            chat = "" if self.endpoint.api == "chat" else "; say `api: chat` of a server that only chats"
            raise ConfigError(f"endpoint: cannot be used: {error}{chat}") from error
        return said

    def token_scores(self, text: str) -> TokenScores:
        """Say how surprising each token is, from an endpoint that echoes the prompt with its log-probabilities.

        Raises:
            ConfigError: It does not echo.
            EndpointFailed: It does not answer at all.
        """
        if self.endpoint.api == "chat":
            raise ConfigError(
                "references: an endpoint of chats does not say how surprising a prompt is, so perplexity is not known; "
                "leave that reference out: name in `references` those you want, such as [random, accepting-in-runs]"
            )
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
        known: tuple[Any, ...] = (self.endpoint.url, self.endpoint.model, sorted(self.endpoint.body.items()))
        if self.endpoint.api != "completions":
            known += (self.endpoint.api,)
        return hashlib.sha256(repr(known).encode()).hexdigest()


class EndpointPrompted:
    """A prompt about some examples, as texts or as messages."""

    def __init__(self, scorer: EndpointScorer, filled: Filled, choices: Choices) -> None:
        self._scorer = scorer
        self._endpoint = scorer.endpoint
        self._chat = self._endpoint.api == "chat"
        self._asked: list[Any] = filled.messages() if self._chat else filled.texts()
        self._account = filled.account
        self._choices = choices
        self._used = np.zeros((len(self._asked), 2))

    def refusal(self, answer_tokens: int) -> str | None:  # noqa: ARG002  # the contract's
        """Nothing is known beforehand; the endpoint says itself if a text is too long."""
        return None

    def used(self, rows: IntArray) -> FloatArray:
        """Return how many tokens the endpoint says that it read and wrote for some examples."""
        return self._used[rows]

    def choices(self, rows: IntArray) -> FloatArray:
        """Return log-probabilities of the choices after some examples."""
        if self._choices.longest > 1:
            return self._choices.scores(self.likelihoods(rows))
        return self._choices.scores(np.array([self._of(each, seen=False) for each in self._tops(rows)]))

    def likelihoods(self, rows: IntArray) -> FloatArray:
        """Return the log-likelihood of each word after some examples; -inf of one that is not among the likeliest."""
        if self._choices.longest > 1:
            return self._echoed(rows)
        return np.array([self._of(each, seen=True) for each in self._tops(rows)])

    def _tops(self, rows: IntArray) -> list[dict[str, float]]:
        """Return the likeliest tokens after some examples, with their log-probabilities."""
        top = self._endpoint.top
        more = {"logprobs": True, "top_logprobs": top} if self._chat else {"logprobs": top}
        return [self._likeliest(answer) for answer in self._answers(rows, {"max_tokens": 1, **more})]

    def _likeliest(self, answer: Any) -> dict[str, float]:
        try:
            return _likeliest(answer)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise EndpointFailed(
                f"endpoint {self._endpoint.url}: expected logprobs.top_logprobs of one token in the answer, "
                f"found {str(answer)[:200]}; it may need to be started so that it returns log-probabilities"
            ) from error

    def _of(self, likeliest: Mapping[str, float], *, seen: bool) -> list[float]:
        least = -np.inf if seen else min(likeliest.values()) - UNSEEN
        return [likeliest.get(word, least) for word in self._choices.words]

    def _echoed(self, rows: IntArray) -> FloatArray:
        """Return the log-likelihood of words of several tokens, each of which is put behind the prompt and echoed."""
        more = {"max_tokens": 1, "echo": True, "logprobs": 1}
        pairs = [(row, word) for row in rows.tolist() for word in self._choices.words]
        answers = self._asking([{"prompt": self._asked[row] + word, **more} for row, word in pairs])
        found = []
        for (row, word), answer in zip(pairs, answers, strict=True):
            self._pay(row, answer)
            try:
                found.append(_of_word(_choice(answer)["logprobs"], len(self._asked[row]), word))
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise EndpointFailed(
                    f"endpoint {self._endpoint.url}: expected the prompt echoed with log-probabilities, which answers "
                    f"of several tokens such as {word!r} need, found {str(answer)[:200]}; choose words of one token"
                ) from error
        return np.array(found, dtype=np.float64).reshape(len(rows), len(self._choices.words))

    def continuations(self, rows: IntArray, limit: int, stop: str) -> list[str]:
        """Return the likeliest continuation of some examples."""
        answers = self._answers(rows, {"max_tokens": limit, **({"stop": [stop]} if stop else {})})
        try:
            return [str((_choice(each)["message"]["content"] or "") if self._chat else _choice(each)["text"])
                    for each in answers]  # fmt: skip
        except (KeyError, TypeError, IndexError) as error:
            what = "choices with a message's content" if self._chat else "choices with a text"
            raise EndpointFailed(
                f"endpoint {self._endpoint.url}: expected {what}, found {str(answers)[:200]}"
            ) from error

    def _answers(self, rows: IntArray, more: Mapping[str, Any]) -> list[Any]:
        named = "messages" if self._chat else "prompt"
        answers = self._asking([{named: self._asked[row], **more} for row in rows.tolist()])
        for row, answer in zip(rows.tolist(), answers, strict=True):
            self._pay(row, answer)
        return answers

    def _asking(self, bodies: Sequence[Mapping[str, Any]]) -> list[Any]:
        return self._scorer.caller.answers([{**body, "temperature": 0} for body in bodies], self._account)

    def _pay(self, row: int, answer: Any) -> None:
        """Count the tokens of an answer.

        Raises:
            EndpointFailed: It does not say how many there are, and that is needed.
        """
        ledger, used = self._scorer.caller.ledger, usage_of(answer)
        self._used[row] += used
        if not used[0] and (ledger.price is not None or {"billed-tokens", "spending"} & set(ledger.bounds)):
            raise EndpointFailed(
                f"endpoint {self._endpoint.url}: expected usage.prompt_tokens in the answer, by which price and "
                f"billed-tokens go, found {str(answer)[:200]}; leave them out, and bound calls"
            )


def _of_word(told: Mapping[str, Any], begin: int, word: str) -> float:
    """Return the log-likelihood of a word that begins at a place of an echoed text.

    Raises:
        ValueError: It grew together with what stands before.
    """
    starts = [int(place) for place in told["text_offset"]]
    own = [place for place, start in enumerate(starts) if begin <= start < begin + len(word)]
    if not own or word[: starts[own[0]] - begin].strip():
        raise ValueError("no token begins there")
    return float(sum(float(told["token_logprobs"][place]) for place in own))


def _likeliest(answer: Any) -> dict[str, float]:
    """Return the likeliest first tokens with their log-probabilities.

    They come by token, as vLLM answers a completion, or as a list of tokens, as the server of llama.cpp does.
    """
    told = _choice(answer)["logprobs"]
    if told.get("content"):
        found = {str(each["token"]): float(each["logprob"]) for each in told["content"][0]["top_logprobs"]}
    else:
        found = {str(token): float(value) for token, value in told["top_logprobs"][0].items()}
    if not found:
        raise ValueError("no token is there")
    return found


def _choice(answer: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = answer["choices"][0]
    return found
