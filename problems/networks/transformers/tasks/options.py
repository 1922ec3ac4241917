"""What all problems on transformers can be told: model, data and measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from emoprune.errors import ConfigError

__all__ = ["SPLITS", "Purpose", "TransformerOptions"]

SPLITS = ("search", "select", "test")

Purpose = Literal[
    "language-modelling",
    "masked-language-modelling",
    "sequence-to-sequence",
    "text-classification",
    "token-classification",
    "question-answering",
    "multiple-choice",
    "image-classification",
]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerOptions:
    """Model, data, measures and references.

    Args:
        model: minilm, smollm2, a Hugging Face folder, a GGUF file, or owner/model on a hub.
        task: What the model is for: language-modelling, masked-language-modelling, sequence-to-sequence,
            text-classification, token-classification, question-answering, multiple-choice or image-classification.
        data: For language modelling a text: python-topics, a file, or a folder of *.txt files. Else a file, or a
            mapping of train, search, select and test to files: CSV or TSV of texts and labels, words and tags in
            CoNLL's columns or .jsonl, sources and targets, questions in SQuAD's form, questions and choices in .jsonl
            or CSV; or images as for `channels`.
        texts: Of a classifier's CSV or TSV the column with the text, or both columns of a pair of texts, where they are
            not called sentence, text, review or title; sentence1 and sentence2; or premise and hypothesis. Of
            sequence-to-sequence those with source and target.
        labels: The data's words for its classes in the order of the model's, where its config does not name them alike.
        own_conventions: Whether the model's folder is obeyed: classes go by its names, images through its processor,
            windows of text begin as its tokenizer begins a text, sentences are padded as it pads them.
        accept_guessing: Whether to search though the unpruned model scores like guessing.
        length: Tokens in a window of text, or at most in a sentence.
        calibration: Windows or examples that scores and repairs are computed on.
        search: Windows, or sources with their targets, that lead the search; for classification the parts of the data
            say.
        select: Windows that choose from its front.
        test: Windows that are reported.
        references: What a user would have picked without a search: methods by name (`emoprune list references`), or
            mappings of a name and options.
        objectives: What is minimised: perplexity, loss, error, kl, macs, parameters, bytes, milliseconds, or others of
            `emoprune list objectives`; by default the task's own measure, and parameters, or bytes where bits differ.
        at_most: Bounds by measure, or as `parameters-share` in shares of the unpruned model.
        dtype: The numbers in which weights are stored and exported: auto (the checkpoint's), float32, bfloat16 or
            float16. Candidates are measured with weights that are rounded to them.
        batch: How many examples are timed at once for milliseconds.
        cache_megabytes: How much memory each worker may use for hidden states and layers that candidates share.

    Raises:
        ConfigError: A number is too small, or there is no such task or dtype.
    """

    problem: ClassVar[str]  # whose options these are

    model: str = "smollm2"
    task: Purpose = "language-modelling"
    data: str | Mapping[str, str] = "python-topics"
    texts: Sequence[str] = ()
    labels: Sequence[str] = ()
    own_conventions: bool = True
    accept_guessing: bool = False
    length: int = 128
    calibration: int = 16
    search: int = 8
    select: int = 16
    test: int = 32
    references: Sequence[str | Mapping[str, Any]] = ("uniform",)
    objectives: Sequence[str | Mapping[str, Any]] = ()
    at_most: Mapping[str, float] | None = None
    dtype: Dtype = "auto"
    batch: int = 1
    cache_megabytes: int = 384

    def __post_init__(self) -> None:
        if self.task not in get_args(Purpose):
            raise ConfigError(f"task: expected one of {', '.join(get_args(Purpose))}, found {self.task!r}")
        if self.dtype not in get_args(Dtype):
            raise ConfigError(f"dtype: expected one of {', '.join(get_args(Dtype))}, found {self.dtype!r}")
        columns = {"text-classification": (1, 2), "sequence-to-sequence": (2,)}.get(self.task, ())
        if self.texts and len(self.texts) not in columns:
            raise ConfigError(
                f"texts: expected one or two columns for text-classification, two for sequence-to-sequence, found "
                f"{list(self.texts)} for {self.task}"
            )
        for name in ("length", "calibration", "search", "select", "test", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if self.length < 2 and self.task.endswith("language-modelling"):
            raise ConfigError("length: expected at least 2 tokens, of which one follows the other")
        if self.cache_megabytes < 0:
            raise ConfigError(f"cache_megabytes: expected 0 or more, found {self.cache_megabytes}")

    @classmethod
    def of_earlier(cls, resolved: Mapping[str, Any], objectives: Sequence[str]) -> Mapping[str, Any]:  # noqa: ARG003  # the contract's
        """Return the options of a run in today's words: once nothing that the folder says was followed."""
        return {"own_conventions": False, "dtype": "float32", **resolved}

    @property
    def calibrated_on(self) -> str | None:
        """Another text that scores and repairs are computed on; None for windows of the data itself."""
        return None
