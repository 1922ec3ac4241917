"""Writing a narrowed transformer into a folder: config, weights, tokenizer, and the few lines that load it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save as save_arrays
from safetensors.torch import save

from emoprune.problems.language.loading import LoadedModel
from emoprune.problems.language.quiet import quiet
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.export.files import write_json
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.packing import packed

__all__ = ["Exported", "PackedLayer", "own_state", "serialised", "weights_bytes", "write_folder"]

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class PackedLayer:
    """A layer whose weight is stored in fewer bytes: how it was treated, at which level, and from what."""

    part: Part
    treatment: Treatment
    level: int
    untreated: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A model as it is to be loaded again.

    `plan` is read by `standalone/narrowing.py`, `about` says how the model is built and what its inputs are; `layers`
    are those to pack, by the name of their weight.
    """

    model: Any
    plan: Mapping[str, Any]
    about: Mapping[str, Any]
    layers: Mapping[str, PackedLayer] = field(default_factory=dict)


def write_folder(folder: Path, exported: Exported, loaded: LoadedModel, more: Mapping[str, Any]) -> None:
    """Write everything that it takes to load the model again.

    Args:
        folder: Made if it is not there.
        exported: What is written.
        loaded: The unpruned model's source, for its config and tokenizer.
        more: What else `pruning.json` says; JSON-able.

    Raises:
        ContractError: A packed layer takes other bytes than were counted.
        OSError: The disk is full, read-only or gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _, tied = own_state(exported.model)
    plan = {
        "format_version": FORMAT_VERSION,
        "made_with": {"emoprune": version("emoprune"), "torch": torch.__version__},
        "source": loaded.source.name,
        "classes": exported.about["classifier"] if exported.about["factory"] == "AutoModel" else None,
        "tied": tied,
        **exported.about,
        **more,
        **exported.plan,
    }
    write_json(folder / "pruning.json", plan)
    config = copy.deepcopy(loaded.model.config)
    config.use_cache = True
    with quiet():
        config.save_pretrained(folder)
        if loaded.tokenizer is not None:
            loaded.tokenizer.save_pretrained(folder)
    content, forms = serialised(exported.model, exported.layers)
    # Written by Python, as all files here: a full disk is then the same error everywhere.
    (folder / ("packed.safetensors" if forms else "model.safetensors")).write_bytes(content)
    if forms:
        write_json(folder / "packed.json", {"format_version": FORMAT_VERSION, "layers": forms})
        _copy("emoprune.problems.networks.standalone", ["unpack.py"], folder)
    scripts = ["load.py", "opening.py", "narrowing.py", *(["pooling.py"] if plan["classes"] is not None else [])]
    _copy("emoprune.problems.networks.transformers.standalone", scripts, folder)


def own_state(model: Any) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Return the model's tensors, each under its first name, and the names that share another one's."""
    state: dict[str, torch.Tensor] = {}
    tied, seen = [], set()
    for name, tensor in model.state_dict().items():
        if tensor.numel() and tensor.data_ptr() in seen:
            tied.append(name)
            continue
        seen.add(tensor.data_ptr())
        state[name] = tensor.detach().cpu().contiguous()
    return state, tied


def serialised(model: Any, layers: Mapping[str, PackedLayer]) -> tuple[bytes, dict[str, Any]]:
    """Return the file with a model's weights, and how each packed one is unfolded.

    Raises:
        ContractError: A packed layer takes other bytes than were counted.
    """
    state, _ = own_state(model)
    if not layers:
        return save({name: own.clone() for name, own in state.items()}, {"format": "pt"}), {}
    arrays: dict[str, NDArray[np.generic]] = {}
    forms: dict[str, Any] = {}
    for name, tensor in state.items():
        if name not in layers:
            arrays[name] = tensor.numpy()
            continue
        own = layers[name]
        made = packed(own.treatment, own.part, own.untreated.cpu(), tensor, own.level)
        arrays |= {f"{name}::{role}": array for role, array in made.arrays.items()}
        forms[name] = {"form": made.form, **made.facts}
    return save_arrays(arrays), forms


def _copy(package: str, scripts: list[str], folder: Path) -> None:
    for script in scripts:
        with as_file(files(package) / script) as source:
            shutil.copyfile(source, folder / script)


def weights_bytes(folder: Path) -> int:
    """Return the bytes of the file with the weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
