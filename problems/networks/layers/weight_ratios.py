"""Weight pruning of any network: how many of each layer's weights are not zero, against error and size."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from emoprune import plugins
from emoprune.contracts import Paper, Recovered, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.layers.options import WeightRatioOptions, WeightRatioRecoveryOptions
from emoprune.problems.networks.layers.problem import Layerwise
from emoprune.problems.networks.layers.rounds import WeightRounds
from emoprune.problems.networks.layers.saliencies.of_networks import network_scores
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.patterns import Patterns
from emoprune.problems.networks.layers.treatments.ratios import WeightShares
from emoprune.problems.networks.layers.treatments.repaired import Repaired, can_be_repaired
from emoprune.problems.networks.layers.treatments.statistics import statistics_for
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.recover import described_spending, recovered
from emoprune.problems.networks.recovery.rounds.states import folder_of
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.arrays import kept_arrays
from emoprune.space import IntArray

__all__ = ["WeightRatios"]

NONE = "none"


@about(
    "pruning",
    ["weights"],
    cost="one pass over the calibration images and one over those of the search each time",
    papers=[Paper("Accelerating Sparse Deep Neural Networks", "2104.08378")],
)
class WeightRatios(Layerwise):
    """Zero weights: one gene per layer says what share of its weights stays, or which N of every M.

    Shapes stay as they are: the size counts what must be stored and the multiplications that are not with zero; a dense
    kernel runs no faster. Batch-norm statistics are estimated anew before a network is scored; no weight is trained.
    """

    options: ClassVar[type[WeightRatioOptions]] = WeightRatioOptions

    def __init__(self, **given: Any) -> None:
        own = WeightRatioOptions(**given)
        ranking = plugins.method("saliency", own.saliency, own.problem)
        name = plugins.named("saliency", own.saliency)[0].rpartition(":")[2]
        treatment: Treatment = WeightShares.of(own.shares) if own.pattern == "unstructured" else Patterns(own.m)
        self._repaired: Repaired | None = None
        if own.repair != NONE:
            repair = plugins.method("compensation", own.repair, own.problem, option="repair")
            treatment = self._repaired = Repaired(treatment, repair)
        super().__init__(own, treatment, name, partial(network_scores, ranking))

    def prepare(self, folder: Path, seed: int) -> None:
        """Train or load the unpruned network into `folder`, measure what a repair needs, rank weights."""
        if self._repaired is not None:
            self._task.prepare(folder, seed)
            bench, repaired = self._task.bench("cpu"), self._repaired
            evidence = Evidence(bench.network, bench.structure, bench.calibration, seed)
            parts = [part for part in self._levels.parts if can_be_repaired(part)]
            repaired.statistics = kept_arrays(
                folder / "repair.safetensors", lambda: statistics_for(repaired.repair, evidence, parts)
            )
        super().prepare(folder, seed)

    @plugins.taking(WeightRatioRecoveryOptions)
    def recover(self, genome: IntArray, folder: Path, seed: int, **given: Any) -> Recovered:
        """Fine-tune a candidate, or distil it from the unpruned network, with its zeros kept, and measure it again.

        Args:
            genome: The candidate.
            folder: Where the recovered network is written.
            seed: Fixes the order of the images, how they are varied, and dropout.
            given: As `WeightRatioRecoveryOptions` has them.

        Raises:
            ConfigError: An option cannot be used, or the training diverged.
            ContractError: The written network is not the measured one.
        """
        if self._repaired is not None and self._repaired.wraps:
            raise ConfigError("recover: weights between factors (repair: armor) cannot be trained as they are stored")
        own = WeightRatioRecoveryOptions(**given)
        recovery, plan = own.recovery(), own.plan
        wanted = self._possible(own.formats)
        settled, levels = self._loaded.runner.settled(self._variant(genome)), self._levels.decode(genome[np.newaxis])[0]
        pruned = np.flatnonzero(levels < self._levels.highest)
        names = [f"{self._levels.parts[layer].path}.weight" for layer in pruned]
        unpruned, pruned_network = self._loaded.bench.network, settled.network
        # Weights that were zero in the unpruned network are not gone, and may be trained where others are zeroed.
        zeros = {
            name: (pruned_network.get_parameter(name) == 0) & (unpruned.get_parameter(name) != 0) for name in names
        }
        case = NetworkCase(
            pruned_network,
            self._loaded.bench,
            self._task.data.train,
            plan,
            seed,
            {name: pruned_network.get_parameter(name) == 0 for name in names},
            rounds=lambda: WeightRounds(unpruned, self._levels, levels),
            folder=folder_of(self._folder, genome),
            macs=self._task.measures.unpruned["macs"],
        )
        network = recovered(recovery, case, zeros)
        # Packing knows no negative zeros, which training may leave behind.
        packable = with_tensors(network, {name: network.get_parameter(name).detach() + 0.0 for name in names})
        described = self._write(Variant(packable, {}, adapted=False), genome, folder, wanted, verify=True)
        counted = self._levels.counted(genome[np.newaxis], self._task.measures.unpruned)[0]
        return Recovered(self._loaded.measured(packable, counted), {**described, **described_spending(case.ledger)})
