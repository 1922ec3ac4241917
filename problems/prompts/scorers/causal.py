"""A causal language model: the prompt before the input is read once, and every example goes on from there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from emoprune.contracts import FloatArray
from emoprune.problems.prompts.scorers.continuing import CausalPrompted
from emoprune.problems.prompts.scorers.contract import Choices, Filled, TokenScores
from emoprune.problems.prompts.scorers.reading import CannotRead, LocalModel

__all__ = ["CausalScorer"]

TRIED = 3  # examples, and tokens written after them, that sharing is tried on before it is relied upon


class CausalScorer:
    """Asks a causal language model what comes next.

    Args:
        local: The model.
        most_tokens: Of a batch.
        sharing: Whether what all examples of a prompt begin with is read once; a model whose cache cannot do that reads
            each example from its beginning.
        packing: Whether examples stand in one row without padding; a model that attends in a way of its own, or has a
            state, reads padded ones.
    """

    def __init__(
        self, local: LocalModel, most_tokens: int = 4096, *, sharing: bool = True, packing: bool = False
    ) -> None:
        self.local = local
        self.most_tokens = most_tokens
        self.sharing = sharing and local.cache_argument is not None
        self.packing = packing

    def prompted(self, filled: Filled, choices: Choices) -> CausalPrompted:
        """Take in a filled prompt."""
        return self._prompted(filled.texts(), choices)

    def _prompted(self, texts: Sequence[str], choices: Choices) -> CausalPrompted:
        ids, how = self.local.ids(texts), {"sharing": self.sharing, "packing": self.packing}
        return CausalPrompted(self.local, ids, choices, self.most_tokens, **how)

    @torch.inference_mode()
    def token_scores(self, text: str) -> TokenScores:
        """Say how surprising each token of a text is after those before it; the first has nothing before it."""
        tokenizer = self.local.tokenizer
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        beginning = [token for token in (tokenizer.bos_token_id, tokenizer.eos_token_id) if token is not None][:1]
        ids = torch.tensor([[*beginning, *encoded["input_ids"]]], device=self.local.device)
        with self.local.projecting(None) as model:
            logits = model(input_ids=ids).logits[0].float()
        log_probabilities = logits[:-1].log_softmax(dim=-1)
        surprisal = -log_probabilities.gather(1, ids[0, 1:, None])[:, 0]
        if not beginning:
            surprisal = torch.cat([surprisal.new_full((1,), float("inf")), surprisal])
        spans = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        return TokenScores(spans, surprisal.double().cpu().numpy())

    @torch.inference_mode()
    def agrees_with_plain(self, filled: Filled, choices: Choices, answer_tokens: int = TRIED) -> bool:
        """Whether what this scorer says of the first examples is what the model says of their texts in one batch.

        An answer that is written freely is compared as far as it fits into `answer_tokens`.
        """
        texts, plain = filled.texts()[:TRIED], CausalScorer(self.local, sharing=False)
        try:
            if not len(choices):
                limit = min(TRIED, answer_tokens)
                return self._said(texts, limit) == plain._said(texts, limit)
            found = self._prompted(texts, choices).choices(np.arange(len(texts)))
        except CannotRead:
            return False
        expected = self.worth(texts, choices)
        size = float(np.abs(expected).max())
        rounding = 1e-3 if self.local.model.dtype == torch.float32 else 5e-2
        return bool(np.allclose(found - found.mean(), expected - expected.mean(), atol=rounding * max(1.0, size)))

    def _said(self, texts: Sequence[str], limit: int) -> list[str]:
        return self._prompted(texts, Choices.none()).continuations(np.arange(len(texts)), limit, "")

    @torch.inference_mode()
    def plain(self, texts: Sequence[str]) -> FloatArray:
        """Return the logits after each text as anybody would get them: one padded batch, all of the vocabulary."""
        ids = self.local.ids(texts)
        longest, filler = max(map(len, ids)), self.local.padding
        padded = torch.tensor([[*[filler] * (longest - len(each)), *each] for each in ids], device=self.local.device)
        seen = torch.tensor([[*[0] * (longest - len(each)), *[1] * len(each)] for each in ids], device=padded.device)
        positions = (seen.cumsum(dim=1) - 1).clamp(min=0)
        logits = self.local.model(input_ids=padded, attention_mask=seen, position_ids=positions).logits[:, -1]
        found: FloatArray = logits.double().cpu().numpy()
        return found

    def worth(self, texts: Sequence[str], choices: Choices) -> FloatArray:
        """Return what each answer is worth after the texts, read as anybody would, shape (texts, answers)."""
        if not choices.bare:
            plain = CausalScorer(self.local, sharing=False)
            return plain._prompted(texts, choices).choices(np.arange(len(texts)))
        return choices.scores(self.plain(texts)[:, list(choices.first)])

    def fingerprint(self) -> str:
        """Return a digest of weights, config and tokenizer."""
        return self.local.loaded.digest()
