"""Running pruned networks that have much in common: what several of them share is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate, NormStatistics
from emoprune.problems.networks.evaluation.proxies.estimating import (
    check_batches,
    check_variances,
    settled_by,
    with_statistics,
)
from emoprune.problems.networks.evaluation.reuse.cache import GDSFCache, bytes_of
from emoprune.problems.networks.evaluation.reuse.stations import Network, Station
from emoprune.problems.networks.evaluation.reuse.tracing import NotFollowed, modules_of
from emoprune.problems.networks.evaluation.reuse.walk import Batch, Walk
from emoprune.problems.networks.evaluation.scoring import in_precision
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

__all__ = ["ReusingRunner"]

CALIBRATION = "calibration"
STATISTICS_WORK = 1e6  # per byte: they are worth a pass of the calibration images, and take no room
TOLERANCE = 1e-3  # of the largest output: sums in another order stay far below, a wrong channel far above


class ReusingRunner:
    """Keeps activations within a limit; results are the same to the bit whatever is kept and whoever came before.

    Args:
        bench: The unpruned network and all images.
        estimate: How batch-norm statistics are estimated anew; None keeps the sliced ones.
        cache_bytes: How much memory kept activations and statistics may take, beside what one batch needs on its way.
        precision: What convolutions and linear layers compute in, `float32` or `bfloat16`.

    Raises:
        NotFollowed: The network's forward cannot be taken apart; it must be run as a whole.
        ContractError: A calibration batch is too small to estimate a variance.
    """

    def __init__(self, bench: Bench, estimate: NormEstimate | None, cache_bytes: int, precision: str) -> None:
        self._bench = bench
        self._estimate = estimate
        self._precision = precision
        self._cache = GDSFCache[Any](cache_bytes)
        self._network = Network.of(bench.network, bench.structure)
        self._norms = [station for station in self._network.stations if station.norms]
        self._unpruned = modules_of(bench.network, halved=precision == "bfloat16")
        if self._norms and estimate is not None:
            check_batches(bench.calibration.batches)
        self._check()

    @property
    def kept_bytes(self) -> int:
        """How much memory the kept activations and statistics take now."""
        return self._cache.used

    def outputs(self, variants: Sequence[Variant], split: Split, piece: int | None = None) -> list[torch.Tensor]:
        """Return the outputs of each variant, each of shape (n, classes), in 32 bits; neighbours first share most."""
        name, images = split.value if piece is None else f"{split.value}/{piece}", self._bench.batches(split, piece)
        return [self._outputs(variant, name, images) for variant in variants]

    def settled(self, variant: Variant) -> Variant:
        """Return the variant with the statistics it is scored with, to the bit."""
        if not self._adapts(variant):
            return variant
        with torch.inference_mode(), in_precision(self._precision, self._bench.device):
            statistics = self._statistics(self._walk(variant), variant)
        decided = frozenset(variant.versions.items())
        versions = {**variant.versions, **dict.fromkeys(statistics, ("settled", decided))}
        return Variant(with_statistics(variant.network, statistics), versions, adapted=False, rows=variant.rows)

    def _adapts(self, variant: Variant) -> bool:
        return variant.adapted and self._estimate is not None and bool(self._norms)

    def _adapting(self, variant: Variant) -> list[Station]:
        """Return the stations with batch norms whose statistics are estimated anew."""
        return [
            station for station in self._norms if any(str(norm.target) not in variant.frozen for norm in station.norms)
        ]

    def _walk(self, variant: Variant) -> Walk:
        halved = self._precision == "bfloat16"
        adapted = self._adapts(variant)
        return Walk(self._network, self._unpruned, variant, self._cache, adapted=adapted, halved=halved)

    def _outputs(self, variant: Variant, part: str, images: Sequence[torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode(), in_precision(self._precision, self._bench.device):
            walk = self._walk(variant)
            walk.touch([*self._calibration(), *((part, number) for number in range(len(images)))])
            if self._adapts(variant):
                walk.settle(self._statistics(walk, variant))
            found = [walk.value((part, number), batch) for number, batch in enumerate(images)]
            joined = torch.cat(found).float()
        return joined.clone()  # an ordinary tensor, not one of inference mode

    def _calibration(self) -> list[Batch]:
        return [(CALIBRATION, number) for number in range(len(self._bench.calibration.batches))]

    def _statistics(self, walk: Walk, variant: Variant) -> dict[str, NormStatistics]:
        """Return the statistics of all batch norms; what is not kept is estimated, all of it in one pass."""
        known: dict[str, NormStatistics] = {}
        missing: list[Station] = []
        for station in self._adapting(variant):
            found = self._cache.get(walk.statistics_key(station))
            if found is None:
                missing.append(station)
            else:
                known |= found
        if missing:
            known |= self._estimated(walk, variant, missing)
        return known

    def _estimated(self, walk: Walk, variant: Variant, missing: list[Station]) -> dict[str, NormStatistics]:
        assert self._estimate is not None  # noqa: S101  # the caller's condition; narrows the type
        recorders = walk.recorders()
        batches = zip(self._calibration(), self._bench.calibration.batches, strict=True)
        seen = [walk.recorded(batch, images, missing, recorders) for batch, images in batches]
        found: dict[str, NormStatistics] = {}
        for station in missing:
            paths = [str(norm.target) for norm in station.norms if str(norm.target) not in variant.frozen]
            own = {
                path: settled_by(self._estimate, variant.network.get_submodule(path), [each[path] for each in seen])
                for path in paths
            }
            check_variances(own)
            size = sum(bytes_of([statistics.mean, statistics.variance]) for statistics in own.values())
            self._cache.put(walk.statistics_key(station), own, size, STATISTICS_WORK * size)
            found |= own
        return found

    def _check(self) -> None:
        """Refuse a network that computes something else step by step: its forward may mix values with fixed sizes."""
        structure, images = self._bench.structure, self._bench.calibration.batches[0][:2]
        kept = [np.arange(0, group.units, 2) for group in structure.groups]
        pruned = pruned_module(self._bench.network, structure, kept)
        versions = {part.path: "halved" for part in structure.parts}
        with torch.inference_mode():
            for variant in (Variant(self._bench.network, {}, adapted=False), Variant(pruned, versions, adapted=False)):
                expected = variant.network(images)
                unkept = GDSFCache[Any](0)
                unpruned = modules_of(self._bench.network)
                walk = Walk(self._network, unpruned, variant, unkept, adapted=False, halved=False)
                _check_same(_value(walk, images), expected)


def _value(walk: Walk, images: torch.Tensor) -> torch.Tensor:
    try:
        found = walk.value((CALIBRATION, -1), images)
    except Exception as error:  # a size that was written down while tracing may fail anywhere
        raise NotFollowed(f"step by step, it does not run: {type(error).__name__}: {error}".splitlines()[0]) from error
    if not isinstance(found, torch.Tensor):
        raise NotFollowed(f"its forward does not return one tensor but a {type(found).__name__}")
    return found


def _check_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    largest = float(expected.abs().nan_to_num().max())
    if found.shape != expected.shape or not torch.allclose(
        found, expected, rtol=0, atol=TOLERANCE * largest, equal_nan=True
    ):
        raise NotFollowed("step by step, its forward gives other outputs")
