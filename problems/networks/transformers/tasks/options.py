"""What a config says about model, data and measuring; the problems' own options come on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from emoprune.errors import ConfigError

__all__ = ["Options", "Purpose"]

Purpose = Literal["language-modelling", "text-classification", "image-classification"]


@dataclass(frozen=True, slots=True)
class Options:
    """What all problems on transformers have in common; a problem's documentation says what each option does."""

    model: str
    task: Purpose
    data: str | Mapping[str, str]
    length: int
    calibration: int
    calibration_data: str | None = None
    search: int = 8
    select: int = 16
    test: int = 32
    epochs: int = 0
    objectives: Sequence[str | Mapping[str, Any]] = ()
    at_most: Mapping[str, float] = field(default_factory=dict)
    batch: int = 1
    cache_megabytes: int = 384

    def __post_init__(self) -> None:
        if self.task not in get_args(Purpose):
            raise ConfigError(f"task: expected one of {', '.join(get_args(Purpose))}, found {self.task!r}")
        for name in ("length", "calibration", "search", "select", "test", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if self.length < 2 and self.task == "language-modelling":
            raise ConfigError("length: expected at least 2 tokens, of which one follows the other")
        if self.cache_megabytes < 0 or self.epochs < 0:
            raise ConfigError("cache_megabytes and epochs: expected 0 or more")
