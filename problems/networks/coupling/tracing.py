"""A network's structure read off a run of it, by the dependency graph of Torch-Pruning; meant for a process of its own.

Run as a script it reads a request as JSON from standard input and writes the structure, or a refusal, as JSON.
"""

from __future__ import annotations

import fnmatch
import json
import math
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError, EmopruneError
from emoprune.problems.networks.coupling.checking import broken_groups
from emoprune.problems.networks.coupling.linking import Channels, Links, coupled
from emoprune.problems.networks.coupling.structure import Part, Structure

__all__ = ["trace"]

_PRUNABLE = (
    *("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Linear"),
    *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm", "PReLU"),
)
_PRODUCING = tuple(kind for kind in _PRUNABLE if kind.startswith("Conv") or kind == "Linear")


@dataclass(slots=True)
class _Run:
    """One module as it ran: when, how often, what shape it put out, and what shape it took in; batch left out."""

    order: int
    times: int
    shape: tuple[int, ...]
    taken: tuple[int, ...]


def trace(network: nn.Module, input_shape: Sequence[int], ignored: Sequence[str] = ()) -> Structure:
    """Return the structure of a network, found by running it on one image in eval mode.

    Channels put out by parts whose path matches a pattern of `ignored` stay whole. Sources: Fang et al., DepGraph:
    Towards Any Structural Pruning, arXiv 2301.12900, in the library's implementation; its links between channels are
    closed transitively here, so that no root and no ratio of its own decides.

    Raises:
        ConfigError: The network cannot be run or traced, holds tied weights, or uses one weight twice.
    """
    network.eval()
    _check_untied(network)
    _check_patterns(network, ignored)
    image = torch.randn((1, *input_shape), generator=torch.Generator().manual_seed(0))
    runs, classes = _runs(network, image)
    with _concatenations_before_a_flatten():
        links, kinds = _links(network, image, runs)
    for path, reason in _unsupported(network, kinds).items():
        links.fixed += [(side, reason) for side in ((path, "in"), (path, "out")) if side in links.starts]
    for path in kinds:
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in ignored) and (path, "out") in links.starts:
            links.fixed.append(((path, "out"), "named in `ignore`"))
    producing = frozenset(path for path, kind in kinds.items() if kind in _PRODUCING)
    order = {path: runs[path].order if path in runs else len(runs) for path in kinds}
    found = coupled(links, order, producing)
    empty = Structure(tuple(input_shape), classes, found.groups, (), found.wholes)
    return _structure(network, empty, found, kinds, runs)


def _structure(
    network: nn.Module, empty: Structure, found: Channels, kinds: Mapping[str, str], runs: Mapping[str, _Run]
) -> Structure:
    parts = [_part(network, path, kind, found, runs) for path, kind in kinds.items()]
    parts.sort(key=lambda part: runs[part.path].order if part.path in runs else len(runs))
    structure = replace(empty, parts=tuple(parts))
    broken, functional = broken_groups(network, structure), _functional_macs(network, structure)
    return replace(structure, broken=broken, functional_macs=functional)


def _check_untied(network: nn.Module) -> None:
    owners: dict[int, str] = {}
    for path, parameter in network.named_parameters(remove_duplicate=False):
        owner = owners.setdefault(id(parameter), path)
        if owner != path:
            raise ConfigError(
                f"network: {owner!r} and {path!r} are one tied weight, which cannot be cut for two layers at once; "
                "give each layer its own"
            )


def _check_patterns(network: nn.Module, ignored: Sequence[str]) -> None:
    paths = [path for path, _ in network.named_modules()] + [path for path, _ in network.named_parameters()]
    for pattern in ignored:
        if not any(fnmatch.fnmatchcase(path, pattern) for path in paths):
            raise ConfigError(f"ignore: no layer of the network matches {pattern!r}; the first are {paths[1:6]}")


def _runs(network: nn.Module, image: torch.Tensor) -> tuple[dict[str, _Run], int]:
    """Run the network once; return when each module ran and what it put out, and how many classes there are."""
    runs: dict[str, _Run] = {}

    def note(path: str) -> Any:
        def hook(_module: nn.Module, arguments: tuple[object, ...], output: object) -> None:
            before = runs.get(path)
            order, times = (before.order, before.times + 1) if before else (len(runs), 1)
            runs[path] = _Run(order, times, _shape(output), _shape(arguments[0] if arguments else None))

        return hook

    handles = [
        module.register_forward_hook(note(path))
        for path, module in network.named_modules()
        if not list(module.children())
    ]
    try:
        with torch.no_grad():
            output = network(image)
    except Exception as error:  # a stranger's forward may raise anything; its own error is the cause
        raise ConfigError(
            f"network: it cannot be run on one image of shape {tuple(image.shape[1:])}: {type(error).__name__}: "
            f"{error}; mend its forward, or the data's shape"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, torch.Tensor) or output.ndim != 2:
        found = (
            f"a tensor of shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else type(output).__name__
        )
        raise ConfigError(f"network: expected it to return one tensor of shape (images, classes), found {found}")
    _check_used_once(network, runs)
    return runs, output.shape[1]


def _shape(value: object) -> tuple[int, ...]:
    return tuple(value.shape[1:]) if isinstance(value, torch.Tensor) else ()


def _check_used_once(network: nn.Module, runs: Mapping[str, _Run]) -> None:
    for path, run in runs.items():
        if run.times > 1 and any(True for _ in network.get_submodule(path).parameters()):
            raise ConfigError(
                f"network: {path!r} runs {run.times} times in one pass, so that one weight serves several places; "
                "give each place a layer of its own"
            )


def _links(network: nn.Module, image: torch.Tensor, runs: Mapping[str, _Run]) -> tuple[Links, dict[str, str]]:
    """Return the links between channels that Torch-Pruning finds from each part, and each part's kind."""
    graph = _graph(network, image)
    names: dict[int, str] = {id(module): path for path, module in network.named_modules()}
    parameters = {id(parameter): path for path, parameter in network.named_parameters()}
    links, kinds = Links(), dict[str, str]()
    for module in graph.module2node:
        path = names.get(id(module)) or parameters.get(id(module))
        if path is not None and (isinstance(module, nn.Parameter) or (path in runs and type(module).__module__)):
            kind = "Parameter" if isinstance(module, nn.Parameter) else type(module).__name__
            if kind == "Parameter" or any(True for _ in module.parameters()) or kind in _PRUNABLE:
                kinds[path] = kind
                _add_sides(links, path, module, kind, graph)
    for path, unreached in network.named_modules():
        if path in runs and path not in kinds and type(unreached).__name__ in _PRODUCING:
            kinds[path] = type(unreached).__name__
            _add_sides(links, path, unreached, kinds[path], graph)
            reason = "gradients do not flow back to it, so its dependencies are not known"
            links.fixed += [((path, side), reason) for side in ("in", "out")]
    for module in list(graph.module2node):
        path = names.get(id(module))
        if path is not None and kinds.get(path) in _PRODUCING:
            _join_from(links, graph, module, path, names | parameters)
            _join_within(links, path, module)
        elif path is not None and kinds.get(path) == "GroupNorm" and isinstance(module, nn.GroupNorm):
            _join_alike(links, (path, "out"), module.num_groups)
    return links, kinds


def _graph(network: nn.Module, image: torch.Tensor) -> Any:
    import torch_pruning

    wanted = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")  # about parameters outside of layers; the check by masking covers them
        try:
            network.requires_grad_(requires_grad=True)
            _check_gradients(network(image))
            # Fresh dictionaries: the library's defaults are shared by all graphs of a process.
            return torch_pruning.DependencyGraph().build_dependency(
                network, image, unwrapped_parameters=[], customized_pruners={}, verbose=False
            )
        except ConfigError:
            raise
        except Exception as error:  # whatever the library cannot follow
            raise ConfigError(
                f"network: its layers' dependencies cannot be traced: {type(error).__name__}: {error}; change its "
                "forward, or write a problem of your own"
            ) from error
        finally:
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(wanted[name])


@contextmanager
def _concatenations_before_a_flatten() -> Iterator[None]:
    """Let Torch-Pruning 1.6.1 follow a concatenation of channels that is flattened into a linear layer.

    It holds the sum of the channels against the linear layer's features, which count every pixel, takes the difference
    for another axis, and then maps both branches to the same features. Where the axis is known to be that of the
    channels, there is nothing to infer.
    """
    from torch_pruning.dependency import shape_infer
    from torch_pruning.ops import OPTYPE

    original = shape_infer.infer_in_channels_recursively

    def inferred(graph: Any, node: Any, recursive_depth: list[int]) -> int | None:
        of_channels = node.type == OPTYPE.CONCAT and getattr(node.grad_fn, "_saved_dim", None) == 1
        found: int | None = None if of_channels and recursive_depth == [0] else original(graph, node, recursive_depth)
        return found

    shape_infer.infer_in_channels_recursively = inferred
    try:
        yield
    finally:
        shape_infer.infer_in_channels_recursively = original


def _check_gradients(output: torch.Tensor) -> None:
    if not output.requires_grad:
        raise ConfigError(
            "network: its layers' dependencies cannot be traced: gradients must flow from its output back to its "
            "layers; remove detach, no_grad and the like from its forward"
        )


def _add_sides(links: Links, path: str, module: Any, kind: str, graph: Any) -> None:
    if kind == "Parameter":
        links.add((path, "out"), module.shape[graph.module2node[module].pruning_dim])
    elif kind in _PRODUCING:
        linear = kind == "Linear"
        links.add((path, "in"), module.in_features if linear else module.in_channels)
        links.add((path, "out"), module.out_features if linear else module.out_channels)
    else:
        pruner = graph.get_pruner_of_module(module)
        width = None if pruner is None else pruner.get_out_channels(module)
        if width is not None:
            links.add((path, "out"), width)


def _join_from(links: Links, graph: Any, module: Any, path: str, names: Mapping[int, str]) -> None:
    """Link every channel that goes when a channel of `module` goes to that one."""
    pruner = graph.get_pruner_of_module(module)
    width = links.widths[path, "out"]
    group = graph.get_pruning_group(module, pruner.prune_out_channels, list(range(width)))
    for item in group:
        target = names.get(id(item.dep.target.module))
        if target is None:
            continue
        side = "in" if graph.is_in_channel_pruning_fn(item.dep.handler) and (target, "in") in links.starts else "out"
        if graph.is_out_channel_pruning_fn(item.dep.handler):
            side = "out"
        if (target, side) in links.starts:
            links.join((path, "out"), list(item.root_idxs), (target, side), list(item.idxs))


def _join_within(links: Links, path: str, module: Any) -> None:
    """Link the channels that a grouped convolution forces to go together.

    Every convolution group must lose as many channels as the others: the same ones. A depthwise filter goes with the
    channel that it reads.
    """
    groups = getattr(module, "groups", 1)
    if groups == 1:
        return
    incoming, outgoing = links.widths[path, "in"], links.widths[path, "out"]
    if groups == incoming:
        per_channel = outgoing // groups
        links.join((path, "in"), [i // per_channel for i in range(outgoing)], (path, "out"), list(range(outgoing)))
        return
    for side in ("in", "out"):
        _join_alike(links, (path, side), groups)


def _join_alike(links: Links, side: tuple[str, str], groups: int) -> None:
    """Link the channels that stand at the same place of each of several groups."""
    width = links.widths[side]
    size = width // groups
    links.join(side, [i % size for i in range(width)], side, list(range(width)))


def _unsupported(network: nn.Module, kinds: Mapping[str, str]) -> dict[str, str]:
    """Return why parts that hold channels cannot be sliced, for those that cannot."""
    reasons = {}
    for path, kind in kinds.items():
        module: Any = None if kind == "Parameter" else network.get_submodule(path)
        if kind not in {"Parameter", *_PRUNABLE} or (module is not None and type(module).__module__ != _home(kind)):
            reasons[path] = f"no slicing is known for a {kind}"
        elif kind.startswith("ConvTranspose") and module is not None and module.groups != 1:
            reasons[path] = "no slicing is known for grouped transposed convolutions"
        elif kind == "LayerNorm" and module is not None and len(module.normalized_shape) != 1:
            reasons[path] = "a LayerNorm over several axes mixes channels with places"
        elif kind.startswith("BatchNorm") and module is not None and not module.track_running_stats:
            reasons[path] = "a batch norm without running statistics lets an image's result depend on its batch"
    return reasons


def _home(kind: str) -> str:
    """Return the module that defines torch's class of that name: a subclass may compute anything."""
    return str(getattr(nn, kind).__module__) if hasattr(nn, kind) else ""


def _part(network: nn.Module, path: str, kind: str, found: Channels, runs: Mapping[str, _Run]) -> Part:
    incoming, outgoing = found.wirings.get((path, "in")), found.wirings.get((path, "out"))
    if kind == "Parameter":
        shape = network.get_parameter(path).shape
        width = 0 if outgoing is None else len(outgoing)
        dimension = max((axis for axis, size in enumerate(shape) if size == width), default=0)
        return Part(path, kind, None, outgoing, dimension=dimension)
    module: Any = network.get_submodule(path)
    if kind not in _PRODUCING:
        groups = module.num_groups if kind == "GroupNorm" else 1
        return Part(path, kind, None, outgoing, conv_groups=groups)
    applied = runs[path].taken if kind.startswith("ConvTranspose") else runs[path].shape
    places = applied[:-1] if kind == "Linear" else applied[1:]
    kernel = 1 if kind == "Linear" else math.prod(module.kernel_size)
    return Part(path, kind, incoming, outgoing, getattr(module, "groups", 1), math.prod(places), kernel)


def _functional_macs(network: nn.Module, structure: Structure) -> int:
    """Return how many multiply-accumulates one image takes outside of convolutions and linear layers."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros((1, *structure.input_shape)))
    counted = 0
    for part in structure.weighted:
        incoming, outgoing = len(part.incoming or ()), len(part.outgoing or ())
        counted += part.positions * part.kernel * incoming * outgoing // part.conv_groups
    return max(0, int(counter.get_total_flops()) // 2 - counted)


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    from emoprune.problems.networks.sources import network_named
    from emoprune.problems.networks.training import seeded

    sys.path[:] = request["path"]
    try:
        with seeded(0):
            network = network_named(request["network"])
        structure = trace(network.float(), request["input_shape"], request["ignored"])
    except EmopruneError as error:
        return {"refused": str(error)}
    return {"structure": structure.as_json()}


if __name__ == "__main__":
    answer = _answer(json.load(sys.stdin))
    sys.stdout.write("\n" + json.dumps(answer))
