"""Which convolutional networks can be pruned, how much of them, and why the rest stays; beside Torch-Pruning.

python benchmarks/zoo_networks.py [--quick] [--no-record] [--drawn N] [--only NAME]
"""

from __future__ import annotations

import importlib
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish
from shared.zoo_of_networks import installed, made_here
from torch import nn

from emoprune.errors import EmopruneError
from emoprune.problems.networks.coupling.checking import difference
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.export.definition.definition import NotDefinable, definition_of
from emoprune.problems.networks.export.narrowing import narrowed_layers
from emoprune.problems.networks.standalone.load_from_factory import narrow

NOTES = """\
- Small networks written after the named families, and those of torchvision and timm where they are installed; weights
  as they are drawn, one thread.
- Left at half: the share of the parameters when every coupling group keeps half of its units, rounded up. Bound: when
  every layer had half of its channels, but for those of images and classes: no analysis can leave less.
- Torch-Pruning: its BasePruner at 0.5, the last layer ignored; `dies` where it raises, `breaks` where the network does
  not run afterwards; it has 30 seconds. Seconds: until the structure is known and every group was tried;
  Torch-Pruning's, its graph alone.
- Exported: `alone` as code that needs torch alone, `own code` as made by its own code, narrowed and loaded; both give
  the pruned network's outputs.
- Drawn: networks drawn from a grammar of splits, shuffles, slices, gates, norms, attention and layers used twice. Each
  is cut at random and held to the masked network; where nothing is computed over channels, also to the network at full
  size with zeros for the weights that read what is removed.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One network of the zoo: what makes it, and the shape of its images."""

    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]


def parameters(network: nn.Module) -> int:
    """Return how many trained numbers a network has."""
    return sum(parameter.numel() for parameter in network.parameters())


def bound(network: nn.Module, structure: Structure) -> float:
    """Return the share that is left if every layer had half of its channels, but for images and classes."""
    first, last = structure.weighted[0].path, structure.weighted[-1].path
    left, rest = 0.0, parameters(network)
    for part in structure.weighted:
        weight = network.get_parameter(f"{part.path}.weight").numel()
        halves = 1 if part.depthwise or part.path in {first, last} else 2
        left, rest = left + weight / 2**halves, rest - weight
    return (left + rest / 2) / parameters(network)


def exported(case: Case, network: nn.Module, pruned: nn.Module) -> str:
    """Return how the pruned network is made again; only one with the same outputs counts."""
    images = torch.randn((2, *case.shape), generator=torch.Generator().manual_seed(0))
    try:
        definition_of(pruned, images, "A network.")
    except NotDefinable:
        changes = narrowed_layers(network, pruned)
        again = case.make()
        for path, own in changes.items():
            narrow(again.get_submodule(path), own)
        again.load_state_dict(pruned.state_dict(), strict=True)
        with torch.no_grad():
            same = torch.allclose(again.eval()(images), pruned(images), atol=1e-5)
        return "own code" if same else "WRONG"
    return "alone"


PATIENCE = 30  # seconds for the peer


def _give_up(*_: object) -> None:
    raise TimeoutError


def beside(case: Case) -> tuple[str, str]:
    """Return what Torch-Pruning leaves at half, and the seconds of its graph."""
    import torch_pruning

    network, image = case.make().eval(), torch.randn((1, *case.shape))
    before, began = parameters(network), time.perf_counter()
    last = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(PATIENCE)
    try:
        torch_pruning.DependencyGraph().build_dependency(network, image, verbose=False)
        seconds = time.perf_counter() - began
        importance = torch_pruning.importance.MagnitudeImportance(p=1)
        pruner = torch_pruning.pruner.BasePruner(network, image, importance, pruning_ratio=0.5, ignored_layers=[last])
        pruner.step()
    except TimeoutError:
        return "gives no end", f"> {PATIENCE}"
    except Exception:  # whatever the library cannot follow
        return "dies", "-"
    finally:
        signal.alarm(0)
    try:
        with torch.no_grad():
            network(image)
    except Exception:  # as above
        return "breaks", f"{seconds:.1f}"
    return f"{parameters(network) / before:.2f}", f"{seconds:.1f}"


def row(case: Case) -> Sequence[str]:
    """Return what came of one network."""
    network = case.make().eval()
    began = time.perf_counter()
    try:
        structure = trace(network, case.shape)
    except EmopruneError as error:
        return case.name, "refused", "-", "-", "-", "-", "-", str(error).partition(";")[0].replace("|", "/")[:120]
    seconds = time.perf_counter() - began
    pruned = pruned_module(network, structure, [np.arange((units + 1) // 2) for units in structure.units])
    left = f"{parameters(pruned) / parameters(network):.2f}"
    peer, peer_seconds = beside(case)
    outcome = exported(case, network, pruned)
    whole = why_whole(structure)
    return case.name, left, f"{bound(network, structure):.2f}", peer, f"{seconds:.1f}", peer_seconds, outcome, whole


def why_whole(structure: Structure) -> str:
    """Return the reasons why channels stay beside those of the outputs, with how many layers each holds for."""
    reasons: dict[str, int] = {}
    for whole in structure.wholes:
        if "network's outputs" not in whole.reason:
            plain = whole.reason.partition(" (")[0].replace("|", "/")[:90]
            reasons[plain] = reasons.get(plain, 0) + 1
    named = [f"{count} layers: {reason}" for reason, count in list(reasons.items())[:2]]
    return "; ".join(named + ["..."] * (len(reasons) > len(named))) or "-"


def drawn_table(count: int) -> Table:
    """Return how many of the networks drawn from the grammar were sliced wrongly."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))
    own: Any = importlib.import_module("drawn_networks_for_tests")  # the grammar is the tests'

    groups = wrong = whole = 0
    for seed in range(count):
        network: Any = own.drawn(seed)
        structure = trace(own.drawn(seed).float(), own.IMAGES)
        kept = own.cut_of(structure, seed)
        images = torch.randn((2, *own.IMAGES), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        off = difference(network, structure, kept, images)
        if not network.over_channels:
            expected = own.unread(network, structure, kept)(images)
            found = pruned_module(network, structure, kept)(images)
            off = max(off, float((found - expected).abs().max() / expected.abs().max()))
        groups, wrong, whole = groups + len(structure.groups), wrong + (not off < 1e-9), whole + (not structure.groups)
    cells = (f"{count:,}", f"{groups:,}", str(whole), str(wrong))
    return Table(
        "Networks drawn from a grammar.", ("networks", "coupling groups", "without any", "wrong slices"), [cells]
    )


def main() -> None:
    """Trace, cut, export, print and record."""
    parser = arguments(__doc__ or "", rounds=1)
    parser.add_argument("--drawn", type=int, default=2000, metavar="N", help="networks drawn from the grammar")
    parser.add_argument("--only", default="", metavar="NAME", help="networks whose name contains this")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    cases = [Case(*each) for each in made_here()]
    cases = cases[:4] if chosen.quick else [*cases, *(Case(*each) for each in installed())]
    trace(cases[0].make(), cases[0].shape)  # what is imported on the way is no network's time
    rows = []
    for case in (each for each in cases if chosen.only in each.name):
        progress(case.name)
        rows.append(row(case))
    columns = (
        *("network", "left at half", "bound", "Torch-Pruning"),
        *("seconds", "Torch-Pruning's", "exported", "what else stays whole"),
    )
    tables = [Table("Convolutional networks.", columns, rows), drawn_table(20 if chosen.quick else chosen.drawn)]
    publish(Report("A zoo of convolutional networks", tables, NOTES, ("emoprune", "torch", "torch-pruning")), chosen)


if __name__ == "__main__":
    main()
