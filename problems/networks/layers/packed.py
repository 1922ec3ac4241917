"""The format `packed`: a treated network in exactly the bytes that were counted, unfolded again without emoprune."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file as save_tensors
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_script
from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.export.definition.definition import NotDefinable, definition_of
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.packing import packed
from emoprune.space import IntArray

__all__ = ["PACKED", "Treated", "verify_packed", "write_packed"]

PACKED = "packed"
FORMAT_VERSION = 1
TIME_LIMIT = 300.0  # seconds; importing torch on a slow disk
# Relative to the largest output: the same tensors in another order of memory or another kernel, as sums of floats.
TOLERANCE = 1e-5

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True, eq=False)
class Treated:
    """A treated network with the statistics it was scored with, the unpruned one, and the levels of its layers.

    `levels` are the treatment's, shape (layers,); `counted_bytes` is what the search said the network takes.
    """

    network: nn.Module
    unpruned: nn.Module
    layers: LayerLevels
    levels: IntArray
    counted_bytes: int


def write_packed(folder: Path, treated: Treated, images: torch.Tensor, about: Mapping[str, Any]) -> str | None:
    """Write packed.safetensors, packed.json, unpack.py and model.py into `folder`.

    Args:
        folder: Where to.
        treated: What is written; its network stays as it was.
        images: A few, on which model.py is tried; shape (n, channels, height, width) with n of 2 or more.
        about: What packed.json says of the network.

    Returns:
        Why there is no model.py, if there is none.

    Raises:
        ContractError: The arrays take other bytes than were counted.
    """
    arrays, forms = _packed_arrays(treated)
    payload = sum(array.nbytes for array in arrays.values())
    if payload != treated.counted_bytes:
        raise ContractError(f"export: {treated.counted_bytes} bytes were counted, the packed network takes {payload}")
    save_arrays(arrays, folder / "packed.safetensors")
    unread, reason = _write_definition(folder / "model.py", treated.network, images, about)
    plan = {
        "format_version": FORMAT_VERSION,
        "made_with": {"emoprune": version("emoprune"), "torch": torch.__version__},
        "payload_bytes": payload,
        **about,
        "unread": list(unread),
        "layers": forms,
    }
    (folder / "packed.json").write_text(json.dumps(plan, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    script = files("emoprune.problems.networks.standalone") / "unpack.py"
    (folder / "unpack.py").write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    return reason


def _packed_arrays(treated: Treated) -> tuple[Arrays, dict[str, Any]]:
    """Return all arrays by name, those of a packed layer as `name::role`, and how each packed layer is unfolded."""
    state = treated.network.state_dict()
    arrays: Arrays = {}
    forms: dict[str, Any] = {}
    for part, level in zip(treated.layers.parts, treated.levels.tolist(), strict=True):
        if level == treated.layers.highest:
            continue
        name = f"{part.path}.weight"
        untreated = treated.unpruned.get_parameter(name)
        made = packed(treated.layers.treatment, part, untreated, state.pop(name), level)
        arrays |= {f"{name}::{role}": array for role, array in made.arrays.items()}
        forms[name] = {"form": made.form, **made.facts}
    arrays |= {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in state.items()}
    return arrays, forms


def _write_definition(
    path: Path, network: nn.Module, images: torch.Tensor, about: Mapping[str, Any]
) -> tuple[tuple[str, ...], str | None]:
    """Write the network's code, and return which tensors it does not read, and why there is none, if so."""
    own = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    try:
        found = definition_of(with_tensors(network, own), images.cpu(), f"The treated network {about['source']}.")
    except NotDefinable as error:
        return (), str(error)
    beside = sorted(set(found.state) - set(own))
    if beside:
        return (), f"its forward reads tensors that are not in its state_dict: {', '.join(beside[:3])}"
    path.write_text(found.source, encoding="utf-8")
    return found.unread, None


def verify_packed(folder: Path, network: nn.Module, images: torch.Tensor) -> dict[str, int | float]:
    """Unfold and run the folder's network in a fresh process; return how many tensors are the same to the bit.

    Where there is a model.py, also the largest absolute difference of its outputs on `images`, shape (n, channels,
    height, width).

    Raises:
        ContractError: It does not unfold, a tensor is another one, or outputs differ.
    """
    with torch.no_grad():
        outputs = network(images).cpu()
    state = network.state_dict()
    given = {f"state::{name}": tensor for name, tensor in state.items()} | {"images": images, "outputs": outputs}
    given = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in given.items()}
    request = {"folder": str(folder.resolve())}
    with as_file(files("emoprune.problems.networks.standalone") / "verify_packed.py") as script:
        answer = run_script(script, request, lambda path: save_tensors(given, path), TIME_LIMIT)
    if answer["different"]:
        named = ", ".join(answer["different"][:3])
        raise ContractError(
            f"export: the unfolded network is not the evaluated one: {named} differ; nothing was written"
        )
    verified: dict[str, int | float] = {"packed tensors the same to the bit": answer["tensors"]}
    if "difference" in answer:
        allowed = TOLERANCE * max(1.0, outputs.abs().max().item())
        if not answer["difference"] <= allowed:
            raise ContractError(
                f"export: the packed network's outputs are off by {answer['difference']}, expected at most {allowed}; "
                "it is not kept"
            )
        verified["packed max abs difference"] = answer["difference"]
    return verified
