"""Writing a narrowed transformer into a folder: config, weights, tokenizer, and what it takes to load them."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from emoprune.problems.language.quiet import quiet
from emoprune.problems.networks.export.files import write_json
from emoprune.problems.networks.transformers.export.checkpoint import carry_along
from emoprune.problems.networks.transformers.export.code import MODULE, code_of
from emoprune.problems.networks.transformers.export.plain import Plain, plain_model
from emoprune.problems.networks.transformers.export.tensors import PackedLayer, own_state, serialised, sharded
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["Exported", "Layout", "weights_bytes", "write_folder"]

FORMAT_VERSION = 2
_NARROWING = ("narrowing.py", "attentions.py", "configs.py", "mixtures.py", "opening.py")
SHARD = "5GB"  # of a file with weights at most
TRIED = 2  # examples on which a model of transformers' own class is held against the narrowed one


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A model as it is to be loaded again.

    `plan` is read by `standalone/narrowing.py`, `about` says how the model is built and what its inputs are; `layers`
    are those to pack, by the name of their weight; all other weights are stored as numbers of `dtype`.
    """

    model: Any
    plan: Mapping[str, Any]
    about: Mapping[str, Any]
    layers: Mapping[str, PackedLayer] = field(default_factory=dict)
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True, slots=True)
class Layout:
    """How a folder is loaded: by transformers' class `factory`, with code of the folder's own, or packed by it.

    `reason` says why there is code, if there is.
    """

    factory: str
    coded: bool
    packed: bool
    reason: str = ""


def write_folder(folder: Path, exported: Exported, opened: Opened, more: Mapping[str, Any]) -> Layout:
    """Write everything that it takes to load the model again.

    Args:
        folder: Made if it is not there.
        exported: What is written.
        opened: The unpruned model, for its class, config and tokenizer.
        more: What else `pruning.json` says; JSON-able.

    Raises:
        ContractError: A packed layer takes other bytes than were counted.
        OSError: The disk is full, read-only or gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = opened.loaded.model
    inputs = {name: own[:TRIED].cpu() for name, own in opened.task.parts["test"][0].inputs.items()}
    plain = Plain(None, "Weights are coded, which no class of transformers reads")
    if not exported.layers:
        plain = plain_model(whole, exported.model, opened.anatomy, exported.plan, inputs)
    factory = str(exported.about["factory"])
    if plain.model is not None:
        _write_plain(folder, plain.model, exported.dtype)
        named = {"code": None, "class": type(whole).__name__}
    else:
        code = code_of(whole, exported.about, next(iter(inputs)), opened.anatomy.path)
        factory = list(code.named["auto_map"])[1]
        (folder / f"{MODULE}.py").write_text(code.text, encoding="utf-8")
        _write_weights(folder, exported)
        write_json(folder / "config.json", _config(exported, whole.config, code.named))
        pooling = ["pooling.py"] if exported.about["factory"] == "AutoModel" else []
        _copy("emoprune.problems.networks.transformers.standalone", [*_NARROWING, *pooling], folder)
        named = {"code": MODULE, "class": code.class_name}
    with quiet():
        carry_along(opened.loaded, folder)
    plan = {
        "format_version": FORMAT_VERSION,
        "made_with": {"emoprune": version("emoprune"), "torch": torch.__version__},
        "source": opened.loaded.source.name,
        "model_type": whole.config.model_type,
        **named,
        "code because": plain.reason or None,
        "tied": own_state(exported.model)[1],
        **exported.about,
        **more,
        **exported.plan,
    }
    write_json(folder / "pruning.json", plan)
    _copy("emoprune.problems.networks.transformers.standalone", ["load.py"], folder)
    return Layout(factory, plain.model is None, bool(exported.layers), plain.reason)


def _write_plain(folder: Path, model: Any, dtype: torch.dtype) -> None:
    try:
        with quiet():
            model.to(dtype).save_pretrained(folder)
    except SafetensorError as error:  # of a full disk too, which is the same error everywhere here
        raise OSError(str(error)) from error


def _write_weights(folder: Path, exported: Exported) -> None:
    # Written by Python, as all files here: a full disk is then the same error everywhere.
    if not exported.layers:
        shards = sharded(exported.model, exported.dtype, SHARD)
        for name, content in shards.files():
            (folder / name).write_bytes(content)
        if shards.index is not None:
            write_json(folder / "model.safetensors.index.json", shards.index)
        return
    content, forms = serialised(exported.model, exported.layers, exported.dtype)
    (folder / "packed.safetensors").write_bytes(content)
    write_json(folder / "packed.json", {"format_version": FORMAT_VERSION, "layers": forms})
    _copy("emoprune.problems.networks.standalone", ["unpack.py"], folder)


def _config(exported: Exported, unpruned: Any, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a model that is loaded by code of its folder: as it is, and what it takes to build it."""
    config = copy.deepcopy(exported.model.config)
    config.dtype = exported.dtype
    if hasattr(exported.model, "generate"):
        config.use_cache = True
    labels = exported.about.get("labels")
    if exported.about["factory"] == "AutoModel":
        names = labels or [f"LABEL_{number}" for number in range(exported.about["classifier"])]
        config.id2label, config.label2id = dict(enumerate(names)), {name: own for own, name in enumerate(names)}
    said: dict[str, Any] = json.loads(config.to_json_string())
    before, after = (json.loads(own.to_json_string(use_diff=False)) for own in (unpruned, exported.model.config))
    differ = {name: own for name, own in before.items() if own != after.get(name) and name != "use_cache"}
    return {**said, **named, "pruning": {**exported.plan, "unpruned": differ}}


def _copy(package: str, scripts: Sequence[str], folder: Path) -> None:
    """Copy files of a package, which import each other from beside themselves there."""
    for script in scripts:
        text = (files(package) / script).read_text(encoding="utf-8")
        (folder / script).write_text(text.replace(f"from {package}.", "from ."), encoding="utf-8")


def weights_bytes(folder: Path) -> int:
    """Return the bytes of the files with the weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))
