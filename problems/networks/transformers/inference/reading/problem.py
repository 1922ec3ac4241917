"""What problems on a language model that has read something share: texts, records, measures, and what is written."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

from emoprune.contracts import Description, Inspection
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.language.loading import LoadedModel, config_of, language_model, tokenizer_of
from emoprune.problems.networks.transformers.inference.data.texts import Continued, check_fits, digest_of, texts_of
from emoprune.problems.networks.transformers.inference.measures import SeenInference
from emoprune.problems.networks.transformers.inference.problem import InferenceProblem
from emoprune.problems.networks.transformers.inference.reading.contract import Importance
from emoprune.problems.networks.transformers.inference.reading.export import Counted, write_policy
from emoprune.problems.networks.transformers.inference.reading.options import ReadingOptions
from emoprune.problems.networks.transformers.inference.reading.records import bytes_of, recorded, restored
from emoprune.problems.networks.transformers.inference.standalone.evicting import (
    EvictingCache,
    Policy,
    cache_argument,
    reaches_of,
    use,
)
from emoprune.problems.networks.transformers.inference.standalone.importance import Recent
from emoprune.problems.storage.arrays import kept_arrays
from emoprune.records import Split
from emoprune.space import IntArray, Space

__all__ = ["ReadingProblem"]

USUAL_QUALITY = "loss"
RECORDS = "records"
TRIED = 12  # tokens on which the attention is held against the model's own
EXACT = 1e-5  # of the largest logit: what rounding changes


class _Layout(Protocol):
    @property
    def layers(self) -> int: ...

    @property
    def space(self) -> Space: ...

    def policy(self, genome: IntArray) -> Policy: ...

    def importance(self, genome: IntArray) -> str: ...

    def canonical(self, genomes: IntArray) -> IntArray: ...


class ReadingProblem(InferenceProblem):
    """A problem whose genomes say what a language model leaves out of what it has read, while it goes on.

    Args:
        options: Model, texts and measures.
        importances: What can say how important a key is, by name.
        cost: The objective beside the loss unless objectives are named.
    """

    def __init__(self, options: ReadingOptions, importances: Mapping[str, Importance], cost: str) -> None:
        own = self._own = options
        self._importances = importances
        self._config = config_of(own.model)
        _check_kind(self._config, own.model)
        check_fits(self._config, own.wanted)
        text = self._config.get_text_config(decoder=True)
        self._parts = texts_of(tokenizer_of(own.model), own.data, own.wanted)
        rows = sum(len(batch.read) for batches in self._parts.values() for batch in batches)
        own.check_room(
            bytes_of(text, rows * own.context, len(importances), own.records), "context, search, select or test"
        )
        self._layout: _Layout = self.made_layout(int(text.num_hidden_layers))
        self._per_key = bytes_of(text, 1, 0, "float32") / int(text.num_hidden_layers)
        self._groups = int(text.num_attention_heads) / int(
            getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        )
        super().__init__(own, self._layout.space, self._unpruned(), (USUAL_QUALITY, cost))
        if "missed" in self._measures.needed and not own.pass_keys + own.key_values:
            raise ConfigError("objectives: missed is of questions; expected pass_keys or key_values above 0")
        self._folder: Path | None = None
        self._loaded: LoadedModel | None = None
        self._held: dict[Split, list[dict[str, torch.Tensor]]] = {}

    @abstractmethod
    def made_layout(self, layers: int) -> _Layout:
        """Return what genomes of a model with so many layers mean."""

    def _unpruned(self) -> dict[str, float]:
        """Return what the whole model uses on the search part: each token sees all within reach, and itself."""
        seen, rows = [], []
        for batch in self._parts["search"]:
            before = batch.read.shape[1] + np.arange(1, batch.following.shape[1])
            reaches = [before if reach is None else np.minimum(before, reach) for reach in reaches_of(self._config)]
            seen.append(np.mean(reaches))
            rows.append(len(batch.read))
        keys = float(np.average(seen, weights=rows))
        held = keys * self._layout.layers * self._per_key
        return {"keys": keys, "keys-scored": keys, "cache-bytes": held, "read-bytes": held * self._groups}

    def record(self, folder: Path, seed: int) -> None:  # noqa: ARG002  # nothing is drawn
        """Read all texts once with the whole model."""
        self._folder = folder / RECORDS
        self._folder.mkdir(parents=True, exist_ok=True)
        for split in Split:
            for number, batch in enumerate(self._parts[split.value]):
                kept_arrays(
                    self._place(split, number),
                    lambda batch=batch: recorded(self.model, batch.read, self._importances, self._own.records),  # type: ignore[misc]  # mypy infers no lambda with a default
                )

    def _place(self, split: Split, number: int) -> Path:
        if self._folder is None:
            raise ContractError("nothing is recorded yet; call prepare(folder, seed) first")
        return self._folder / f"{split.value}-{number}.safetensors"

    @property
    def model(self) -> Any:
        """The model, which attends as policies want it; loaded when it is asked for."""
        return self._opened.model

    @property
    def _opened(self) -> LoadedModel:
        if self._loaded is None:
            self._loaded = language_model(self._own.model)
            _check_attends(self._loaded.model)
        return self._loaded

    def load(self, device: str) -> None:
        """Load the model to `device`."""
        self.model.to(device)
        self._held = {}

    def _records(self, split: Split) -> list[dict[str, torch.Tensor]]:
        if split not in self._held:
            device = str(self.model.device)
            places = [self._place(split, number) for number in range(len(self._parts[split.value]))]
            self._held[split] = [load_file(place, device=device) for place in places]
        return self._held[split]

    def seen(self, genome: IntArray, split: Split) -> SeenInference:
        """Run what follows each text with what a genome leaves of what was read."""
        return self._together([own for _, own in self._followed(genome, split)], split)

    def _followed(self, genome: IntArray, split: Split) -> list[tuple[torch.Tensor, Counted]]:
        policy, name = self._layout.policy(genome), self._layout.importance(genome)
        found = []
        for batch, record in zip(self._parts[split.value], self._records(split), strict=True):
            cache = restored(record, policy, name, self.model)
            ids = batch.following[:, :-1].to(self.model.device)
            logits = self.model(input_ids=ids, use_cache=True, **{cache_argument(self.model): cache}).logits
            found.append((logits, _counted(logits, batch, cache)))
        return found

    def _together(self, counted: list[Counted], split: Split) -> SeenInference:
        """Return what measures see; a question counts as right if all of its answer is what the model would write."""
        batches = self._parts[split.value]
        losses = [own.losses for own, batch in zip(counted, batches, strict=True) if not batch.question]
        right = [own.right.all(axis=1) for own, batch in zip(counted, batches, strict=True) if batch.question]
        used = np.concatenate([own.used for own in counted])  # (rows, layers)
        read = np.concatenate([own.read for own in counted])  # (rows,)
        counts = {
            "keys": float(used.mean()),
            "keys-scored": float(np.concatenate([own.scored for own in counted]).mean()),
            "cache-bytes": float(used.sum(axis=1).mean() * self._per_key),
            "read-bytes": float(read.mean()),
        }
        answers = np.concatenate(right) if right else np.zeros(0, dtype=np.bool_)
        return SeenInference(counts, losses=np.concatenate([each.ravel() for each in losses]), right=answers)

    def try_unpruned(self, folder: Path, seed: int) -> None:
        """Refuse questions that the whole model answers none of, unless the options accept it; `folder` keeps records.

        Raises:
            ConfigError: It says what is likely wrong.
        """
        if "missed" not in self._measures.needed or self._own.accept_guessing:
            return
        self.record(folder, seed)
        with torch.inference_mode():
            right = self.seen(self.space.full, Split.SEARCH).right
        if not right.any():
            raise ConfigError(
                f"model: {self._own.model!r} answers none of the {len(right)} questions with all of its cache, so that "
                "nothing can be lost; take a larger model, a smaller context, or set accept_guessing"
            )

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return for each genome the one that stands for its policy."""
        return self._layout.canonical(genomes)

    def inspect(self) -> Inspection:
        """Return the layers, what they hold, and the texts of each part."""
        layout, unpruned = self._layout, self._unpruned()
        summary: dict[str, str | int | float | bool] = {
            "layers": layout.layers,
            "tokens that are read": self._own.context,
            "bytes of a key and its value in a layer": self._per_key,
            "bytes of the whole cache": unpruned["cache-bytes"],
            "genomes": f"{float(self.space.size):.3g}",
        }
        parts: list[dict[str, str | int | float | None]] = [
            {
                "part": name,
                "texts": sum(len(batch.read) for batch in batches if not batch.question),
                "questions": sum(len(batch.read) for batch in batches if batch.question),
            }
            for name, batches in self._parts.items()
        ]
        return Inspection(summary, {"texts": parts})

    def write(self, genome: IntArray, folder: Path, *, verify: bool) -> Description:
        """Write the policy, and what applies it to a model of transformers."""
        policy = self._layout.policy(genome)
        with torch.inference_mode():
            logits, counted = self._followed(genome, Split.TEST)[0]
        expected = (self._parts["test"][0], logits, counted) if verify else None
        told = {
            "model": self._own.model,
            "context": self._own.context,
            **self.describe(genome),
            "test": self.values(genome, Split.TEST),
        }
        return write_policy(self._own.model, policy, folder, told=told, expected=expected, numbers=self._own.records)

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        return hashlib.sha256(f"{self._opened.digest()} {digest_of(self._parts)}".encode()).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_loaded": None, "_held": {}}


def _counted(logits: torch.Tensor, batch: Continued, cache: Any) -> Counted:
    """Return nats of each token that follows, whether it is what the model would write, and what the cache counted."""
    targets = batch.following[:, 1:].to(logits.device)
    losses = functional.cross_entropy(logits.float().transpose(1, 2), targets, reduction="none")
    right = logits.argmax(dim=2) == targets
    used, scored, read = (own.double().cpu().numpy() for own in (cache.used(), cache.scored(), cache.read()))
    return Counted(losses.double().cpu().numpy(), right.cpu().numpy(), used, scored, read)


def _check_kind(config: Any, name: str) -> None:
    """Refuse models that write nothing, or whose layers have other things than keys and values."""
    own = config.get_text_config(decoder=True)
    classes = list(getattr(config, "architectures", None) or ["CausalLM"])
    unknown = set(getattr(own, "layer_types", None) or []) - {"full_attention", "sliding_attention"}
    writes = any(word in each for each in classes for word in ("CausalLM", "LMHead"))
    if not writes or unknown or getattr(own, "num_attention_heads", None) is None:
        told = ", ".join(sorted(unknown)) if unknown else ", ".join(classes)
        raise ConfigError(
            f"model: {name!r} is made of {told}; expected a language model whose layers attend to all tokens, or to "
            "the last ones, such as smollm2"
        )


def _check_attends(model: Any) -> None:
    """Let the model attend as policies want it; refuse one that attends by code of its own, or otherwise then."""
    if not getattr(model, "_supports_attention_backend", False):
        raise ConfigError(
            f"model: {type(model).__name__} attends by code of its own, not by transformers' attention interface, so "
            "that no keys can be left out; take a model of a family that does, such as Llama, Qwen, Mistral or Gemma"
        )
    ids = torch.arange(TRIED)[None] % int(model.get_input_embeddings().num_embeddings)
    with torch.inference_mode():
        model.set_attn_implementation("eager")  # what the model's own code computes
        before = model(input_ids=ids).logits
        use(model)
        layers = model.config.get_text_config(decoder=True).num_hidden_layers
        cache = EvictingCache(Policy((1.0,) * layers, 0, 1, 0.0, Recent()), model.config)
        apart = float(
            (model(input_ids=ids, use_cache=True, **{cache_argument(model): cache}).logits - before).abs().max()
        )
    if any(layer.seen != TRIED for layer in cache.layers):
        raise ConfigError(
            f"model: {type(model).__name__} hands its attention other keys than its cache holds, so that none can be "
            "left out; take a model of another family"
        )
    allowed = EXACT * max(1.0, float(before.abs().max()))
    if not apart <= allowed:
        raise ConfigError(
            f"model: {type(model).__name__} computes more in its attention than keys, values and a mask: logits differ "
            f"by {apart:.3g}, expected at most {allowed:.3g}; take a model of another family"
        )
