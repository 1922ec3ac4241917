"""Bits per weight of transformers: how coarsely each linear layer is rounded, against quality and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emoprune import plugins
from emoprune.contracts import Reference
from emoprune.problems.networks.layers.references.catalogue import OF_BITS, first_references
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.treatments.bits import BITS, Rounding
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.networks.transformers.tasks.options import Options, Purpose
from emoprune.problems.networks.transformers.weights.layers import Ranks
from emoprune.problems.networks.transformers.weights.measured import weight_gradients
from emoprune.problems.networks.transformers.weights.problem import LayerProblem

__all__ = ["TransformerBitWidths"]


class TransformerBitWidths(LayerProblem):
    """Round weights: one gene per linear layer says with how many bits each of its weights is stored.

    Round to nearest, one scale per outgoing channel; activations stay 32-bit floats, so the model runs no faster.

    Args:
        model: minilm, smollm2, a Hugging Face folder, a GGUF file, or owner/model on a hub.
        task: What the model is for: language-modelling, text-classification or image-classification.
        data: As for `heads-and-neurons`.
        length: Tokens in a window of text, or at most in a sentence.
        calibration: Windows or examples that scores are computed on.
        search: Windows that lead the search; for classification the parts of the data say.
        select: Windows that choose from its front.
        test: Windows that are reported.
        ignore: Patterns of layers that stay as they are, as in `*.down_proj`.
        bits: The numbers of bits to choose from, rising; the last is 32, the floats themselves.
        objectives: What is minimised: perplexity, loss, error, kl, macs, parameters, bytes, milliseconds.
        at_most: Bounds by measure, or as `bytes-share` in shares of the unpruned model.
        batch: How many examples are timed at once for milliseconds.
        cache_megabytes: How much memory each worker may use for hidden states and layers that candidates share.
    """

    def __init__(
        self,
        *,
        model: str = "smollm2",
        task: Purpose = "language-modelling",
        data: str | Mapping[str, str] = "python-topics",
        length: int = 128,
        calibration: int = 16,
        search: int = 8,
        select: int = 16,
        test: int = 32,
        ignore: Sequence[str] = (),
        bits: Sequence[int] = BITS,
        objectives: Sequence[str] = (),
        at_most: Mapping[str, float] | None = None,
        batch: int = 1,
        cache_megabytes: int = 384,
    ) -> None:
        options = Options(
            model=model,
            task=task,
            data=data if isinstance(data, str) else dict(data),
            length=length,
            calibration=calibration,
            search=search,
            select=select,
            test=test,
            objectives=tuple(objectives),
            at_most=dict(at_most or {}),
            batch=batch,
            cache_megabytes=cache_megabytes,
        )
        super().__init__(options, Rounding.of(bits), ignore, "bytes")

    def made_references(self, opened: Opened) -> tuple[Reference, ...]:
        """Return every number of bits for all layers alike, and two orders at some percentages."""
        weights = {
            part.path: opened.task.model.get_submodule(part.path).weight.detach() for part in self._genes.levels.parts
        }
        levels = self._genes.levels
        inputs = LayerReferenceInputs.of(
            levels, weights, lambda: weight_gradients(opened, levels), np.random.default_rng(0)
        )
        return first_references(plugins.methods("reference", OF_BITS, "transformer-bit-widths"), inputs)[0]

    def ranks(self) -> Ranks:
        """Return nothing: rounding treats all weights of a layer alike."""
        return {}
