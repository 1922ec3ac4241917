"""Cross-network constraint training: each part learns to digest what the pruned part before it puts out.

After Shang et al., arXiv 2303.16212: a part is trained towards the labels, through the frozen rest of the unpruned
network, and towards the features that the unpruned part gives; it is fed by the parts before it as they are pruned.
The paper's code is not public; this is a reconstruction, and all parts trained at once are an addition.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import fx, nn
from torch.nn import functional

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.reuse.tracing import Modules, Values, modules_of, run, traced
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Constraint", "Held", "Order", "Turn", "constrained"]

Order = Literal["together", "forward", "backward"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """How strongly features are held to the unpruned part's, and in which order the parts are trained.

    The loss is cross-entropy + `weight` x the mean squared distance of features at the part's end, summed over the
    ends of all parts if they are trained `together`; `forward` trains the first part first, so that each is fed by
    trained ones.
    """

    weight: float = 10.0
    order: Order = "together"

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise ConfigError(f"feature_weight: expected 0 or a positive number, found {self.weight}")
        if self.order not in get_args(Order):
            raise ConfigError(f"order: expected {', '.join(get_args(Order))}, found {self.order!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Features that are held to the unpruned network's: the node that puts them out, at the end of a part.

    `crossing` are the channels that may lie on them: how many there are unpruned, and the indices of those that stay.
    """

    node: str
    crossing: tuple[tuple[int, IntArray], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One part's turn to be trained, or that of all parts together.

    `modules` are the paths of the part's modules that have tensors; `base` is the network in which it is trained: this
    part and those before it pruned, those behind it not. The features of the last part are the outputs, which the
    labels judge: they are not among the `held` ones.
    """

    name: str
    modules: tuple[str, ...]
    base: nn.Module
    held: tuple[Held, ...] = ()


class _Constrained(nn.Module):
    """A network of which one part is trained, or all; in training the features' distance is its last output.

    Only the part's modules are registered: everything else is frozen and shared.
    """

    def __init__(self, network: nn.Module, dense: nn.Module, graph: fx.Graph, turn: Turn) -> None:
        super().__init__()
        self.trained_part = nn.ModuleDict({_key(path): network.get_submodule(path) for path in turn.modules})
        self.graph = graph  # owns the nodes
        self.rest = _Frozen(modules_of(network), network)
        self.dense = _Frozen(modules_of(dense), dense)
        self.steps = [node for node in graph.nodes if node.op not in {"placeholder", "output"}]
        (self.given,) = [node for node in graph.nodes if node.op == "placeholder" and node.users]
        (output,) = [node for node in graph.nodes if node.op == "output"]
        self.output: Any = output.args[0]
        named = {node.name: node for node in self.steps}
        self.held = [(named[held.node], held.crossing) for held in turn.held]
        self.until = max((self.steps.index(node) + 1 for node, _ in self.held), default=0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return outputs of shape (n, classes), in training with one more column."""
        values: Values = {self.given: images}
        run(self.steps, values, self._module, self.rest.attribute)
        outputs: torch.Tensor = values[self.output]
        if not self.training:
            return outputs
        return torch.cat([outputs, self._distance(values, images, outputs)], dim=1)

    def _module(self, path: str) -> nn.Module:
        key = _key(path)
        return self.trained_part[key] if key in self.trained_part else self.rest.modules(path)

    def _distance(self, values: Values, images: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """Return the mean squared distance of each image's features from the unpruned ones, shape (n, 1)."""
        unpruned: Values = {self.given: images}
        with torch.no_grad():
            run(self.steps[: self.until], unpruned, self.dense.modules, self.dense.attribute)
        distance = torch.zeros_like(outputs[:, 0])
        for node, crossing in self.held:
            gap = values[node] - _staying(unpruned[node], values[node], crossing)
            distance = distance + gap.square().flatten(1).mean(dim=1)
        return distance[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class _Frozen:
    """A network that is run step by step as it is; no module registers it."""

    modules: Modules
    network: nn.Module

    def attribute(self, name: str) -> Any:
        return operator.attrgetter(name)(self.network)


def _staying(wanted: torch.Tensor, found: torch.Tensor, crossing: Sequence[tuple[int, IntArray]]) -> torch.Tensor:
    """Return those channels of the unpruned features that the found ones have as well."""
    for axis in range(1, wanted.ndim):
        before, now = wanted.shape[axis], found.shape[axis]
        if before == now:
            continue
        fitting = [staying for total, staying in crossing if (total, len(staying)) == (before, now)]
        if not fitting:
            raise ContractError(f"features at a cut: expected {before} channels, or those that stay, found {now}")
        return wanted.index_select(axis, torch.from_numpy(fitting[0]).to(wanted.device))
    return wanted


def _key(path: str) -> str:
    return path.replace(".", "-")


@dataclass(frozen=True, slots=True)
class _Target:
    """Cross-entropy with the labels + weight x the distance in the last column."""

    weight: float

    def __call__(
        self,
        outputs: torch.Tensor,
        labels: torch.Tensor,
        batch: torch.Tensor,  # noqa: ARG002  # the contract's
        rows: torch.Tensor,  # noqa: ARG002  # the contract's
    ) -> torch.Tensor:
        return functional.cross_entropy(outputs[:, :-1], labels) + self.weight * outputs[:, -1].mean()


def constrained(
    turns: Sequence[Turn],
    bench: Bench,
    training: TrainingImages,
    plan: Plan,
    constraint: Constraint,
    *,
    seed: int,
) -> dict[str, torch.Tensor]:
    """Return the tensors of all parts' modules by name, each trained in its turn.

    A part is fed by the parts before it, trained if they had their turn already; what was best on `select` is kept of
    each.

    Args:
        turns: The parts, in the order of the network, or one turn for all of them.
        bench: Holds the unpruned network and the select part of the data.
        training: What they are trained on.
        plan: Of each turn.
        constraint: How features are held to the unpruned part's, and in which order parts have their turns.
        seed: Fixes the order of the images.
    """
    graph, _ = traced(bench.network)
    found: dict[str, torch.Tensor] = {}
    ordered = list(enumerate(turns))
    for number, turn in ordered[::-1] if constraint.order == "backward" else ordered:
        before = {path for earlier in turns[:number] for path in earlier.modules}
        known = {name: tensor for name, tensor in found.items() if name.rpartition(".")[0] in before}
        made = trained(
            _Constrained(with_tensors(turn.base, known), bench.network, graph, turn),
            training,
            plan,
            seed + number,
            target=_Target(constraint.weight),
            held_out=bench.images[Split.SELECT],
            from_start=True,
            label=f"constraint training of {turn.name}",
        )
        found |= _tensors(made.network, turn.modules)
    return found


def _tensors(network: nn.Module, paths: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return the tensors of the trained modules by their names in the whole network."""
    found: dict[str, torch.Tensor] = {}
    for path in paths:
        module = network.get_submodule(f"trained_part.{_key(path)}")
        found |= {f"{path}.{name}": tensor.detach() for name, tensor in module.state_dict().items()}
    return found
