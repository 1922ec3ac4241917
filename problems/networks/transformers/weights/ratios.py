"""Weight pruning of transformers: how many of each linear layer's weights are not zero, against quality and size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from emoprune import plugins
from emoprune.contracts import Recovered, Saliency, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.layers.saliencies.contract import Need, ScoredLayer, needs_of, scores_of
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.patterns import Patterns
from emoprune.problems.networks.layers.treatments.ratios import WeightShares
from emoprune.problems.networks.layers.treatments.repaired import Repaired, repair_needs
from emoprune.problems.networks.recovery.rounds.states import folder_of
from emoprune.problems.networks.transformers.recovery.contract import RecoveryCase
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.networks.transformers.weights.layers import Ranks
from emoprune.problems.networks.transformers.weights.measured import input_moments, input_norms, weight_gradients
from emoprune.problems.networks.transformers.weights.options import (
    TransformerWeightRatioOptions,
    TransformerWeightRatioRecoveryOptions,
)
from emoprune.problems.networks.transformers.weights.problem import LayerProblem
from emoprune.problems.networks.transformers.weights.rounds import WeightRounds
from emoprune.problems.storage.arrays import Weights, kept_arrays
from emoprune.space import IntArray

__all__ = ["TransformerWeightRatios"]

NONE = "none"

MEASURED: Mapping[Need, tuple[str, Callable[[Opened, LayerLevels], dict[str, torch.Tensor]]]] = {
    "norms": ("norms.safetensors", input_norms),
    "gradient": ("gradients.safetensors", weight_gradients),
}


@about("pruning", ["weights"], cost="the search part once through what is new of each candidate")
class TransformerWeightRatios(LayerProblem):
    """Zero weights: one gene per linear layer says what share of its weights stays, or which N of every M.

    Shapes stay as they are: the size counts what must be stored and multiplied; a dense kernel runs no faster.
    """

    options: ClassVar = TransformerWeightRatioOptions

    def __init__(self, **given: Any) -> None:
        own = TransformerWeightRatioOptions(**given)
        self._saliency: Saliency[ScoredLayer, torch.Tensor] = plugins.method("saliency", own.saliency, own.problem)
        treatment: Treatment = WeightShares.of(own.shares) if own.pattern == "unstructured" else Patterns(own.m)
        self._repaired: Repaired | None = None
        if own.repair != NONE:
            repair = plugins.method("compensation", own.repair, own.problem, option="repair")
            treatment = Repaired(treatment, repair)
        super().__init__(own, treatment, "parameters")
        if isinstance(self._genes.levels.treatment, Repaired):
            self._repaired = self._genes.levels.treatment  # of the numbers that weights are stored in
        self._measured: dict[Need, dict[str, torch.Tensor]] = {}

    def prepare(self, folder: Path, seed: int) -> None:
        """Fit a classifier if there is none, measure what the saliency asks for, and make the references."""
        super().prepare(folder, seed)
        self._measured = {need: self._made_once(need, folder) for need in needs_of(self._saliency)}
        if self._repaired is not None:
            if "gradients" in repair_needs(self._repaired.repair):
                raise ConfigError("repair: expected one that needs moments alone, found one that needs gradients")
            self._repaired.statistics = kept_arrays(
                folder / "repair.safetensors", lambda: input_moments(self.open(), self._genes.levels)
            )

    def _made_once(self, need: Need, folder: Path) -> dict[str, torch.Tensor]:
        name, measure = MEASURED[need]

        def made() -> Weights:
            return {path: own.numpy() for path, own in measure(self.open(), self._genes.levels).items()}

        # Kept, because a resume on another machine must not rank two nearly equal weights the other way round.
        return {path: torch.from_numpy(own.copy()) for path, own in kept_arrays(folder / name, made).items()}

    def ranks(self) -> Ranks:
        """Return the order in which each layer's weights stay."""
        levels = self._genes.levels
        return {part.path: levels.treatment.ranked(part, self._scores(part.path)) for part in levels.parts}

    def _scores(self, path: str) -> torch.Tensor:
        weight = self.open().task.model.get_submodule(path).weight.detach().cpu()
        # A seed for each layer: the layers are ranked in several processes, and in any order.
        generator = torch.Generator().manual_seed(self._seed + sum(path.encode()) * 7919)
        measured = {need: by_path[path] for need, by_path in self._measured.items()}
        return scores_of(self._saliency, ScoredLayer(path, weight, generator, measured))

    @plugins.taking(TransformerWeightRatioRecoveryOptions)
    def recover(self, genome: IntArray, folder: Path, seed: int, **given: Any) -> Recovered:
        """Fine-tune, distil or rewind a candidate with its zeros kept, and measure it again.

        Args:
            genome: The candidate.
            folder: Where the recovered model is written.
            seed: Fixes the order of what is trained on.
            given: As `TransformerWeightRatioRecoveryOptions` has them.

        Raises:
            ConfigError: An option cannot be used, or training diverged.
            ContractError: The written model is not the measured one.
        """
        if self._repaired is not None and self._repaired.wraps:
            raise ConfigError("recover: weights between factors (repair: armor) cannot be trained as they are stored")
        own = TransformerWeightRatioRecoveryOptions(**given)
        recovery = own.recovery()
        opened, loaded, plans = self.open(), self.loaded, self.plans(genome)
        case = RecoveryCase(
            opened,
            loaded.narrower,
            plans,
            own.plan,
            loaded.device,
            seed,
            zeros=lambda model: self._genes.zeros(model, plans),
            rounds=lambda: WeightRounds(opened, self._genes, plans),
            folder=folder_of(self._folder, genome),
            macs=self._unpruned["macs"],
        )
        return self.recovered(recovery, case, genome, folder, own.name)
