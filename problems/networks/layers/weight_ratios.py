"""Weight pruning of any network: how many of each layer's weights are not zero, against error and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emoprune import plugins
from emoprune.contracts import Recovered
from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.evaluation.latency import LATENCY, Latency
from emoprune.problems.networks.layers.prepare import Method
from emoprune.problems.networks.layers.problem import Layerwise, for_activations
from emoprune.problems.networks.layers.references.catalogue import OF_SHARES
from emoprune.problems.networks.layers.saliencies.of_networks import network_scores
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.patterns import Patterns
from emoprune.problems.networks.layers.treatments.ratios import SHARES, WeightShares
from emoprune.problems.networks.recovery.recover import Method as RecoveryMethod
from emoprune.problems.networks.recovery.recover import recovered_network
from emoprune.problems.networks.task import NetworkTask, Options, Precision, Proxy
from emoprune.problems.networks.variant import Variant
from emoprune.space import IntArray

__all__ = ["WeightRatios"]


class WeightRatios(Layerwise):
    """Zero weights: one gene per layer says what share of its weights stays, or which N of every M.

    Shapes stay as they are: the size counts what must be stored and the multiplications that are not with zero; a dense
    kernel runs no faster. Batch-norm statistics are estimated anew before a network is scored; no weight is trained.

    Args:
        network: A built-in network, or `package.module:function` that returns a torch module.
        data: Built-in images, a folder, or `package.module:function` that returns images.
        weights: A file with the network's state_dict, safetensors or torch's own format.
        epochs: How long to train on top, once per run; None trains a built-in network if it got no weights.
        ignore: Patterns of layers that stay as they are.
        pattern: unstructured (a share of the layer), or n:m (N of every M along the incoming channels).
        shares: The shares that can stay, rising up to 1; for pattern unstructured.
        m: The M of N:M; N runs from 1 to M.
        saliency: What ranks weights; `emoprune list saliencies` names those that serve weight-ratios.
        references: What a user would have picked without a search: uniform, global-magnitude, erk, balanced,
            pyramidal, pq-0_5-1, pq-1-2. Names, or mappings of a name and options, as in {name: erk, percentages: [30]}.
        objectives: What is minimised: error, loss, kl, macs, parameters, bytes, milliseconds, pq-index.
        at_most: Bounds by measure, or as `bytes-share` in shares of the unpruned network.
        proxy: How batch-norm statistics are estimated anew: adaptive-batch-norm, adaptive-batch-norm-published, none.
        calibration_images: How many training images the statistics are estimated on.
        precision: What images are put through in; auto takes bfloat16 where it predicts the same.
        cache_megabytes: How much memory each worker may use for activations that candidates share.
        trace_limit: Seconds after which reading the network's structure is given up.
        image_size: Resize the images of a folder to so many pixels both ways; the built-in sets get a black border.
        images_per_part: Use at most so many images of each part of the data.
        latency: How `milliseconds` are measured, as in {batch: 1, repeats: 50, warm_up: 5}.
    """

    def __init__(
        self,
        *,
        network: str = "digits",
        data: str = "digits",
        weights: str | None = None,
        epochs: int | None = None,
        ignore: Sequence[str] = (),
        pattern: Literal["unstructured", "n:m"] = "unstructured",
        shares: Sequence[float] = SHARES,
        m: int = 4,
        saliency: str | Mapping[str, Any] = "magnitude",
        references: Sequence[str | Mapping[str, Any]] = OF_SHARES,
        objectives: Sequence[str] = ("error", "parameters"),
        at_most: Mapping[str, float] | None = None,
        proxy: Proxy = "adaptive-batch-norm",
        calibration_images: int = 256,
        precision: Precision = "float32",
        cache_megabytes: int = 1024,
        trace_limit: float = 300.0,
        image_size: int | None = None,
        images_per_part: int | None = None,
        latency: Latency = LATENCY,
    ) -> None:
        ranking = plugins.method("saliency", saliency, "weight-ratios")
        name = plugins.named("saliency", saliency)[0].rpartition(":")[2]
        treatment: Treatment = WeightShares.of(shares) if pattern == "unstructured" else Patterns(m)
        task = NetworkTask(
            Options(
                network=network,
                data=data,
                weights=weights,
                epochs=epochs,
                ignore=tuple(ignore),
                objectives=tuple(objectives),
                at_most=dict(at_most or {}),
                proxy=proxy,
                calibration_images=calibration_images,
                precision=precision,
                cache_megabytes=for_activations(cache_megabytes),
                trace_limit=trace_limit,
                image_size=image_size,
                images_per_part=images_per_part,
                latency=latency,
            )
        )
        methods = plugins.methods("reference", references, "weight-ratios", option="references")
        super().__init__(task, treatment, Method(name, partial(network_scores, ranking), methods), cache_megabytes)

    def recover(
        self,
        genome: IntArray,
        folder: Path,
        seed: int,
        *,
        epochs: float = 10.0,
        method: RecoveryMethod = "finetune",
        rate: float = 0.02,
        batch: int = 64,
        temperature: float = 4.0,
        weight: float = 0.9,
        flips: bool = False,
        shift: int = 0,
        formats: Sequence[str] = (),
    ) -> Recovered:
        """Fine-tune a candidate, or distil it from the unpruned network, with its zeros kept, and measure it again.

        Args:
            genome: The candidate.
            folder: Where the recovered network is written.
            seed: Fixes the order of the images, how they are varied, and dropout.
            epochs: How often all training images are seen; 0.5 is half of them once.
            method: finetune trains towards the labels, distil also towards the unpruned network's outputs.
            rate: The highest learning rate.
            batch: Images per step.
            temperature: How soft the unpruned network's probabilities are made when distilling.
            weight: Their share of the loss when distilling, from 0 to 1.
            flips: Mirror half of the images.
            shift: Move each image by up to so many pixels.
            formats: What is written, as of an export: packed if none is named.

        Raises:
            ConfigError: An option cannot be used, or the training diverged.
            ContractError: The written network is not the measured one.
        """
        wanted = self._possible(formats)
        settled, levels = self._loaded.runner.settled(self._variant(genome)), self._levels.decode(genome[np.newaxis])[0]
        pruned = np.flatnonzero(levels < self._levels.highest)
        names = [f"{self._levels.parts[layer].path}.weight" for layer in pruned]
        network = recovered_network(
            settled,
            self._loaded.bench,
            self._task.data.train,
            epochs=epochs,
            method=method,
            seed=seed,
            rate=rate,
            batch=batch,
            temperature=temperature,
            weight=weight,
            flips=flips,
            shift=shift,
            frozen_zeros={name: settled.network.get_parameter(name) == 0 for name in names},
        )
        # Packing knows no negative zeros, which training may leave behind.
        recovered = with_tensors(network, {name: network.get_parameter(name).detach() + 0.0 for name in names})
        described = self._write(Variant(recovered, {}, adapted=False), genome, folder, wanted, verify=True)
        counted = self._levels.counted(genome[np.newaxis], self._task.measures.unpruned)[0]
        return Recovered(self._task.measured(self._loaded, recovered, counted), described)
