"""Deletion of a prompt's tokens: a bit per token says whether it stays, against what the answers are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Description, Failure, Reference, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.data.few_shot import FewShot
from emoprune.problems.prompts.data.splitting import Sizes
from emoprune.problems.prompts.examiner import Examiner
from emoprune.problems.prompts.material import TaskName
from emoprune.problems.prompts.measures import TOKENS
from emoprune.problems.prompts.pieces import Pieces
from emoprune.problems.prompts.task import Options, Precision, PromptTask
from emoprune.problems.prompts.template import Template
from emoprune.records import Split
from emoprune.space import Gene, Group, IntArray, Space

__all__ = ["PromptTokens"]


class PromptTokens:
    """Prune the tokens of a prompt: one bit per token; placeholders stay, and the order does.

    What is left is put to the model as text, so it is what anybody gets who uses the text.

    Source: Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective (PromptQuine, arXiv 2506.17930).

    Args:
        prompt: The text, with placeholders such as `{sentence}` named after columns of the examples; a .txt file that
            holds it; or shots, template, instruction and separator of a prompt made of some of the examples. With
            `{mask_token}` in it, a masked language model fills in the answer.
        model: A Hugging Face folder or name, a GGUF file, or smollm2.
        examples: One CSV, TSV or JSONL file, or one each for search, select and test; or film-reviews.
        verbalisers: The word that stands for each answer of the examples: one token, as it follows the prompt.
        task: classification or multiple-choice.
        answer: The column that holds the answers; by default label, class, target, answer or gold.
        keep: Texts of the prompt that stay whole.
        objectives: What is made better: accuracy, balanced-accuracy, reward, cross-entropy, entropy, tokens.
        at_most: Upper bounds by measure, as in tokens: 40.
        at_least: Lower bounds by measure, as in accuracy: 0.7.
        search_examples: How many examples the search part has at most; all of them for null.
        select_examples: How many the select part has at most.
        test_examples: How many the test part has at most.
        precision: What the model computes in.
    """

    def __init__(
        self,
        *,
        prompt: str | FewShot,
        model: str = "smollm2",
        examples: str | Mapping[str, str] = "film-reviews",
        verbalisers: Mapping[str, str] | None = None,
        task: TaskName = "classification",
        answer: str | None = None,
        keep: Sequence[str] = (),
        objectives: Sequence[str] = ("accuracy", TOKENS),
        at_most: Mapping[str, float] | None = None,
        at_least: Mapping[str, float] | None = None,
        search_examples: int | None = 32,
        select_examples: int | None = 200,
        test_examples: int | None = None,
        precision: Precision = "float32",
    ) -> None:
        self._task = PromptTask(
            Options(
                prompt=prompt,
                model=model,
                examples=examples,
                answer=answer,
                verbalisers=verbalisers,
                task=task,
                sizes=Sizes(search_examples, select_examples, test_examples),
                objectives=tuple(objectives),
                at_most=dict(at_most or {}),
                at_least=dict(at_least or {}),
                precision=precision,
            )
        )
        self._pieces = Pieces.of(self._task.material.template, self._task.splitter)
        self._locked = self._locked_pieces(keep)
        self.space = self._space()
        self.objectives = self._task.objectives
        self.constraints = self._task.constraints
        self._examiner: Examiner | None = None

    def _locked_pieces(self, keep: Sequence[str]) -> NDArray[np.bool_]:
        absent = next((text for text in keep if text not in self._task.material.template.text), None)
        if absent is not None:
            raise ConfigError(f"keep: expected texts of the prompt, found {absent!r}, which does not stand in it")
        return self._pieces.fixed | self._pieces.overlapping(keep)

    def _space(self) -> Space:
        """Return a bit per piece; a prompt of nothing but its placeholders is not one."""
        free = np.flatnonzero(~self._locked)
        if len(free) == 0:
            raise ConfigError("prompt: expected text beside the placeholders that may be deleted, found none")
        width = len(str(len(self._pieces) - 1))
        genes = [
            Gene(f"{number:0{width}d} {text.strip() or repr(text)[1:-1]}", locked=1 if locked else None)
            for number, (text, locked) in enumerate(zip(self._pieces.texts, self._locked.tolist(), strict=True))
        ]
        text = tuple(np.flatnonzero(~self._pieces.fixed).tolist())
        costs = np.where(self._pieces.fixed, 0.0, 1.0)
        return Space(tuple(genes), (Group("text", text, floor=1),), costs)

    def prepare(self, folder: Path, seed: int) -> None:  # noqa: ARG002  # the contract's
        """Load the model and check that the prompt fits into it."""
        self._task.load("cpu")
        self._task.check_fits()

    def setup(self, device: str, threads: int) -> None:
        """Load the model to `device`."""
        torch.set_num_threads(threads)
        self._task.load(device)
        self._examiner = self._task.examiner()

    def evaluate(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
    ) -> Sequence[Row | Failure]:
        """Return objectives and bounded values of each genome."""
        if self._examiner is None:
            raise ContractError("the model is not loaded yet; call setup(device, threads) first")
        return [self._task.row(self._examiner, self._template(genome), split) for genome in genomes]

    def _template(self, genome: IntArray) -> Template:
        return self._pieces.template(genome > 0)

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return for each genome the one that stands for its text: of equal tokens, the first ones stay."""
        return self._pieces.canonical(genomes, self._locked)

    def references(self) -> tuple[Reference, ...]:
        """Return the whole prompt, then what a user would have picked without a search."""
        return (Reference("unpruned", self.space.full),)

    def describe(self, genome: IntArray) -> Description:
        """Say what is left of the prompt."""
        template = self._template(genome)
        return {"tokens": self._task.length(template), "prompt": template.text}

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the prompt's text into `folder`."""
        (folder / "prompt.txt").write_text(self._template(genome).text, encoding="utf-8")
        return {"file": "prompt.txt"}

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        return self._task.fingerprint()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_examiner": None}
