"""Where a network can be cut in two: the places that everything passes through, and which channels cross them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import fx, nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.evaluation.reuse.tracing import NotFollowed, traced

__all__ = ["Chain", "CutPoint"]


@dataclass(frozen=True, slots=True)
class CutPoint:
    """A place after which the forward needs one value of all that it computed so far.

    `name` is the path of the module that ends there, `node` the step that gives the value, `position` its place in the
    order of steps; `crossing` are the coupling groups whose channels lie on both sides: a cut here keeps them whole.
    """

    name: str
    node: str
    position: int
    crossing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """A network in the order of its steps: where it can be cut, and from which step to which each group reaches.

    `spans` holds for each coupling group its first and last step; `ends` for each module the last step inside of it;
    `called` are the paths of the modules that are steps themselves.
    """

    cuts: tuple[CutPoint, ...]
    spans: tuple[tuple[int, int], ...]
    ends: Mapping[str, int]
    called: tuple[str, ...]

    @classmethod
    def of(cls, network: nn.Module, structure: Structure) -> Chain:
        """Find the cut points of a network.

        Raises:
            ConfigError: Its forward cannot be taken apart into steps.
        """
        try:
            graph, root = traced(network)
        except NotFollowed as error:
            raise ConfigError(
                f"network: it cannot be split into a chain of parts: {error}; search it whole with the problem channels"
            ) from error
        return _Reading(graph, root, structure).chain()

    def cut_after(self, name: str) -> CutPoint:
        """Return the cut point at the end of the module `name`.

        Raises:
            ConfigError: There is no such module, or other values pass beside its output, as a shortcut does.
        """
        known = {cut.name: cut for cut in self.cuts}
        if name in known:
            return known[name]
        if name not in self.ends:
            raise ConfigError(f"cuts: the network's forward runs no module {name!r}; {self._legal()}")
        there = [cut for cut in self.cuts if cut.position >= self.ends[name]]
        if there and there[0].position in self._same(self.ends[name]):
            return there[0]
        raise ConfigError(
            f"cuts: after {name!r} more than one value is still needed, as where a shortcut passes by; {self._legal()}"
        )

    def _same(self, position: int) -> range:
        """Return the steps up to the next one that some coupling group lies on."""
        later = [step for span in self.spans for step in span if step > position]
        return range(position, min(later, default=position + 1))

    def _legal(self) -> str:
        named = ", ".join(cut.name for cut in self.cuts)
        return f"it can be cut after {named}" if named else "it can be cut nowhere"


class _Reading:
    """Reads the steps of one network."""

    def __init__(self, graph: fx.Graph, root: nn.Module, structure: Structure) -> None:
        self._nodes = [node for node in graph.nodes if node.op not in {"get_attr", "output"} and node.users]
        self._places = {node: place for place, node in enumerate(self._nodes)}
        self._last_use = {node: max(self._place_of_user(user) for user in node.users) for node in self._nodes}
        self._root = root
        self._structure = structure
        self._steps = self._steps_of_parts(graph)

    def _place_of_user(self, user: fx.Node) -> int:
        return self._places[user] if user in self._places else len(self._nodes)

    def chain(self) -> Chain:
        spans = tuple(self._span([path for path, _ in group.members]) for group in self._structure.groups)
        called = dict.fromkeys(str(node.target) for node in self._nodes if node.op == "call_module")
        return Chain(tuple(self._cuts(spans)), spans, self._ends(), tuple(called))

    def _steps_of_parts(self, graph: fx.Graph) -> dict[str, list[int]]:
        """Return the steps in which each part takes part; a bare parameter's are those that use it."""
        steps: dict[str, list[int]] = {}
        for node in graph.nodes:
            if node.op == "call_module" and node in self._places:
                steps.setdefault(str(node.target), []).append(self._places[node])
            elif node.op == "get_attr":
                steps.setdefault(str(node.target), []).extend(
                    self._places[user] for user in node.users if user in self._places
                )
        return steps

    def _span(self, paths: Sequence[str]) -> tuple[int, int]:
        steps = [step for path in paths for step in self._steps.get(path, ())]
        # A part that no step shows (inside a module that is run as one) could be anywhere: the group is cut nowhere.
        known = all(path in self._steps for path in paths)
        return (min(steps), max(steps)) if known and steps else (-1, len(self._nodes))

    def _ends(self) -> dict[str, int]:
        ends: dict[str, int] = {}
        for place, node in enumerate(self._nodes):
            for path in _modules_around(node):
                ends[path] = place
        return ends

    def _cuts(self, spans: Sequence[tuple[int, int]]) -> Iterator[CutPoint]:
        """Yield the last of the places between two parts where only one value is still needed."""
        ends, waists = self._ends(), self._waists()
        for place, node in waists.items():
            following = self._next_part(place)
            later = [other for other in waists if place < other < following]
            if following == len(self._nodes) or self._next_part(-1) > place or later:
                continue
            if self._weighted(self._nodes[place]) and not self._weighted(self._nodes[following]):
                continue  # between a layer and its norm
            crossing = tuple(group for group, (first, last) in enumerate(spans) if first <= place < last)
            yield CutPoint(_name(self._nodes[place], place, ends), node.name, place, crossing)

    def _waists(self) -> dict[int, fx.Node]:
        """Return the places after which one value alone is needed, with the step that gives it."""
        found, alive = {}, set[fx.Node]()
        for place, node in enumerate(self._nodes):
            alive = {other for other in alive if self._last_use[other] > place} | {node}
            if len(alive) == 1:
                found[place] = next(iter(alive))
        return found

    def _next_part(self, place: int) -> int:
        """Return the next step in which some part of the structure takes part; the end if there is none."""
        own = {part.path for part in self._structure.parts}
        later = [step for path in own for step in self._steps.get(path, ()) if step > place]
        return min(later, default=len(self._nodes))

    def _weighted(self, node: fx.Node) -> bool:
        if node.op != "call_module":
            return False
        return any(parameter.ndim > 1 for parameter in self._root.get_submodule(str(node.target)).parameters())


def _modules_around(node: fx.Node) -> list[str]:
    stack = node.meta.get("nn_module_stack") or {}
    return [path for path, _ in stack.values() if path]


def _name(node: fx.Node, place: int, ends: Mapping[str, int]) -> str:
    """Return the path of the outermost module that ends with this step, or the step's own name within its module."""
    around = _modules_around(node)
    within = f"{around[-1]}:{node.name}" if around else node.name
    return next((path for path in around if ends[path] == place), within)
