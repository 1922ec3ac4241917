"""Where a walk through a network can stop and start again: the values that weighted parts and joins take in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import fx, nn

from emoprune.problems.networks.coupling.kinds import NUMBER
from emoprune.problems.networks.coupling.structure import FIXED, Structure, Wiring
from emoprune.problems.networks.evaluation.proxies.estimating import estimating_norms
from emoprune.problems.networks.evaluation.reuse.folding import foldings, overwriting
from emoprune.problems.networks.evaluation.reuse.tracing import NotFollowed, traced

__all__ = ["Network", "Station"]


@dataclass(frozen=True, slots=True, eq=False)
class Station:
    """A value on the way through a network, and the steps that lead to it from the stations before.

    `node` gives the value; `steps` end with it; `inputs` are the numbers of the stations the steps start from.
    `norms` are the batch norms among the steps, `to_norms` the steps that lead to them, `overwriting` those that may
    change what they take in. `above` names everything with tensors at or before the station. A `whole` station holds
    the value of the unpruned module, from which the next station, whose `source` it is, takes some channels along
    `axis`.
    """

    number: int
    node: fx.Node
    steps: tuple[fx.Node, ...]
    inputs: tuple[int, ...]
    norms: tuple[fx.Node, ...]
    to_norms: tuple[fx.Node, ...]
    above: frozenset[str]
    overwriting: frozenset[fx.Node] = frozenset()
    whole: bool = False
    source: int | None = None
    axis: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The stations of a network in the order of its forward; the first is its input and the last its output."""

    stations: tuple[Station, ...]
    foldings: Mapping[str, str]  # convolutions by path, with the batch norms that they can take over
    constants: nn.Module
    constant_names: frozenset[str]
    graph: fx.Graph  # owns the nodes

    @classmethod
    def of(cls, network: nn.Module, structure: Structure) -> Network:
        """Take a network apart.

        Raises:
            NotFollowed: Its forward cannot be taken apart.
        """
        counting = [part.path for part in structure.parts if part.kind == NUMBER and part.varies]
        if counting:
            raise NotFollowed(f"its forward takes numbers of channels from attributes ({', '.join(counting[:3])})")
        graph, root = traced(network)
        own = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
        attributes = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
        stations = tuple(_Partition(graph, root, structure).stations())
        taken = foldings(graph, root, {station.node for station in stations})
        return cls(stations, taken, root, frozenset(attributes - own), graph)


class _Partition:
    """Cuts the graph of one network into stations."""

    def __init__(self, graph: fx.Graph, root: nn.Module, structure: Structure) -> None:
        self._graph = graph
        self._root = root
        self._owned = {node: _owned(root, node) for node in graph.nodes if node.op in {"call_module", "get_attr"}}
        self._weighted = {node for node in graph.nodes if node.op == "call_module" and _is_weighted(root, node)}
        self._estimating = frozenset(estimating_norms(root))
        self._norms = {node for node in graph.nodes if node.op == "call_module" and node.target in self._estimating}
        self._pruned = {part.path for part in structure.parts if _varies(part.incoming) or _varies(part.outgoing)}
        self._selecting = {
            part.path for part in structure.weighted if not _varies(part.incoming) and _varies(part.outgoing)
        }
        self._axes = {part.path: -1 for part in structure.weighted if part.kind == "Linear"}
        self._found: list[Station] = []
        self._number: dict[fx.Node, int] = {}

    def stations(self) -> list[Station]:
        """Return all stations in order."""
        for node in self._graph.nodes:
            if node.op == "placeholder":
                if node.users:
                    self._add(Station(0, node, (), (), (), (), frozenset()))
            elif self._is_stem(node):
                self._add_station(node, whole=True)
                self._add_station(node, source=len(self._found) - 1)
            elif self._is_station(node):
                self._add_station(node)
        return self._found

    def _add(self, station: Station) -> None:
        self._number[station.node] = station.number
        self._found.append(station)

    def _is_station(self, node: fx.Node) -> bool:
        if node.op in {"get_attr", "output"}:
            return False
        feeds = [user in self._weighted or user.op == "output" or self._is_stem(user) for user in node.users]
        return len(feeds) > 1 or any(feeds)

    def _is_stem(self, node: fx.Node) -> bool:
        """Say whether the step is a weighted part, some of whose outgoing channels go, before which nothing does."""
        if node not in self._weighted or node.target not in self._selecting:
            return False
        before = {path for input_node in _ancestors(node) for path in self._owned.get(input_node, ())}
        return not before & self._pruned

    def _add_station(self, node: fx.Node, *, whole: bool = False, source: int | None = None) -> None:
        steps, inputs = self._leading_to(node)
        before = [self._found[number] for number in inputs]
        own = {path for step in steps for path in self._owned.get(step, ()) if not (whole and step is node)}
        norms = tuple(step for step in steps if step in self._norms)
        to_norms = {node for norm in norms for node in (*_ancestors(norm), norm)}
        self._add(
            Station(
                len(self._found),
                node,
                steps,
                inputs,
                norms,
                tuple(step for step in steps if step in to_norms),
                frozenset(own).union(*(station.above for station in before)),
                overwriting(steps, self._root),
                whole=whole,
                source=source,
                axis=self._axes.get(str(node.target), 1),
            )
        )

    def _leading_to(self, node: fx.Node) -> tuple[tuple[fx.Node, ...], tuple[int, ...]]:
        """Return the steps to `node` from the stations before it, in order, and these stations' numbers."""
        steps, inputs, pending = {node}, set(), [*node.all_input_nodes]
        while pending:
            other = pending.pop()
            if other in self._number:
                inputs.add(self._number[other])
            elif other not in steps:
                steps.add(other)
                pending += other.all_input_nodes
        return tuple(each for each in self._graph.nodes if each in steps), tuple(sorted(inputs))


def _varies(wiring: Wiring | None) -> bool:
    return wiring is not None and bool((wiring.groups != FIXED).any())


def _is_weighted(root: nn.Module, node: fx.Node) -> bool:
    return any(parameter.ndim > 1 for parameter in root.get_submodule(str(node.target)).parameters())


def _owned(root: nn.Module, node: fx.Node) -> tuple[str, ...]:
    """Return the paths under which a version of what the step uses may be named."""
    path = str(node.target)
    if node.op == "get_attr":
        levels = path.split(".")
        return tuple(".".join(levels[: end + 1]) for end in range(len(levels)))
    module = root.get_submodule(path)
    inner = [name for name, _ in module.named_modules()] + [name for name, _ in module.named_parameters()]
    return tuple(f"{path}.{name}".rstrip(".") for name in inner)


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found: set[fx.Node] = set()
    pending: Sequence[fx.Node] = node.all_input_nodes
    while pending:
        found |= set(pending)
        pending = [other for each in pending for other in each.all_input_nodes if other not in found]
    return found
