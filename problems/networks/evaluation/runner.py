"""Running pruned networks: estimate the batch-norm statistics anew, then put the images through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate
from emoprune.problems.networks.evaluation.proxies.estimating import estimated, estimating_norms
from emoprune.problems.networks.evaluation.reuse.runner import ReusingRunner
from emoprune.problems.networks.evaluation.reuse.tracing import NotFollowed
from emoprune.problems.networks.evaluation.scoring import in_precision, outputs_of
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

__all__ = ["Chosen", "PlainRunner", "Runner", "runner_of"]


class Runner(Protocol):
    """Puts a split's images through variants; what neighbours share may be computed once, results stay exact."""

    def outputs(self, variants: Sequence[Variant], split: Split, piece: int | None = None) -> list[torch.Tensor]:
        """Return the outputs of each variant, each of shape (n, classes), in 32 bits.

        Of all images of a split, or of those in one piece of its blocks.
        """
        ...

    def settled(self, variant: Variant) -> Variant:
        """Return the variant with the statistics it is scored with: what is exported, recovered or timed."""
        ...


class PlainRunner:
    """Runs every variant by itself from the first layer to the last.

    Args:
        bench: The unpruned network and all images.
        estimate: How batch-norm statistics are estimated anew; None keeps the sliced ones.
        precision: What convolutions and linear layers compute in, `float32` or `bfloat16`.
    """

    def __init__(self, bench: Bench, estimate: NormEstimate | None, precision: str = "float32") -> None:
        self._bench = bench
        self._estimate = estimate
        self._precision = precision

    def outputs(self, variants: Sequence[Variant], split: Split, piece: int | None = None) -> list[torch.Tensor]:
        """Return the outputs of each variant, each of shape (n, classes), in 32 bits."""
        images = replace(self._bench.images[split], batches=self._bench.batches(split, piece))
        return [outputs_of(self.settled(variant).network, images, self._precision) for variant in variants]

    def settled(self, variant: Variant) -> Variant:
        """Return the variant with its batch-norm statistics estimated anew, unless it keeps those it has."""
        if not variant.adapted or self._estimate is None:
            return variant
        with in_precision(self._precision, self._bench.device):
            network = estimated(variant.network, self._bench.calibration.batches, self._estimate, variant.frozen)
        decided = frozenset(variant.versions.items())
        settled = estimating_norms(network).keys() - variant.frozen
        versions = {**variant.versions, **dict.fromkeys(sorted(settled), ("settled", decided))}
        return Variant(network, versions, adapted=False, rows=variant.rows)


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """The runner of a bench, and why it is not the fast one, if it is not."""

    runner: Runner
    note: str | None


def runner_of(bench: Bench, estimate: NormEstimate | None, cache_bytes: int, precision: str) -> Chosen:
    """Return the runner that shares what it can, or the plain one for a network that cannot be taken apart.

    Raises:
        ContractError: A calibration batch is too small to estimate a variance.
    """
    try:
        return Chosen(ReusingRunner(bench, estimate, cache_bytes, precision), None)
    except NotFollowed as error:
        return Chosen(
            PlainRunner(bench, estimate, precision),
            f"network: {error}; every candidate is run from its first layer, nothing is shared",
        )
