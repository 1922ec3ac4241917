"""A model, a prompt, examples and what is measured: what all problems of this domain share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from emoprune.contracts import Constraint, Failure, Objective, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.language.loading import pretrained, tokenizer_of
from emoprune.problems.prompts.data.few_shot import FewShot
from emoprune.problems.prompts.data.splitting import Sizes
from emoprune.problems.prompts.examiner import Examined, Examiner
from emoprune.problems.prompts.material import Asked, Material, TaskName, material_of
from emoprune.problems.prompts.measures import TOKENS, Measures
from emoprune.problems.prompts.pieces import ByToken, Splitter
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.contract import Scorer
from emoprune.problems.prompts.scorers.masked import MaskedScorer
from emoprune.problems.prompts.scorers.reading import LocalModel, check_fast
from emoprune.problems.prompts.stopping import Stopping
from emoprune.problems.prompts.template import Template
from emoprune.records import Split

__all__ = ["Options", "Precision", "PromptTask"]

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a config says about model, prompt, examples and measuring; the problems' own options come on top."""

    prompt: str | FewShot
    model: str = "smollm2"
    examples: str | Mapping[str, str] = "film-reviews"
    answer: str | None = None
    verbalisers: Mapping[str, str] | None = None
    task: TaskName = "classification"
    sizes: Sizes = field(default_factory=Sizes)
    objectives: Sequence[str] = ("accuracy", TOKENS)
    at_most: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    precision: Precision = "float32"


class PromptTask:
    """Model, prompt and examples of one config; made in the driver, sent to the workers.

    Raises:
        ConfigError: Something of it cannot be used.
    """

    def __init__(self, options: Options, special: Sequence[str] = ()) -> None:
        self.options = options
        self._tokenizer = tokenizer_of(options.model)
        check_fast(self._tokenizer, options.model)
        self.splitter: Splitter = ByToken(self._tokenizer)
        asked = Asked(
            options.task, options.prompt, options.examples, options.answer, options.verbalisers, options.sizes
        )
        self.material: Material = material_of(asked, self._tokenizer, special=special)
        self.measures = Measures(
            tuple(options.objectives),
            dict(options.at_most),
            dict(options.at_least),
            self.material.task.measures,
            self.length(self.material.template),
        )
        self._scorer: Scorer | None = None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is made better."""
        return self.measures.objectives

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """What must hold."""
        return self.measures.constraints

    def length(self, template: Template) -> int:
        """Return how many tokens a prompt has without its input, to which the spaces before it belong."""
        return sum(map(self.splitter.count, [*(text.rstrip(" ") for text in template.texts[:-1]), template.texts[-1]]))

    def load(self, device: str) -> Scorer:
        """Load the model, once per process.

        Raises:
            ConfigError: There is no such device here, or the prompt does not fit into the model's context.
        """
        if self._scorer is None:
            if device == "cuda" and not torch.cuda.is_available():
                raise ConfigError("evaluation.device: cuda was asked for, but torch finds no GPU here; use cpu")
            masked = self.material.template.masked
            kind: Literal["masked-language-model", "language-model"] = (
                "masked-language-model" if masked else "language-model"
            )
            loaded = pretrained(self.options.model, kind, dtype=self.options.precision)
            local = LocalModel(loaded, device, special=True)
            self._scorer = MaskedScorer(local) if masked else CausalScorer(local)
        return self._scorer

    @property
    def scorer(self) -> Scorer:
        """The loaded model."""
        if self._scorer is None:
            raise ContractError("the model is not loaded yet; call setup(device, threads) first")
        return self._scorer

    def examiner(self, stopping: Stopping | None = None) -> Examiner:
        """Return what puts prompts to the examples."""
        return Examiner(self.scorer, self.material.task, self.material.parts, stopping)

    def check_fits(self) -> None:
        """Refuse a prompt that is too long for the model about some example.

        Raises:
            ConfigError: It is.
        """
        examiner = self.examiner()
        for split in Split:
            refusal = examiner.prompted(self.material.template, split).refusal
            if refusal is not None:
                raise ConfigError(
                    f"examples: {split.value} part: {refusal}; shorten the prompt or leave the example out"
                )

    def row(self, examiner: Examiner, template: Template, split: Split) -> Row:
        """Return a prompt's objectives and bounded values on a part, or why it has none."""
        tokens = float(self.length(template))
        examined = examiner.examined(template, split, tokens)
        return examined if isinstance(examined, Failure) else self.measures.row(self._values(examined, tokens))

    def _values(self, examined: Examined, tokens: float) -> dict[str, float]:
        return {**examined.values, TOKENS: tokens}

    def fingerprint(self) -> str:
        """Return a digest of the model, the prompt, all examples and the words for their answers."""
        digest = hashlib.sha256(self.scorer.fingerprint().encode())
        digest.update(self.material.template.text.encode())
        digest.update(repr(self.material.task.choices).encode())
        for split, examples in self.material.parts.items():
            for example in examples:
                digest.update(repr((split.value, example.inputs, example.answer)).encode())
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # Workers load for themselves.
        return {**vars(self), "_scorer": None}
