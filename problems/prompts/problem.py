"""What all problems of this domain have in common: prompts that are put to the examples of a part, block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Description, Failure, Row, Rows
from emoprune.errors import ContractError
from emoprune.problems.prompts.beginning import begin
from emoprune.problems.prompts.prepare import going_on_later
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.stopping import GiveUp
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.template import Template
from emoprune.problems.prompts.trying import refuse_guessing_prompts
from emoprune.problems.storage.kept import write_json
from emoprune.records import Candidate, Split
from emoprune.space import IntArray

__all__ = ["PromptProblem"]

SeedArray = NDArray[np.uint64]


class PromptProblem(ABC):
    """A problem whose genomes stand for prompts.

    Args:
        task: Model, examples and measures.
    """

    formats: tuple[str, ...]

    def __init__(self, task: PromptTask) -> None:
        self._task = task
        self.objectives = task.objectives
        self.constraints = task.constraints
        self._begun_in: Path | None = None
        self._scoring: Scoring | None = None

    @abstractmethod
    def _template(self, genome: IntArray) -> Template:
        """Return the prompt that a genome stands for."""

    @abstractmethod
    def export_as(self, genome: IntArray, folder: Path, formats: Sequence[str], verify: bool) -> Description:
        """Write the prompt in some of its formats."""

    def _begin(self, folder: Path, tried: Callable[[], Sequence[Template]], fewer: str) -> None:
        """Let the task begin, once: an endpoint is paid for what it is asked."""
        if self._begun_in != folder:
            with going_on_later("the first answers", fewer):
                begin(self._task, folder, tried)
            self._begun_in = folder

    def _try(self, folder: Path, templates: Iterable[Template], what: str, fewer: str) -> None:
        """Refuse prompts that all score like guessing, and keep that they do not."""
        path = folder / "tried.json"
        if path.exists():
            return
        with going_on_later(f"answers of {what}", fewer):
            refuse_guessing_prompts(self._task.scoring(), templates, what)
        write_json(path, {"better than guessing": what})

    def setup(self, device: str, threads: int) -> None:
        """Load the model to `device`."""
        torch.set_num_threads(threads)
        self._task.load(device)
        self._scoring = self._task.scoring()

    @property
    def _loaded(self) -> Scoring:
        if self._scoring is None:
            raise ContractError("the model is not loaded yet; call setup(device, threads) first")
        return self._scoring

    @property
    def noisy(self) -> tuple[str, ...]:
        """The objectives and constraints that are means over examples; none where all are measured at once."""
        return () if self._task.blocks is None else self._task.measures.noisy

    @property
    def grades(self) -> tuple[int, ...]:
        """After how many blocks of the search part it is asked which prompts go on."""
        return () if self._task.blocks is None else self._task.blocks.grades

    def block_sizes(self, split: Split) -> Sequence[float]:
        """Return how many examples each block of a part has."""
        return [] if self._task.blocks is None else self._task.blocks.sizes(split)

    def evaluate_blocks(
        self,
        genomes: IntArray,
        seeds: SeedArray,  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
        blocks: range,
    ) -> Rows:
        """Return objectives and bounded values of each genome on some blocks."""
        return [self._task.rows(self._loaded, self._template(genome), split, blocks) for genome in genomes]

    def evaluate(self, genomes: IntArray, seeds: SeedArray, split: Split) -> Sequence[Row]:
        """Return objectives and bounded values of each genome."""
        if self._task.blocks is None:
            templates = [self._template(genome) for genome in genomes]
            return [self._task.row(self._loaded, each, split, self._give_up(each, split)) for each in templates]
        sizes = self.block_sizes(split)
        rows = self.evaluate_blocks(genomes, seeds, split, range(len(sizes)))
        return [row if isinstance(row, Failure) else np.average(row, axis=0, weights=sizes) for row in rows]

    def _give_up(self, template: Template, split: Split) -> GiveUp | None:  # noqa: ARG002  # a problem may have reasons
        """Return when a prompt that is measured at once is given up all the same; None for never."""
        return None

    def alarms(self, candidates: Sequence[Candidate], values: NDArray[np.float64]) -> Sequence[str]:  # noqa: ARG002  # the contract's
        """Say if what was measured means little because the model would say something else."""
        return self._task.alarms()

    def spent(self) -> Mapping[str, str]:
        """Return what an endpoint was asked for so far, in words; nothing for a model here."""
        return self._task.budget.words()

    def unaffordable(self, searched: int, shown: int) -> str | None:
        """Say why the run may not ask its endpoint for more; None if it may."""
        return self._task.unaffordable(searched, shown)

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the prompt's text into `folder`, verified."""
        return self.export_as(genome, folder, self.formats[:1], verify=True)

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        return self._task.fingerprint()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_scoring": None}
