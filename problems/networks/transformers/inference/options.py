"""What all problems of inference can be told: model, measures, references, and how much may be recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from emoprune.errors import ConfigError

__all__ = ["InferenceOptions", "Number"]

Number = Literal["float32", "float16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceOptions:
    """Model, measures and references.

    Args:
        model: minilm, smollm2, a Hugging Face folder, a GGUF file, or owner/model on a hub.
        search: Texts or examples that lead the search.
        select: Those that choose from its front.
        test: Those that are reported.
        references: What a user would have picked without a search: methods by name (`emoprune list references`), or
            mappings of a name and options.
        objectives: What is made better, by name (`emoprune list objectives`); by default the quality of outputs, and
            what is used.
        at_most: Bounds by measure, or as `<measure>-share` in shares of the unpruned model's.
        records: The numbers in which the run keeps what the unpruned model computed: float32, or float16, which takes
            half the room and is exact to three digits.
        record_megabytes: How much of it the run's folder may hold; more is refused before anything is computed.
        accept_guessing: Whether to search though the unpruned model answers no better than by guessing.

    Raises:
        ConfigError: A number is too small, or there are no such records.
    """

    problem: ClassVar[str]  # whose options these are

    model: str = "smollm2"
    search: int = 8
    select: int = 8
    test: int = 16
    references: Sequence[str | Mapping[str, Any]] = ("uniform",)
    objectives: Sequence[str | Mapping[str, Any]] = ()
    at_most: Mapping[str, float] | None = None
    records: Number = "float32"
    record_megabytes: int = 2048
    accept_guessing: bool = False

    def __post_init__(self) -> None:
        for name in ("search", "select", "test"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if self.records not in get_args(Number):
            raise ConfigError(f"records: expected one of {', '.join(get_args(Number))}, found {self.records!r}")
        if self.record_megabytes < 1:
            raise ConfigError(f"record_megabytes: expected 1 or more, found {self.record_megabytes}")

    @property
    def parts(self) -> dict[str, int]:
        """How many texts or examples each part has."""
        return {"search": self.search, "select": self.select, "test": self.test}

    def check_room(self, needed: float, fewer: str) -> None:
        """Refuse records that would not fit.

        Args:
            needed: Their bytes.
            fewer: The options that make them smaller.

        Raises:
            ConfigError: It says how much they take.
        """
        megabytes = needed / 2**20
        if megabytes > self.record_megabytes:
            half = " records: float16 halves it;" if self.records == "float32" else ""
            raise ConfigError(
                f"record_megabytes: what the unpruned model computes would take {megabytes:,.0f} MB, found a bound of "
                f"{self.record_megabytes:,};{half} ask for less by {fewer}, or raise the bound"
            )
