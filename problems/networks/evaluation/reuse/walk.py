"""One variant on its way through the network: what of it is there already, and what has to be computed."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import torch
from torch import fx, nn

from emoprune.problems.networks.evaluation.proxies.contract import NormStatistics
from emoprune.problems.networks.evaluation.proxies.estimating import recorded, recording, with_statistics
from emoprune.problems.networks.evaluation.reuse.cache import GDSFCache, bytes_of
from emoprune.problems.networks.evaluation.reuse.folding import folded
from emoprune.problems.networks.evaluation.reuse.stations import Network, Station
from emoprune.problems.networks.evaluation.reuse.tracing import Modules, Values, modules_of, run
from emoprune.problems.networks.variant import Variant

__all__ = ["Batch", "Walk"]

# Multiply-accumulates in the time that a number takes through a step that only reads and writes, and that it takes to
# be copied to its place among fewer channels; measured on one core.
MOVING, SELECTING = 20, 80
_NOTHING = nn.Identity()  # stands where a batch norm was taken over
Batch = tuple[str, int]  # which stream of images, and which of its batches


class Walk:
    """Carries batches through one variant, from what `cache` holds of it to a station that is asked for.

    What is computed depends on nothing but the variant and the batch; `cache` only says whether it must be.
    """

    def __init__(
        self,
        network: Network,
        unpruned: Modules,
        variant: Variant,
        cache: GDSFCache[Any],
        *,
        adapted: bool,
        halved: bool,
    ) -> None:
        self._network = network
        self._unpruned = unpruned
        self._variant = variant
        self._modules = modules_of(variant.network, halved=halved)
        self._settled: dict[str, nn.Module] = {}
        self._halved = halved
        self._folded: dict[str, nn.Module] = {}
        self._taken = frozenset(network.foldings.values())
        self._cache = cache
        norms = {str(norm.target) for station in network.stations for norm in station.norms}
        self._alive = norms - variant.frozen
        self._versions = [self._version(station, adapted=adapted) for station in network.stations]

    def _version(self, station: Station, *, adapted: bool) -> Hashable:
        """Return what of the variant decides a station's value: versions above it, and which norms above it adapt."""
        versions = frozenset(item for item in self._variant.versions.items() if item[0] in station.above)
        if not adapted or self._alive.isdisjoint(station.above):
            return versions, None
        return versions, self._variant.frozen & station.above

    def key(self, station: Station, batch: Batch) -> Hashable:
        """Return what decides the value of a station for a batch."""
        return (*batch, station.number, self._versions[station.number])

    def statistics_key(self, station: Station) -> Hashable:
        """Return what decides the statistics of a station's batch norms."""
        return ("statistics", station.number, self._versions[station.number])

    def touch(self, batches: Iterable[Batch]) -> None:
        """Count a use of everything on this variant's way: its neighbours will need it, though it does not itself."""
        known = [*batches]
        for station in reversed(self._network.stations):
            if station.norms:
                self._cache.touch(self.statistics_key(station))
            for batch in known:
                self._cache.touch(self.key(station, batch))

    def settle(self, statistics: Mapping[str, NormStatistics]) -> None:
        """Let the batch norms of these paths hold these statistics from now on."""
        for path, own in statistics.items():
            alone = with_statistics(nn.Sequential(self._modules(path)), {"0": own})
            self._settled[path] = alone.get_submodule("0")

    def value(self, batch: Batch, images: torch.Tensor) -> Any:
        """Return the network's output for a batch of images; its batch norms must have settled."""
        last = self._network.stations[-1]
        return self._carried(batch, images, [last], [])[last.number]

    def recorded(
        self, batch: Batch, images: torch.Tensor, recording_at: list[Station], recorders: dict[str, nn.Module]
    ) -> dict[str, NormStatistics]:
        """Return what the batch norms of some stations see of a batch on which every batch norm goes by the batch."""

        def module(path: str) -> nn.Module:
            return recorders[path] if path in recorders else self._modules(path)

        self._carried(batch, images, [], recording_at, module)
        paths = [str(norm.target) for station in recording_at for norm in station.norms]
        return {path: recorded(recorders[path]) for path in paths if path in recorders}

    def recorders(self) -> dict[str, nn.Module]:
        """Return recording copies of all batch norms that are not frozen by path."""
        return {path: recording(self._modules(path)) for path in sorted(self._alive)}

    def _carried(
        self,
        batch: Batch,
        images: torch.Tensor,
        wanted: list[Station],
        recording_at: list[Station],
        modules: Modules | None = None,
    ) -> dict[int, Any]:
        """Return the values of the wanted stations; every other value is let go after its last use."""
        values, computed = self._plan(batch, wanted, recording_at)
        values[0] = images
        uses = Counter(number for number in computed for number in self._starts(self._network.stations[number]))
        uses.update(station.number for station in wanted)
        selecting = 0.0
        for number in sorted(computed):
            station, whole = self._network.stations[number], computed[number]
            found, work = self._compute(station, values, modules or self._module, whole)
            for start in self._starts(station):
                uses[start] -= 1
                if not uses[start]:
                    del values[start]
            if whole:
                values[number] = found
                if station.source is None:
                    self._cache.put(self.key(station, batch), found, bytes_of(found), work + selecting)
                selecting = 0.0 if station.source is None else work  # not kept itself, so part of what comes after it
        return values

    def _plan(
        self, batch: Batch, wanted: list[Station], recording_at: list[Station]
    ) -> tuple[dict[int, Any], dict[int, bool]]:
        """Return the values to start from, and the stations to compute: whole, or only as far as their batch norms."""
        values: dict[int, Any] = {}
        computed = {station.number: False for station in recording_at}
        pending = [station.number for station in wanted]
        pending += [number for station in recording_at for number in self._starts(station)]
        while pending:
            number = pending.pop()
            if number == 0 or number in values or computed.get(number):
                continue
            station = self._network.stations[number]
            found = self._cache.get(self.key(station, batch))
            if found is not None:
                values[number] = found
                continue
            computed[number] = True
            pending += self._starts(station)
        return values, computed

    def _starts(self, station: Station) -> tuple[int, ...]:
        """Return the stations from which one is computed for this variant."""
        return station.inputs if station.source is None or not self._selects(station) else (station.source,)

    def _selects(self, station: Station) -> bool:
        path = str(station.node.target)
        return path in self._variant.rows or path not in self._variant.versions

    def _compute(self, station: Station, values: dict[int, Any], modules: Modules, whole: bool) -> tuple[Any, float]:
        """Return the value of a station, if it is wanted whole, and about how much work it was."""
        if station.source is not None and self._selects(station):
            found = _selected(values[station.source], self._variant.rows.get(str(station.node.target)), station)
            return found, float(found.numel()) * SELECTING
        starts: Values = {self._network.stations[number].node: values[number] for number in station.inputs}
        if station.whole:
            modules = self._unpruned_at(station, modules)
        steps = station.steps if whole else station.to_norms
        run(steps, starts, modules, self._attribute, station.overwriting)
        if not whole:
            return None, 0.0
        return starts[station.node], sum(_work(starts[step], self._weight(step)) for step in steps)

    def _weight(self, step: fx.Node) -> Any:
        """Return the weight that a step multiplies with, if it is a module of its own that has one."""
        if step.op != "call_module":
            return None
        return getattr(self._modules(str(step.target)), "weight", None)

    def _unpruned_at(self, station: Station, modules: Modules) -> Modules:
        own = str(station.node.target)
        return lambda path: self._unpruned(path) if path == own else modules(path)

    def _module(self, path: str) -> nn.Module:
        """Return a module for scoring: its batch norms have settled, and may be part of the convolutions before."""
        if self._halved:
            return self._norm(path)
        if path not in self._folded:
            taken = self._network.foldings.get(path)
            if taken is None:
                return _NOTHING if path in self._taken else self._norm(path)
            self._folded[path] = folded(self._modules(path), self._norm(taken))
        return self._folded[path]

    def _norm(self, path: str) -> nn.Module:
        return self._settled[path] if path in self._settled else self._modules(path)

    def _attribute(self, name: str) -> Any:
        network = self._network.constants if name in self._network.constant_names else self._variant.network
        return operator.attrgetter(name)(network)


def _work(value: Any, weight: Any) -> float:
    """Return about how many multiply-accumulates a step takes; moving a number is as much as some of them."""
    if not isinstance(value, torch.Tensor):
        return 0.0
    product = isinstance(weight, torch.Tensor) and weight.ndim > 1
    return float(value.numel()) * (MOVING + (weight[0].numel() if product else 0))


def _selected(full: torch.Tensor, rows: torch.Tensor | None, station: Station) -> torch.Tensor:
    """Return some of the channels, laid out in memory as all of them were."""
    if rows is None:
        return full
    if full.ndim == 4 and full.is_contiguous(memory_format=torch.channels_last):
        return full.permute(0, 2, 3, 1).index_select(-1, rows).permute(0, 3, 1, 2)  # one copy, laid out as needed
    return full.index_select(station.axis, rows)
