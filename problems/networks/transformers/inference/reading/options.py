"""Texts that a language model reads, and goes on with."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.inference.data.texts import Wanted
from emoprune.problems.networks.transformers.inference.options import InferenceOptions

__all__ = ["ReadingOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions(InferenceOptions):
    """Model, texts and measures.

    Args:
        data: A text: python-topics, a file, or a folder of *.txt files.
        context: Tokens that are read first, by the whole model.
        continued: Tokens that follow in prose; all but the first are predicted.
        pass_keys: How many questions for a number hidden in prose each part has.
        key_values: How many questions for one of many pairs each part has.

    Raises:
        ConfigError: A number makes no sense; it says which.
    """

    data: str = "python-topics"
    context: int = 384
    continued: int = 64
    pass_keys: int = 0
    key_values: int = 0

    def __post_init__(self) -> None:
        InferenceOptions.__post_init__(self)
        for name, bound in {"context": 2, "continued": 2, "pass_keys": 0, "key_values": 0}.items():
            if getattr(self, name) < bound:
                raise ConfigError(f"{name}: expected {bound} or more, found {getattr(self, name)}")

    @property
    def wanted(self) -> Wanted:
        """The texts that are asked for."""
        questions = {"pass-keys": self.pass_keys, "key-values": self.key_values}
        return Wanted(self.context, self.continued, self.parts, questions)
