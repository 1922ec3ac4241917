"""A masked language model: every example is read whole, and the mask is filled in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError
from emoprune.problems.prompts.scorers.batching import batches
from emoprune.problems.prompts.scorers.contract import Choices, Filled, TokenScores
from emoprune.problems.prompts.scorers.likelihoods import MOST_NUMBERS
from emoprune.problems.prompts.scorers.reading import LocalModel, too_long
from emoprune.space import IntArray

__all__ = ["MaskedScorer"]


class MaskedScorer:
    """Asks a masked language model what stands in place of its mask.

    Args:
        local: The model.
        most_tokens: Of a batch.
    """

    def __init__(self, local: LocalModel, most_tokens: int = 4096) -> None:
        self.local = local
        self.most_tokens = most_tokens

    def prompted(self, filled: Filled, choices: Choices) -> MaskedPrompted:
        """Take in a filled prompt."""
        texts = filled.texts(self.local.tokenizer.mask_token)
        return MaskedPrompted(self, self.local.ids(texts), choices)

    @torch.inference_mode()
    def token_scores(self, text: str) -> TokenScores:
        """Say how surprising each token of a text is between all others, by masking one at a time."""
        tokenizer = self.local.tokenizer
        encoded = tokenizer(text, return_offsets_mapping=True)
        ids = torch.tensor(encoded["input_ids"], device=self.local.device)
        spans = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        own = np.flatnonzero(spans[:, 1] > spans[:, 0])
        surprisal = np.empty(len(own))
        with self.local.projecting(None) as model:
            for number, place in enumerate(own.tolist()):
                hidden = ids.clone()
                hidden[place] = tokenizer.mask_token_id
                logits = model(input_ids=hidden[None]).logits[0, place].float()
                surprisal[number] = -float(logits.log_softmax(dim=-1)[ids[place]])
        return TokenScores(spans[own], surprisal)

    def fingerprint(self) -> str:
        """Return a digest of weights, config and tokenizer."""
        return self.local.loaded.digest()


class MaskedPrompted:
    """A prompt about some examples, as tokens with a mask each."""

    def __init__(self, scorer: MaskedScorer, ids: Sequence[Sequence[int]], choices: Choices) -> None:
        self._local = scorer.local
        self._most = scorer.most_tokens
        self._ids = ids
        self._choices = choices

    def refusal(self, answer_tokens: int) -> str | None:  # noqa: ARG002  # the answer stands where the mask does
        """Say if an example does not fit into the model's context, or brings a mask of its own."""
        refusal = too_long(self._ids, self._local.limit)
        if refusal is not None:
            return refusal
        mask = self._local.tokenizer.mask_token_id
        wrong = next((each.count(mask) for each in map(list, self._ids) if each.count(mask) != 1), 1)
        return None if wrong == 1 else f"expected one mask in the filled prompt, found {wrong}"

    def choices(self, rows: IntArray) -> FloatArray:
        """Return log-probabilities of the choices in place of the mask, for some examples."""
        if not self._choices.bare:
            return self._choices.scores(self.likelihoods(rows))
        return self._choices.scores(self._logits(rows, self._choices.first))

    def likelihoods(self, rows: IntArray) -> FloatArray:
        """Return the log-likelihood of each word in place of the mask, for some examples."""
        logits = self._logits(rows, None)
        return np.asarray((logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))[:, list(self._choices.first)])

    @torch.inference_mode()
    def _logits(self, rows: IntArray, tokens: tuple[int, ...] | None) -> FloatArray:
        """Return the logits of some tokens, or of all, in place of the mask."""
        mask = self._local.tokenizer.mask_token_id
        own = [list(self._ids[row]) for row in rows.tolist()]
        lengths = np.array([len(each) for each in own], dtype=np.int64)
        found: list[FloatArray | None] = [None] * len(rows)
        most = self._most
        if tokens is None:  # every place of a text has a logit for each of the vocabulary then
            most = min(most, MOST_NUMBERS // int(self._local.model.get_input_embeddings().num_embeddings))
        with self._local.projecting(tokens) as model:
            for group in batches(lengths, most):
                ids = [own[place] for place in group]
                longest = max(map(len, ids))
                padded = [[*each, *[self._local.padding] * (longest - len(each))] for each in ids]
                seen = [[*[1] * len(each), *[0] * (longest - len(each))] for each in ids]
                logits = model(
                    input_ids=torch.tensor(padded, device=self._local.device),
                    attention_mask=torch.tensor(seen, device=self._local.device),
                ).logits
                places = torch.tensor([each.index(mask) for each in ids])
                filled_in = logits[torch.arange(len(ids)), places]
                shown = filled_in if tokens is None else self._local.chosen(filled_in, tokens)
                for place, own_logits in zip(group.tolist(), shown.double().cpu().numpy(), strict=True):
                    found[place] = own_logits
        return np.array(found, dtype=np.float64)

    def used(self, rows: IntArray) -> FloatArray:
        """Return how many tokens each example's prompt has, and one for what is filled in."""
        return np.array([[len(self._ids[row]), 1] for row in rows.tolist()], dtype=float)

    def continuations(self, rows: IntArray, limit: int, stop: str) -> list[str]:  # noqa: ARG002  # the contract's
        """Refuse: a masked language model fills in one token and does not go on.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "task: generation needs a causal language model, found a masked one; leave {mask_token} out of the prompt"
        )
