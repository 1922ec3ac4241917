"""A prompt about some examples, as tokens that a causal language model goes on from."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from emoprune.contracts import FloatArray
from emoprune.problems.prompts.scorers.batching import batches
from emoprune.problems.prompts.scorers.contract import Choices
from emoprune.problems.prompts.scorers.likelihoods import Reading, alike, readings
from emoprune.problems.prompts.scorers.packing import Packed, packed_attention
from emoprune.problems.prompts.scorers.reading import CannotRead, LocalModel, too_long
from emoprune.space import IntArray

__all__ = ["CausalPrompted"]


class CausalPrompted:
    """A prompt about some examples, as tokens.

    Args:
        local: The model.
        ids: The tokens of the prompt about each example.
        choices: What is chosen from.
        most_tokens: Of a batch.
        sharing: Whether what all examples begin with is read once.
        packing: Whether examples stand in one row without padding.
    """

    def __init__(
        self,
        local: LocalModel,
        ids: Sequence[Sequence[int]],
        choices: Choices,
        most_tokens: int,
        *,
        sharing: bool,
        packing: bool,
    ) -> None:
        self._local = local
        self._most = most_tokens
        self._ids = ids
        self._choices = choices
        self._shared = _shared(ids) if sharing else 0
        self._packing = packing
        self._cache: Any = None
        self._written: dict[int, int] = {}  # tokens of the answers that were written, by example

    def refusal(self, answer_tokens: int) -> str | None:
        """Say if the longest example does not fit into the model's context, with room for its answer."""
        return too_long(self._ids, self._local.limit, answer_tokens)

    @torch.inference_mode()
    def choices(self, rows: IntArray) -> FloatArray:
        """Return log-probabilities of the choices after some examples."""
        if not self._choices.bare:
            return self._choices.scores(self.likelihoods(rows))
        tokens = self._choices.first
        found = np.empty((len(rows), len(tokens)))
        own = [self._ids[row][self._shared :] for row in rows.tolist()]
        lengths = np.array([len(each) for each in own], dtype=np.int64)
        groups = _in_turn(lengths, self._most) if self._packing else batches(lengths, self._most)
        with self._local.projecting(tokens) as model:
            for group in groups:
                logits = (self._packed if self._packing else self._batched)(model, [own[place] for place in group])
                found[group] = self._local.chosen(logits, tokens).double().cpu().numpy()
        return self._choices.scores(found)

    @torch.inference_mode()
    def likelihoods(self, rows: IntArray) -> FloatArray:
        """Return the log-likelihood of each word after some examples; words that begin alike are read together."""
        read = readings([self._ids[row][self._shared :] for row in rows.tolist()], self._choices.tokens)
        lengths = np.array([len(each.ids) for each in read], dtype=np.int64)
        last, found = self._choices.longest, np.empty((len(rows), len(self._choices.words)))
        with self._local.projecting(None) as model:
            for group in alike(lengths, self._most, last * int(model.get_input_embeddings().num_embeddings)):
                together = [read[number] for number in group.tolist()]
                for each, known in zip(together, self._at_the_ends(model, together, last), strict=True):
                    each.tell(found[each.row], known, self._choices.tokens)
        return found

    def _at_the_ends(self, model: Any, read: Sequence[Reading], last: int) -> FloatArray:
        """Return log-probabilities of all tokens after the last of each text, shape (texts, last, vocabulary)."""
        ids = [each.ids for each in read]
        places = np.array([[max(0, len(each) - last + step) for step in range(last)] for each in ids])
        ends, end = np.unique(places, return_inverse=True)
        logits = self._logits_at(model, ends, input_ids=self._padded(ids), **self._past(len(ids)))
        own = logits[torch.arange(len(ids))[:, None], torch.from_numpy(end.reshape(places.shape))]
        found: FloatArray = own.double().log_softmax(dim=-1).cpu().numpy()
        return found

    def _batched(self, model: Any, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the logits after each text; padding stands behind it, where no token of it looks."""
        ends, end = np.unique([len(each) - 1 for each in ids], return_inverse=True)
        logits = self._logits_at(model, ends, input_ids=self._padded(ids), **self._past(len(ids)))
        return logits[torch.arange(len(ids)), torch.from_numpy(end)]

    def _packed(self, model: Any, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the logits after each text, all of them read in one row."""
        device, lengths = self._local.device, np.array([len(each) for each in ids], dtype=np.int64)
        cache = self._beginning if self._shared else None
        packed = Packed.of(lengths, self._most, self._shared, cache, device)
        row = torch.tensor([[token for each in ids for token in each]], device=device)
        positions = [self._shared + place for length in lengths.tolist() for place in range(length)]
        with packed_attention(model):
            asked = {"input_ids": row, "position_ids": torch.tensor([positions], device=device), "packed": packed}
            return self._logits_at(model, lengths.cumsum() - 1, **asked, use_cache=False)[0]

    def _logits_at(self, model: Any, places: IntArray, **asked: Any) -> torch.Tensor:
        """Return logits at some places of every row; where the model can, nothing is projected at the others."""
        at = torch.from_numpy(places).to(self._local.device)
        if "logits_to_keep" in inspect.signature(model.forward).parameters:
            kept: torch.Tensor = model(**asked, logits_to_keep=at).logits
            return kept
        everywhere: torch.Tensor = model(**asked).logits
        return everywhere[:, at]

    def _padded(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        longest, filler = max(map(len, ids)), self._local.padding
        padded = [[*each, *[filler] * (longest - len(each))] for each in ids]
        return torch.tensor(padded, device=self._local.device)

    def _past(self, count: int) -> dict[str, Any]:
        """Return the cache of what all examples begin with, for `count` of them; nothing if they share nothing.

        Raises:
            CannotRead: The model's cache cannot be repeated.
        """
        if not self._shared or self._local.cache_argument is None:
            return {}
        strange = next(
            (layer for layer in self._beginning.layers if not hasattr(layer, "batch_repeat_interleave")), None
        )
        if strange is not None:
            raise CannotRead(f"expected a cache that can be repeated, found {type(strange).__name__}")
        cache = copy.deepcopy(self._beginning)
        cache.batch_repeat_interleave(count)
        return {self._local.cache_argument: cache, "use_cache": True}

    @property
    def _beginning(self) -> Any:
        """The cache of what all examples begin with, read when it is first needed."""
        from transformers import DynamicCache

        if self._cache is None:
            ids = torch.tensor([list(self._ids[0][: self._shared])], device=self._local.device)
            self._cache = DynamicCache(config=self._local.model.config)
            arguments = {str(self._local.cache_argument): self._cache}
            self._local.model.base_model(input_ids=ids, use_cache=True, **arguments)
        return self._cache

    def used(self, rows: IntArray) -> FloatArray:
        """Return how many tokens each example's prompt and its answer have."""
        written = [self._written.get(row, self._choices.longest) for row in rows.tolist()]
        return np.array(
            [[len(self._ids[row]), own] for row, own in zip(rows.tolist(), written, strict=True)], dtype=float
        )

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
                    self._written[int(rows[place])] = len(
                        self._local.tokenizer(text, add_special_tokens=False).input_ids
                    )
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
            use_cache=True,
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

        past = self._past(len(ids))
        past.pop("use_cache", None)  # the config says it
        made = model.generate(
            torch.tensor(rows, device=local.device),
            attention_mask=torch.tensor(seen, device=local.device),
            generation_config=greedy,
            stopping_criteria=[ended],
            **past,
        )
        return [text.partition(stop)[0] if stop else text for text in said(made)]


def _in_turn(lengths: IntArray, most_tokens: int) -> Iterator[IntArray]:
    """Yield places in `lengths` in their order, as many at a time as have so many tokens, one at least."""
    begin, total = 0, 0
    for place, length in enumerate(lengths.tolist()):
        if place > begin and total + length > most_tokens:
            yield np.arange(begin, place)
            begin, total = place, 0
        total += length
    yield np.arange(begin, len(lengths))


def _shared(ids: Sequence[Sequence[int]]) -> int:
    """Return how many tokens all texts begin with, at least one of each left over."""
    first, shared = ids[0], 0
    most = min(map(len, ids)) - 1
    while shared < most and all(each[shared] == first[shared] for each in ids):
        shared += 1
    return shared
