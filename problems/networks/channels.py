"""Channel pruning of a sequential network: how wide each layer stays, against error and cost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Description, Failure, Objective, Reference, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.architecture import trace
from emoprune.problems.networks.baselines import baselines
from emoprune.problems.networks.bounds import Bounds
from emoprune.problems.networks.cost import Cost, count
from emoprune.problems.networks.criteria.l1 import l1_norms
from emoprune.problems.networks.exporting import Measured, export
from emoprune.problems.networks.pruning import PrunedNetwork, Pruner
from emoprune.problems.networks.reading import Weights, layers_of
from emoprune.problems.networks.scoring import LoadedImages, calibration_batches, error_of
from emoprune.problems.networks.sources import data_named, network_named
from emoprune.problems.networks.unpruned import Recipe, unpruned_weights
from emoprune.problems.networks.widths import WidthLevels
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Channels"]


@dataclass(frozen=True, slots=True, eq=False)
class _Loaded:
    """What `setup` loads once per worker."""

    pruner: Pruner
    images: dict[Split, LoadedImages]


class Channels:
    """Prune the channels of a sequential network: one gene per layer says how many of its channels stay.

    The channels with the largest L1 norms stay; the smaller network is really built and run. Unless it is the unpruned
    one, its batch-norm statistics are estimated anew on images of the training part before it is scored; no weight is
    trained. Networks are always put into eval mode first.

    Args:
        network: `digits`, or `package.module:function` that returns an `nn.Sequential`.
        data: `digits`, or `package.module:function` that returns an `ImageData`.
        weights: A file with the network's state_dict, safetensors or torch's own format; None takes the weights the
            network comes with.
        epochs: How long to train on top, once per run; None trains the built-in network if it got no weights.
        widths: How many widths each layer can take, evenly spread up to the full one.
        cost: What is minimised beside the error.
        criterion: What ranks the channels of a layer.
        calibration_images: How many training images the batch-norm statistics are estimated on.
        max_error: Candidates that make more errors than this share of the images are infeasible; None allows all.
        max_cost: Candidates that cost more than this share of the unpruned network are infeasible; None allows all.
    """

    def __init__(
        self,
        *,
        network: str = "digits",
        data: str = "digits",
        weights: str | None = None,
        epochs: int | None = None,
        widths: int = 16,
        cost: Literal["macs", "parameters"] = "macs",
        criterion: Literal["l1"] = "l1",
        calibration_images: int = 256,
        max_error: float | None = None,
        max_cost: float | None = None,
    ) -> None:
        self._recipe = Recipe.of(network, data, weights, epochs)
        self._cost = Cost(cost)
        self._criterion = {"l1": l1_norms}[criterion]
        self._data = data_named(data)
        self._calibration_images = calibration_images
        self._architecture = trace(layers_of(network_named(network)), self._data.input_shape)
        self._levels = WidthLevels(self._names(), self._architecture.widths, widths)
        self._unpruned_cost = self._count_full()
        self._bounds = Bounds(max_error, max_cost)
        self._weights: Weights | None = None
        self._loaded: _Loaded | None = None
        self._check_options()
        self.space = self._levels.space
        self.objectives = (
            Objective("error", worst=1.0 if max_error is None else max_error),
            Objective(self._cost.value, worst=float(self._unpruned_cost)),
        )
        self.constraints = self._bounds.constraints

    def _names(self) -> tuple[str, ...]:
        return tuple(self._architecture.layers[position].path for position in self._architecture.prunable)

    def _check_options(self) -> None:
        if not 2 <= self._calibration_images <= len(self._data.train):
            raise ConfigError(
                f"calibration_images: expected 2 to {len(self._data.train)}, all of the training part, "
                f"found {self._calibration_images}"
            )
        if self._data.highest_label >= self._architecture.classes:
            raise ConfigError(
                f"network: expected at least {self._data.highest_label + 1} outputs, one per label, "
                f"found {self._architecture.classes}"
            )

    def _count_full(self) -> int:
        return int(count(self._cost, self._architecture, np.array([self._levels.full]))[0])

    def _counted(self, cost: Cost, genomes: IntArray) -> IntArray:
        return count(cost, self._architecture, self._levels.decode(genomes))

    @property
    def _unpruned(self) -> Weights:
        if self._weights is None:
            raise ContractError("the unpruned network has no weights yet; call prepare(folder, seed) first")
        return self._weights

    @property
    def _worker(self) -> _Loaded:
        if self._loaded is None:
            raise ContractError("network and images are not loaded yet; call setup(device, threads) first")
        return self._loaded

    def prepare(self, folder: Path, seed: int) -> None:
        """Train the unpruned network, or load it, and keep it as `weights.safetensors` in `folder`.

        Raises:
            ConfigError: The network, its weights or its training cannot be used.
        """
        self._weights = unpruned_weights(folder, self._recipe, self._data, seed)

    def setup(self, device: str, threads: int) -> None:
        """Copy weights and images to `device`."""
        torch.set_num_threads(threads)
        if device == "cuda":  # repeatable kernels, at full precision: the same genome must give the same floats
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.allow_tf32 = False
        tensors = {name: torch.tensor(array, device=device) for name, array in self._unpruned.items()}
        calibration = calibration_batches(self._data.train, self._calibration_images, device)
        pruner = Pruner(self._architecture, tensors, self._scores(), calibration)
        self._loaded = _Loaded(pruner, {split: LoadedImages.load(self._data.part(split), device) for split in Split})

    def _scores(self) -> list[NDArray[np.float64]]:
        """Rank the channels of each prunable layer."""
        return [self._criterion(self._unpruned[f"{position}.weight"]) for position in self._architecture.prunable]

    def evaluate(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
    ) -> Sequence[Row]:
        """Return error and cost of each genome, and what the bounds, if there are any, are held against.

        Every network is built and run by itself, so that no row depends on what else is in the batch.
        """
        costs = self._counted(self._cost, genomes)
        widths = self._levels.decode(genomes)
        return [self._row(own, int(cost), split) for own, cost in zip(widths, costs, strict=True)]

    def _row(self, widths: IntArray, cost: int, split: Split) -> Row:
        error = error_of(self._worker.pruner.pruned(widths).network, self._worker.images[split])
        if isinstance(error, Failure):
            return error
        return [error, float(cost), *self._bounds.values(error, cost / self._unpruned_cost)]

    def references(self) -> tuple[Reference, ...]:
        """Return the unpruned network, uniform widths, and one threshold over all layers, at three sizes each."""
        return baselines(self._levels, self._scores())

    def describe(self, genome: IntArray) -> Description:
        """Say how wide each layer stays and what that costs."""
        widths = self._levels.decode(genome[np.newaxis])[0].tolist()
        layers = zip(self._names(), widths, self._levels.full, strict=True)
        described: dict[str, str | int | float] = {name: f"{width} of {full}" for name, width, full in layers}
        for cost in Cost:
            own, unpruned = self._counted(cost, np.stack([genome, self.space.full])).tolist()
            described |= {cost.value: own, f"{cost.value} share": round(own / unpruned, 4)}
        return described

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the smaller network into `folder`, loadable without emoprune, and verify it in a fresh process.

        Raises:
            ContractError: The reloaded network is not the evaluated one.
        """
        pair = np.stack([genome, self.space.full])
        pruner, images = self._worker.pruner, self._worker.images
        pruned, unpruned = (pruner.pruned(widths) for widths in self._levels.decode(pair))
        measured = self._measured(pruned, genome), self._measured(unpruned, self.space.full)
        described = self.describe(genome)
        return export(
            folder,
            source=self._recipe.network,
            networks=(pruned, unpruned),
            measured=measured,
            test=images[Split.TEST],
            described=described,
        )

    def _measured(self, pruned: PrunedNetwork, genome: IntArray) -> Measured:
        errors = {split.value: error_of(pruned.network, self._worker.images[split]) for split in Split}
        failures = [f"{split}: {error.reason}" for split, error in errors.items() if isinstance(error, Failure)]
        if failures:
            raise ContractError(f"this candidate cannot be exported: {'; '.join(failures)}")
        counts = {cost: int(self._counted(cost, genome[np.newaxis])[0]) for cost in Cost}
        finite = {split: error for split, error in errors.items() if not isinstance(error, Failure)}
        return Measured(finite, counts[Cost.PARAMETERS], counts[Cost.MACS])

    def fingerprint(self) -> str:
        """Return a digest of the unpruned network's layers and weights and of all images and labels."""
        digest = hashlib.sha256(repr(self._architecture).encode())
        for name, array in sorted(self._unpruned.items()):
            digest.update(name.encode())
            digest.update(array.tobytes())
        digest.update(self._data.digest())
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # Workers load for themselves; sending loaded tensors would send everything twice.
        return {**vars(self), "_loaded": None}
