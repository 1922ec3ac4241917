"""What can be said of a search over the tokens of an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.inference.measures import TOKENS
from emoprune.problems.networks.transformers.tasks.options import Purpose, TransformerOptions

__all__ = ["TokenOptions"]

TASKS = ("image-classification", "text-classification")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOptions(TransformerOptions):
    """A classifier of images or sentences, and which of their tokens are dropped between layers.

    Args:
        model: mnist-vit, a small vision transformer that is trained once; minilm, a Hugging Face folder, or
            owner/model on a hub.
        task: image-classification or text-classification.
        layers: Before which layers tokens may be dropped, counted from 0; every one but the first unless said.
        shares: Which shares of the tokens may stay, rising, beside all of them.
        selectors: What says which tokens stay, of which a gene chooses one: methods by name (`emoprune list
            selectors`), or mappings of a name and options.
        record_megabytes: How much memory each worker may use for what candidates share.

    Raises:
        ConfigError: A number makes no sense; it says which.
    """

    problem: ClassVar[str] = TOKENS

    model: str = "mnist-vit"
    task: Purpose = "image-classification"
    data: str | Mapping[str, str] = "mnist-5k"
    layers: Sequence[int] | None = None
    shares: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
    selectors: Sequence[str | Mapping[str, Any]] = ("attention", "saliency-diversity", "coverage", "cls-knee")
    references: Sequence[str | Mapping[str, Any]] = ("uniform", "random")
    record_megabytes: int = 1024

    def __post_init__(self) -> None:
        TransformerOptions.__post_init__(self)
        if self.task not in TASKS:
            raise ConfigError(f"task: expected {' or '.join(TASKS)}, found {self.task!r}")
        if not self.shares or any(not 0 < own < 1 for own in self.shares) or sorted(set(self.shares)) != [*self.shares]:
            raise ConfigError(f"shares: expected rising shares between 0 and 1, found {list(self.shares)}")
        if not self.selectors:
            raise ConfigError("selectors: expected one or more, found none")
        if self.record_megabytes < 1:
            raise ConfigError(f"record_megabytes: expected 1 or more, found {self.record_megabytes}")
