"""What measuring takes, loaded once, and what it says of pruned networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import nn

from emoprune.contracts import Failure, FloatArray, Row, number_of
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.latency import Latency, Timing, measure_milliseconds
from emoprune.problems.networks.evaluation.layout import laid_out
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.problems.networks.evaluation.members import members_of
from emoprune.problems.networks.evaluation.objectives.contract import (
    OUTPUTS,
    OUTPUTS_OF_BOTH,
    Built,
    Scored,
    Seen,
    examples_of,
)
from emoprune.problems.networks.evaluation.runner import Runner
from emoprune.problems.networks.evaluation.scoring import finite_outputs_of, outputs_of
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

__all__ = ["Loaded", "built_of"]

NOT_FINITE = Failure("the network's outputs are not finite")


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What `setup` loads: the bench, the runner, what is measured, and what candidates are held against.

    `unpruned_outputs` are there if a measure asks for them; `unpruned` are the unpruned network's values of what is
    counted and of all measures of which a share is bounded, its latency measured here.
    """

    bench: Bench
    runner: Runner
    measures: Measures
    latency: Latency
    unpruned_outputs: Mapping[Split, torch.Tensor]
    unpruned: Mapping[str, float]

    @classmethod
    def of(cls, bench: Bench, runner: Runner, measures: Measures, latency: Latency) -> Loaded:
        """Measure of the unpruned network what others are held against."""
        outputs: dict[Split, torch.Tensor] = {}
        if measures.need(OUTPUTS_OF_BOTH):
            unpruned = Variant(bench.network, {}, adapted=False)
            outputs = {split: runner.outputs([unpruned], split)[0] for split in Split}
        found = measures.counted(measures.unpruned)
        seen = Seen(measures.unpruned, built=built_of(bench, latency, bench.network))
        others = {name: number_of(name, measures.known[name], seen) for name in sorted(measures.shared - found.keys())}
        return cls(bench, runner, measures, latency, outputs, found | others)

    def rows(self, variants: Sequence[Variant], counts: Sequence[Mapping[str, float]], split: Split) -> list[Row]:
        """Return one row per variant; `counts` holds the macs, parameters and bytes of each."""
        scored = self.measures.need(OUTPUTS, OUTPUTS_OF_BOTH)
        outputs = self.runner.outputs(variants, split) if scored else [None] * len(variants)
        return [self._row(*each, split) for each in zip(variants, outputs, counts, strict=True)]

    def block_rows(
        self, variants: Sequence[Variant], counts: Sequence[Mapping[str, float]], split: Split, blocks: range
    ) -> list[FloatArray | Failure]:
        """Return one array per variant, shape (blocks, objectives + constraints), as `evaluate_blocks` has it."""
        pieces = [
            self._piece_rows(variants, counts, split, piece, own)
            for piece, own in self.bench.blocks[split].pieces(blocks)
        ]
        return [_behind_each_other(own) for own in zip(*pieces, strict=True)]

    def _piece_rows(
        self,
        variants: Sequence[Variant],
        counts: Sequence[Mapping[str, float]],
        split: Split,
        piece: int,
        blocks: range,
    ) -> list[FloatArray | Failure]:
        dealt = self.bench.blocks[split]
        rows = torch.from_numpy(dealt.rows(piece)).to(self.bench.device)
        labels, unpruned = self.bench.images[split].labels[rows], self.unpruned_outputs.get(split)
        every = {name: examples_of(self.measures.known[name]) for name in self.measures.needed}
        measured = {name: own for name, own in every.items() if own is not None}
        found: list[FloatArray | Failure] = []
        for outputs, counted in zip(self.runner.outputs(variants, split, piece), counts, strict=True):
            if not torch.isfinite(outputs).all():
                found.append(NOT_FINITE)
                continue
            seen = Seen(counted, Scored(outputs, labels, None if unpruned is None else unpruned[rows]))
            averaged = {name: dealt.means(piece, each(seen), blocks) for name, each in measured.items()}
            found.append(self.measures.block_rows(counted, averaged))
        return found

    def _row(self, variant: Variant, outputs: torch.Tensor | None, counts: Mapping[str, float], split: Split) -> Row:
        scored = None
        if outputs is not None:
            if not torch.isfinite(outputs).all():
                return NOT_FINITE
            scored = Scored(outputs, self.bench.images[split].labels, self.unpruned_outputs.get(split))
        built = built_of(self.bench, self.latency, variant.network, lambda: self.runner.settled(variant).network)
        return self.measures.row(self.measures.values(Seen(counts, scored, built)), self.unpruned)

    def measured(self, network: nn.Module, counts: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Return the objectives of a network in eval mode by split and name, as it is: no statistics are estimated.

        Raises:
            ContractError: Its outputs are not finite.
        """
        built, found = built_of(self.bench, self.latency, network), dict[str, dict[str, float]]()
        for split in Split:
            images = self.bench.images[split]
            unpruned = outputs_of(self.bench.network, images)
            scored = Scored(finite_outputs_of(network, images), images.labels, unpruned)
            values = self.measures.values(Seen(counts, scored, built))
            found[split.value] = {name: values[name] for name in self.measures.objective_names}
        return found


def _behind_each_other(pieces: Sequence[FloatArray | Failure]) -> FloatArray | Failure:
    arrays = []
    for each in pieces:
        if isinstance(each, Failure):
            return each
        arrays.append(each)
    return np.concatenate(arrays)


def built_of(bench: Bench, latency: Latency, pruned: nn.Module, settle: Callable[[], nn.Module] | None = None) -> Built:
    """Return a network as measures see it; `settle` returns it with the statistics that it is scored with."""
    settled = cache(settle or (lambda: pruned))
    return Built(pruned, settled, cache(lambda: _timing(bench, latency, settled())), lambda: members_of(bench))


def _timing(bench: Bench, latency: Latency, network: nn.Module) -> Timing:
    """Return how long a network takes for one batch, always of the same images."""
    images = torch.cat(bench.calibration.batches)
    rows = torch.arange(latency.batch, device=images.device) % len(images)
    batch = laid_out(images[rows], bench.layout)
    (timing,) = measure_milliseconds([network], batch, repeats=latency.repeats, warm_up=latency.warm_up)
    return timing
