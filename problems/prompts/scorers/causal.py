"""A causal language model: the prompt before the input is read once, and every example goes on from there."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from emoprune.problems.prompts.scorers.batching import batches
from emoprune.problems.prompts.scorers.contract import Choices, Filled, FloatArray, TokenScores
from emoprune.problems.prompts.scorers.reading import LocalModel
from emoprune.space import IntArray

__all__ = ["CausalScorer"]

TRIED = 3  # examples that sharing is tried on before it is relied upon


class CausalScorer:
    """Asks a causal language model what comes next.

    Args:
        local: The model.
        most_tokens: Of a batch.
        sharing: Whether what all examples of a prompt begin with is read once; a model whose cache cannot do that reads
            each example from its beginning.
    """

    def __init__(self, local: LocalModel, most_tokens: int = 4096, *, sharing: bool = True) -> None:
        self.local = local
        self.most_tokens = most_tokens
        self.sharing = sharing and local.cache_argument is not None

    def prompted(self, filled: Filled, choices: Choices) -> CausalPrompted:
        """Take in a filled prompt."""
        return CausalPrompted(self, self.local.ids(filled.texts()), choices)

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
    def agrees_with_plain(self, filled: Filled, choices: Choices) -> bool:
        """Whether what this scorer says of the first examples is what the model says of their texts in one batch."""
        if not len(choices):
            return True  # whoever continues a text goes through the model's own generation
        texts = filled.texts()[:TRIED]
        found = CausalPrompted(self, self.local.ids(texts), choices).choices(np.arange(len(texts)))
        expected = self.plain(texts)[:, list(choices.tokens)]
        size = float(np.abs(expected).max())
        rounding = 1e-3 if self.local.model.dtype == torch.float32 else 5e-2
        return bool(np.allclose(found - found.mean(), expected - expected.mean(), atol=rounding * max(1.0, size)))

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

    def fingerprint(self) -> str:
        """Return a digest of weights, config and tokenizer."""
        return self.local.loaded.digest()


class CausalPrompted:
    """A prompt about some examples, as tokens."""

    def __init__(self, scorer: CausalScorer, ids: Sequence[Sequence[int]], choices: Choices) -> None:
        self._local = scorer.local
        self._most = scorer.most_tokens
        self._ids = ids
        self._choices = choices
        self._shared = _shared(ids) if scorer.sharing else 0
        self._cache: Any = None

    @property
    def refusal(self) -> str | None:
        """Say if the longest example does not fit into the model's context."""
        longest = max(map(len, self._ids))
        if longest <= self._local.limit:
            return None
        return f"the longest example makes {longest} tokens of the prompt, the model reads {self._local.limit}"

    @torch.inference_mode()
    def choices(self, rows: IntArray) -> FloatArray:
        """Return log-probabilities of the choices after some examples."""
        tokens = self._choices.tokens
        found = np.empty((len(rows), len(tokens)))
        own = [self._ids[row][self._shared :] for row in rows.tolist()]
        lengths = np.array([len(each) for each in own], dtype=np.int64)
        with self._local.projecting(tokens) as model:
            for group in batches(lengths, self._most):
                # Padding stands behind each text, where no token of it looks.
                padded = self._padded([own[place] for place in group])
                logits = model(input_ids=padded, **self._past(len(group))).logits
                last = logits[torch.arange(len(group)), torch.from_numpy(lengths[group] - 1)]
                found[group] = self._local.chosen(last, tokens).double().cpu().numpy()
        return found

    def _padded(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        longest, filler = max(map(len, ids)), self._local.padding
        padded = [[*each, *[filler] * (longest - len(each))] for each in ids]
        return torch.tensor(padded, device=self._local.device)

    def _past(self, count: int) -> dict[str, Any]:
        """Return the cache of what all examples begin with, for `count` of them; nothing if they share nothing."""
        if not self._shared or self._local.cache_argument is None:
            return {}
        if self._cache is None:
            beginning = torch.tensor([list(self._ids[0][: self._shared])], device=self._local.device)
            self._cache = self._read(beginning)
        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(count)
        return {self._local.cache_argument: cache, "use_cache": True}

    def _read(self, ids: torch.Tensor) -> Any:
        from transformers import DynamicCache

        cache = DynamicCache(config=self._local.model.config)
        self._local.model.base_model(input_ids=ids, use_cache=True, **{str(self._local.cache_argument): cache})
        return cache

    @torch.inference_mode()
    def continuations(self, rows: IntArray, limit: int, stop: str) -> list[str]:
        """Return the likeliest continuation of some examples, token by token."""
        found = [""] * len(rows)
        own = [self._ids[row][self._shared :] for row in rows.tolist()]
        lengths = np.array([len(each) + limit for each in own], dtype=np.int64)
        with self._local.projecting(None) as model:
            for group in batches(lengths, self._most):
                texts = self._continued(model, [own[place] for place in group], limit, stop)
                for place, text in zip(group.tolist(), texts, strict=True):
                    found[place] = text
        return found

    def _continued(self, model: Any, ids: Sequence[Sequence[int]], limit: int, stop: str) -> list[str]:
        """Go on greedily from texts of different lengths: padding stands between what is shared and each, masked."""
        from transformers import GenerationConfig

        local, longest = self._local, max(map(len, ids))
        shared = list(self._ids[0][: self._shared])
        pads = [longest - len(each) for each in ids]
        rows = [[*shared, *[local.padding] * pad, *each] for pad, each in zip(pads, ids, strict=True)]
        seen = [[*[1] * len(shared), *[0] * pad, *[1] * len(each)] for pad, each in zip(pads, ids, strict=True)]
        greedy = GenerationConfig(
            do_sample=False,
            max_new_tokens=limit,
            pad_token_id=local.padding,
            eos_token_id=local.tokenizer.eos_token_id,
            bos_token_id=local.tokenizer.bos_token_id,
        )
        before = len(shared) + longest

        def said(rows: torch.Tensor) -> list[str]:
            found: list[str] = local.tokenizer.batch_decode(rows[:, before:], skip_special_tokens=True)
            return found

        def ended(rows: torch.Tensor, _scores: object, **_: object) -> torch.Tensor:
            return torch.tensor([bool(stop) and stop in text for text in said(rows)], device=rows.device)

        made = model.generate(
            torch.tensor(rows, device=local.device),
            attention_mask=torch.tensor(seen, device=local.device),
            generation_config=greedy,
            stopping_criteria=[ended],
            **self._past(len(ids)),
        )
        return [text.partition(stop)[0] if stop else text for text in said(made)]


def _shared(ids: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all texts begin with, at least one of each left over."""
    first, shared = ids[0], 0
    most = min(map(len, ids)) - 1
    while shared < most and all(each[shared] == first[shared] for each in ids):
        shared += 1
    return shared
