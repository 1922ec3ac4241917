"""Writing a network into a folder, in formats that need no emoprune to be loaded; never with pickle."""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import fx, nn
from torch.export import Dim, ExportedProgram

from emoprune.errors import ConfigError
from emoprune.problems.networks.export.definition.definition import Definition
from emoprune.problems.networks.export.writable import NarrowedOriginal, Writable

__all__ = ["FORMATS", "FORMAT_VERSION", "check_formats", "check_program", "write_json", "write_network"]

FORMAT_VERSION = 2
FORMATS: Mapping[str, str] = {"safetensors": "model.safetensors", "torch-export": "model.pt2", "onnx": "model.onnx"}
INPUT, OUTPUT, FREE = "images", "outputs", "batch"

SAID = 300  # characters of torch's own words

_NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime")}


def check_formats(formats: Sequence[str]) -> None:
    """Refuse formats that cannot be written here, before anything is.

    Raises:
        ConfigError: One is unknown, none is named, or what it needs is not installed.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        found = repr(unknown[0]) if unknown else "none"
        raise ConfigError(f"format: expected some of {', '.join(FORMATS)}, found {found}")
    for name in formats:
        missing = [library for library in _NEEDED.get(name, ()) if find_spec(library) is None]
        if missing:
            raise ConfigError(
                f"format {name}: {' and '.join(missing)} cannot be imported; install what it needs with: "
                f"pip install 'emoprune[{name}]'"
            )


def check_program(network: nn.Module, input_shape: Sequence[int]) -> None:
    """Find out whether torch can turn a network, in eval mode on the CPU, into a program for batches of any size.

    Raises:
        ConfigError: It cannot.
    """
    with _silent():
        _program(network, input_shape)


def write_network(folder: Path, writable: Writable, formats: Sequence[str], plan: Mapping[str, Any]) -> None:
    """Write the network in each of `formats`, and config.json with `plan` and the input.

    Args:
        folder: Made if it is not there.
        writable: What to write.
        formats: Names in `FORMATS`.
        plan: JSON-able.

    Raises:
        ConfigError: torch cannot turn the network into a program.
        OSError: The disk is full, read-only or gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", _config(writable, plan))
    if "safetensors" in formats:
        _write_safetensors(folder, writable)
    if {"torch-export", "onnx"} & set(formats):
        with _silent():
            program = _program(writable.network, writable.input_shape)
            for name, written in _PROGRAMS.items():
                if name in formats:
                    (folder / FORMATS[name]).write_bytes(written(program))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people to read, a list of numbers on one line; NaN is refused because JSON has none."""
    text = json.dumps(content, indent=2, allow_nan=False)
    # Only lists without lists or objects in them match; a line break cannot occur inside a JSON string.
    text = re.sub(r"\[\n[^\]\[{}]*\n *\]", lambda found: re.sub(r"\n *", " ", found[0]), text)
    path.write_text(text + "\n", encoding="utf-8")


def _config(writable: Writable, plan: Mapping[str, Any]) -> dict[str, Any]:
    images = {"name": INPUT, "shape": [FREE, *writable.input_shape], "dtype": "float32"}
    config = {"format_version": FORMAT_VERSION, **plan, "input": images}
    if isinstance(writable.code, NarrowedOriginal):
        config["factory"] = {"target": writable.code.target, "layers": writable.code.layers}
    return config


def _write_safetensors(folder: Path, writable: Writable) -> None:
    code = writable.code
    state = writable.network.state_dict() if isinstance(code, NarrowedOriginal) else code.state
    # Written by Python, as all files here: a full disk is then the same error everywhere. A constant of the forward may
    # share its memory with a buffer, which safetensors does not take.
    (folder / FORMATS["safetensors"]).write_bytes(save({name: each.clone() for name, each in state.items()}))
    if isinstance(code, Definition):
        (folder / "model.py").write_text(code.source, encoding="utf-8")
    script = "load_from_factory.py" if isinstance(code, NarrowedOriginal) else "load.py"
    with as_file(files("emoprune.problems.networks.standalone") / script) as source:
        shutil.copyfile(source, folder / "load.py")


def _program(network: nn.Module, input_shape: Sequence[int]) -> ExportedProgram:
    example = torch.zeros((2, *input_shape))
    try:
        program = torch.export.export(network, (example,), dynamic_shapes=({0: Dim(FREE)},))
    except Exception as error:  # torch raises many types here; each means that it cannot follow this network
        raise ConfigError(
            f"format: torch.export cannot turn the network into a program ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:SAID]}); ask for --format safetensors alone, or let its forward neither "
            "decide by values nor fix the size of a batch, as len(images) does where images.size(0) does not"
        ) from error
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, fx.GraphModule) else ():
            # Stack traces would carry this computer's folder names to whoever gets the file.
            node.meta.pop("stack_trace", None)
    return program


def _as_torch_export(program: ExportedProgram) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _as_onnx(program: ExportedProgram) -> bytes:
    import onnx

    made = torch.onnx.export(program, dynamo=True, verbose=False, input_names=[INPUT], output_names=[OUTPUT])
    assert made is not None  # noqa: S101  # None is what the older exporter returns; narrows the type
    model = made.model_proto
    graph = model.graph
    own = next(each for each in graph.input if each.name == INPUT).type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == own:
                dimension.dim_param = FREE
    for node in graph.node:
        del node.metadata_props[:]  # notes of the exporter to itself, longer than the graph
    onnx.checker.check_model(model, full_check=True)
    serialised: bytes = model.SerializeToString()
    return serialised


_PROGRAMS: Mapping[str, Callable[[ExportedProgram], bytes]] = {"torch-export": _as_torch_export, "onnx": _as_onnx}


@contextmanager
def _silent() -> Iterator[None]:
    """Keep torch's remarks about itself from the terminal; what goes wrong is raised."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
