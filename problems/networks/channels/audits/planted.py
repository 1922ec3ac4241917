"""Does the criterion find units of no use, in the network itself, where it is known which ones they are?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.contracts import Audit, Finding, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.hooks import readers
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.coupling.structure import Part, Structure

__all__ = ["CASES", "Planted", "planted", "recall"]

UNREAD, SILENT, DUPLICATED = CASES = ("unread", "silent", "duplicated")
Truth = Sequence[NDArray[np.bool_]]  # for each coupling group, which units are of no use
Ranking = Callable[[Evidence], Sequence[Scores]]


@about(
    "audit",
    ["channels"],
    serves=("channels",),
    cost="the criterion once for each planted case",
    papers=[Paper("Plant 'n' Seek: Can You Find the Winning Ticket?", "2111.11153")],
)
@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Plant units of no use in copies of the network, and say how many of them the criterion ranks last.

    `unread` units are read by nobody, `silent` ones put out nothing, `duplicated` ones repeat another unit, which is
    then read half as much by each (not in networks with grouped convolutions, where it may lie in another group). Their
    number is known, so a perfect ranking finds all of them, and a random one their share. Source of the idea: Fischer
    and Burkholz, Plant 'n' Seek: Can You Find the Winning Ticket?, arXiv 2111.11153, where sparse networks are planted
    in random ones, as in `benchmarks/planted.py`; planting in the user's own network is an addition.

    Args:
        share: Of each coupling group's units that are made useless, at least one and at most half.
    """

    share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.share <= 0.5:
            raise ConfigError(f"share: expected above 0 up to 0.5, found {self.share}")

    def __call__(self, front: ChannelFront) -> Audit:
        """Return for each case how many of the planted units rank last, beside an oracle and a random order.

        Raises:
            ConfigError: The front does not say what ranked its units.
        """
        if front.criterion is None:
            raise ConfigError("planted: expected a front that says what ranked its units, found none")
        bench, rng = front.bench, np.random.default_rng(front.seed)
        evidence = Evidence(bench.network, bench.structure, bench.calibration, front.seed)
        findings, rows = list[Finding](), list[dict[str, str | float]]()
        grouped = any(part.conv_groups > 1 and not part.depthwise for part in bench.structure.weighted)
        for case in CASES[:2] if grouped else CASES:
            made, truth = planted(evidence, case, self.share, rng)
            chance = float(np.concatenate(truth).mean())
            found = recall(front.criterion(made), truth, case)
            drawn = recall([rng.random(len(own)) for own in truth], truth, case)
            oracle = recall([np.where(own, 0.0, 1.0) for own in truth], truth, case)
            rows.append({"planted": case, "recall": found, "oracle": oracle, "a random order": drawn, "share": chance})
            blind = found <= chance
            sentence = f"Of {case} units, {chance:.0%} of all, the criterion ranks {found:.0%} last: " + (
                "it does not see them, no more than chance would." if blind else "better than chance."
            )
            findings.append(Finding(f"planted, {case}", found, None, None, blind, sentence))
        return Audit(findings, {"planted units": rows})


def planted(evidence: Evidence, case: str, share: float, rng: np.random.Generator) -> tuple[Evidence, Truth]:
    """Return evidence with a copy of the network in which some units of each group are of no use, and which.

    Args:
        evidence: Stays as it was.
        case: One of CASES.
        share: Of each group's units.
        rng: Draws them.
    """
    network, structure = copy.deepcopy(evidence.network), evidence.structure
    truth: list[NDArray[np.bool_]] = []
    sources: list[NDArray[np.int64]] = []
    for units in structure.units:
        order = rng.permutation(units)
        useless = order[: min(max(1, round(share * units)), units // 2)]
        own = np.zeros(units, dtype=np.bool_)
        own[useless] = True
        source = np.arange(units)
        source[useless] = order[len(useless) : 2 * len(useless)]
        truth.append(own)
        sources.append(source)
    with torch.no_grad():
        for part in structure.parts:
            if case == SILENT and part.outgoing is not None:
                _set(network, part, structure, truth, 0.0, outgoing=True)
            if case == DUPLICATED and part.outgoing is not None:
                _repeat(network, part, sources)
        for part in readers(structure):
            if case == UNREAD:
                _set(network, part, structure, truth, 0.0, outgoing=False)
            if case == DUPLICATED:
                _share(network, part, sources)
    return replace(evidence, network=network), truth


def recall(scores: Sequence[Scores], truth: Truth, case: str) -> float:
    """Return which share of the useless units ranks among as many of the last ones of their group.

    Of duplicated units either the copy or what it repeats may go, so a copy counts as found if it is last or has the
    very score of a unit that is.

    Args:
        scores: Shape (units,) by group.
        truth: As `planted` returns it.
        case: What was planted.
    """
    found = total = 0
    for own, useless in zip(scores, truth, strict=True):
        number = int(useless.sum())
        last = np.argsort(own, kind="stable")[:number]
        if case == DUPLICATED:
            limit = float(own[last].max()) if number else 0.0
            found += min(number, int((useless & (own <= limit)).sum()))
        else:
            found += int(useless[last].sum())
        total += number
    return found / max(1, total)


def _mask(part: Part, structure: Structure, truth: Truth, *, outgoing: bool) -> NDArray[np.bool_]:
    wiring = part.outgoing if outgoing else part.incoming
    assert wiring is not None  # noqa: S101  # as whoever calls found; narrows the type
    found = np.zeros(len(wiring.groups), dtype=np.bool_)
    for group in range(len(structure.groups)):
        own = wiring.groups == group
        found[own] = truth[group][wiring.units[own]]
    return found


def _set(network: nn.Module, part: Part, structure: Structure, truth: Truth, value: float, *, outgoing: bool) -> None:
    """Give the weights, biases and statistics that put planted units out, or the weights that read them, one value."""
    mask = torch.from_numpy(_mask(part, structure, truth, outgoing=outgoing))
    if not outgoing:
        weight, per_group = network.get_parameter(f"{part.path}.weight"), len(mask) // part.conv_groups
        _by_inputs(weight, part, per_group, lambda view, place: view.masked_fill_(mask[place], value))
        return
    for name, tensor in _tensors_of(network, part):
        if name != "running_var":
            axis = _outgoing_axis(part, name, tensor)
            tensor.index_fill_(axis, mask.nonzero()[:, 0], value)


def _repeat(network: nn.Module, part: Part, sources: Sequence[NDArray[np.int64]]) -> None:
    """Overwrite what puts a copy out by what puts its source out."""
    assert part.outgoing is not None  # noqa: S101  # as whoever calls found; narrows the type
    places = np.arange(len(part.outgoing.groups))
    for group, source in enumerate(sources):
        own = np.flatnonzero(part.outgoing.groups == group)
        units = part.outgoing.units[own]
        # The k-th channel of a unit repeats the k-th channel of its source.
        first = {int(unit): own[units == unit] for unit in np.unique(units)}
        for unit, channels in first.items():
            places[channels] = first[int(source[unit])]
    index = torch.from_numpy(places)
    for name, tensor in _tensors_of(network, part):
        axis = _outgoing_axis(part, name, tensor)
        tensor.copy_(tensor.index_select(axis, index))


def _share(network: nn.Module, part: Part, sources: Sequence[NDArray[np.int64]]) -> None:
    """Let a copy be read as its source is, each half as much as the source was."""
    assert part.incoming is not None  # noqa: S101  # a reader takes channels in; narrows the type
    weight = network.get_parameter(f"{part.path}.weight")
    factors, places = torch.ones(len(part.incoming.groups)), np.arange(len(part.incoming.groups))
    for group, source in enumerate(sources):
        own = np.flatnonzero(part.incoming.groups == group)
        units = part.incoming.units[own]
        by_unit = {int(unit): own[units == unit] for unit in np.unique(units)}
        for unit, channels in by_unit.items():
            if source[unit] != unit:
                places[channels] = by_unit[int(source[unit])]
                factors[channels] = 0.5
                factors[by_unit[int(source[unit])]] = 0.5
    index = torch.from_numpy(places)
    axis = 0 if part.kind.startswith("ConvTranspose") else 1
    shape = [-1 if each == axis else 1 for each in range(weight.ndim)]
    weight.copy_(weight.index_select(axis, index) * factors.to(weight).view(shape))


def _by_inputs(
    weight: torch.Tensor, part: Part, per_group: int, change: Callable[[torch.Tensor, slice], object]
) -> None:
    """Call `change` with the weights by input channel, a view whose last axis they are, for each convolution group."""
    if part.kind.startswith("ConvTranspose"):
        change(weight.movedim(0, -1), slice(0, len(weight)))
        return
    filters = len(weight) // part.conv_groups
    for group in range(part.conv_groups):
        own = weight[group * filters : (group + 1) * filters]
        change(own.movedim(1, -1), slice(group * per_group, (group + 1) * per_group))


def _tensors_of(network: nn.Module, part: Part) -> list[tuple[str, torch.Tensor]]:
    module = network.get_submodule(part.path)
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return [(name, tensor) for name, tensor in own if tensor.ndim > 0]


def _outgoing_axis(part: Part, name: str, tensor: torch.Tensor) -> int:
    return 1 if name == "weight" and tensor.ndim > 1 and part.kind.startswith("ConvTranspose") else 0
