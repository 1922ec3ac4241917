"""Bits per weight of any network: how coarsely each layer is rounded, against error and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from emoprune import plugins
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.evaluation.latency import LATENCY, Latency
from emoprune.problems.networks.layers.prepare import Method
from emoprune.problems.networks.layers.problem import Layerwise, for_activations
from emoprune.problems.networks.layers.references.catalogue import OF_BITS
from emoprune.problems.networks.layers.treatments.bits import BITS, Rounding
from emoprune.problems.networks.task import NetworkTask, Options, Precision, Proxy

__all__ = ["BitWidths"]


def _unscored(_evidence: Evidence) -> dict[str, torch.Tensor]:
    """Return no scores: rounding treats all weights of a layer alike."""
    return {}


class BitWidths(Layerwise):
    """Round weights: one gene per layer says with how many bits each of its weights is stored.

    Round to nearest, one scale per outgoing channel; activations stay 32-bit floats, so the network runs no faster.
    Batch-norm statistics are estimated anew before a network is scored; no weight is trained. There is no recovery:
    training weights that are rounded needs gradients through the rounding, which is not part of this problem.

    Args:
        network: A built-in network, or `package.module:function` that returns a torch module.
        data: Built-in images, a folder, or `package.module:function` that returns images.
        weights: A file with the network's state_dict, safetensors or torch's own format.
        epochs: How long to train on top, once per run; None trains a built-in network if it got no weights.
        ignore: Patterns of layers that stay 32-bit floats.
        bits: The numbers of bits to choose from, rising; the last is 32, the floats themselves.
        references: What a user would have picked without a search: uniform, largest-first, first-order.
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
        bits: Sequence[int] = BITS,
        references: Sequence[str | Mapping[str, Any]] = OF_BITS,
        objectives: Sequence[str] = ("error", "bytes"),
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
        methods = plugins.methods("reference", references, "bit-widths", option="references")
        super().__init__(task, Rounding.of(bits), Method("none", _unscored, methods), cache_megabytes)
