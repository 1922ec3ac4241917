"""Exporting a pruned network: write it, verify it in a fresh process, measure it beside the unpruned one, say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from emoprune.contracts import Description
from emoprune.problems.networks.architecture import trace
from emoprune.problems.networks.latency import median_milliseconds
from emoprune.problems.networks.model_card import model_card
from emoprune.problems.networks.model_files import as_safetensors, write_json, write_network
from emoprune.problems.networks.pruning import PrunedNetwork
from emoprune.problems.networks.scoring import LoadedImages, outputs_of
from emoprune.problems.networks.verification import Verified, verify

__all__ = ["Measured", "export"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a network was measured to have: error on each split, parameters, multiply-accumulates for one image."""

    error: Mapping[str, float]
    parameters: int
    macs: int


def export(
    folder: Path,
    *,
    source: str,
    networks: tuple[PrunedNetwork, PrunedNetwork],
    measured: tuple[Measured, Measured],
    test: LoadedImages,
    described: Description,
) -> Description:
    """Write a verified network into `folder` and return what was measured; pairs are the pruned one, the unpruned one.

    Raises:
        ContractError: The network reloaded in a fresh process is not the evaluated one.
    """
    pruned, _ = networks
    input_shape = tuple(test.batches[0].shape[1:])
    outputs = outputs_of(pruned.network, test).cpu()
    for each in networks:
        each.network.cpu()
    plan = _plan(source, pruned, measured)
    write_network(folder, pruned.network, trace(pruned.layers, input_shape), plan)
    verified = verify(folder, torch.cat(test.batches).cpu(), test.labels.cpu(), outputs)
    results = _results(networks, measured, test, verified)
    write_json(folder / "verify.json", {**asdict(verified), "results": results, "torch": torch.__version__})
    card = model_card(source, input_shape, described, results, verified)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return results


def _plan(source: str, pruned: PrunedNetwork, measured: tuple[Measured, Measured]) -> dict[str, Any]:
    """Say where the network comes from, what of it stayed, and what was measured."""
    prunable = [position for position, layer in enumerate(pruned.layers) if "bias" in layer.options][:-1]
    kept = zip(prunable, pruned.kept, strict=True)
    return {
        "source": source,
        "made_with": {"emoprune": version("emoprune"), "torch": torch.__version__},
        "kept": {pruned.layers[position].path: indices.tolist() for position, indices in kept},
        "measured": asdict(measured[0]),
        "unpruned": asdict(measured[1]),
    }


def _results(
    networks: tuple[PrunedNetwork, PrunedNetwork],
    measured: tuple[Measured, Measured],
    test: LoadedImages,
    verified: Verified,
) -> dict[str, str | int | float]:
    batch = test.batches[0].cpu()
    pruned_ms, unpruned_ms = median_milliseconds([each.network for each in networks], batch)
    pruned, unpruned = measured
    return {
        "test error": pruned.error["test"],
        "test error unpruned": unpruned.error["test"],
        "parameters": pruned.parameters,
        "parameters unpruned": unpruned.parameters,
        "macs": pruned.macs,
        "macs unpruned": unpruned.macs,
        "bytes": len(as_safetensors(networks[0].network)),
        "bytes unpruned": len(as_safetensors(networks[1].network)),
        "milliseconds per batch": round(pruned_ms, 3),
        "milliseconds per batch unpruned": round(unpruned_ms, 3),
        "images per batch": len(batch),
        "threads": torch.get_num_threads(),
        "max abs difference": verified.difference,
        "allowed difference": verified.tolerance,
    }
