"""Unfold packed.safetensors into a state_dict, or into the network; needs torch, numpy and safetensors only.

from unpack import load_network
outputs = load_network()(images)
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

HERE = Path(__file__).parent

Layer = dict[str, Any]  # what packed.json says of a layer
Arrays = dict[str, NDArray[Any]]


def load_network(folder: Path = HERE) -> torch.nn.Module:
    """Return the network that lies packed in `folder`, in eval mode; its model.py says how it is built."""
    network: torch.nn.Module = runpy.run_path(str(Path(folder) / "model.py"))["PrunedNetwork"]()
    plan = json.loads((Path(folder) / "packed.json").read_text(encoding="utf-8"))
    state = {name: tensor for name, tensor in unpack(folder).items() if name not in plan["unread"]}
    network.load_state_dict(state, strict=True)
    return network.eval()


def unpack(folder: Path = HERE) -> dict[str, torch.Tensor]:
    """Return the state_dict of the network that lies packed in `folder`."""
    tensors = load_file(Path(folder) / "packed.safetensors")
    layers = json.loads((Path(folder) / "packed.json").read_text(encoding="utf-8"))["layers"]
    state = {name: tensor for name, tensor in tensors.items() if "::" not in name}
    for name, layer in layers.items():
        own = {key.split("::")[1]: _array(each) for key, each in tensors.items() if key.startswith(f"{name}::")}
        state[name] = torch.from_numpy(np.ascontiguousarray(_FORMS[layer["form"]](layer, own)))
    return state


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()  # numpy has no 16-bit brain floats


def _dense(layer: Layer, own: Arrays) -> NDArray[Any]:
    return own["values"].reshape(layer["shape"])


def _mask(layer: Layer, own: Arrays) -> NDArray[Any]:
    flat = np.zeros(int(np.prod(layer["shape"])), dtype=np.float32)
    flat[np.flatnonzero(np.unpackbits(own["mask"], count=flat.size))] = own["values"]
    return flat.reshape(layer["shape"])


def _places(layer: Layer, own: Arrays) -> NDArray[Any]:
    flat = np.zeros(int(np.prod(layer["shape"])), dtype=np.float32)
    flat[own["places"]] = own["values"]
    return flat.reshape(layer["shape"])


def _pattern(layer: Layer, own: Arrays) -> NDArray[Any]:
    axis, m, n = layer["axis"], layer["m"], layer["n"]
    moved = [size for place, size in enumerate(layer["shape"]) if place != axis] + [layer["shape"][axis]]
    last = np.zeros(moved, dtype=np.float32)
    blocks = moved[-1] // m
    inside = np.zeros((last[..., : blocks * m].size // m, m), dtype=np.float32)
    places = _numbers(own["places"], layer["width"], len(own["values"])).reshape(-1, n)
    np.put_along_axis(inside, places, own["values"].reshape(-1, n), axis=1)
    last[..., : blocks * m] = inside.reshape([*moved[:-1], blocks * m])
    if "outside" in own:
        last[..., blocks * m :] = own["outside"].reshape([*moved[:-1], moved[-1] - blocks * m])
    return np.asarray(np.moveaxis(last, -1, axis))


def _wrapped(layer: Layer, own: Arrays) -> NDArray[Any]:
    core = _pattern({**layer, "shape": layer["matrix"], "axis": 1}, own)
    return unwrapped(own["outer"], core, own["inner"], layer["shape"])


def unwrapped(outer: NDArray[Any], core: NDArray[Any], inner: NDArray[Any], shape: list[int]) -> NDArray[Any]:
    """Return a weight of some shape from block-diagonal factors and the core between them, whose inputs are by tap."""
    block, (rows, columns) = outer.shape[1], core.shape
    blocks = core.reshape(rows // block, block, columns // block, block).transpose(0, 2, 1, 3)
    matrix = np.matmul(np.matmul(outer[:, None], np.ascontiguousarray(blocks)), inner[None])
    taps = int(np.prod(shape[2:]))
    by_tap = matrix.transpose(0, 2, 1, 3).reshape(rows, taps, columns // taps)
    return np.ascontiguousarray(by_tap.transpose(0, 2, 1)).reshape(shape)


def _codes(layer: Layer, own: Arrays) -> NDArray[Any]:
    bits = layer["bits"]
    codes = _numbers(own["codes"], bits, int(np.prod(layer["shape"]))) - (2 ** (bits - 1) - 1)
    scales = own["scales"].reshape(layer["scale_shape"])
    return np.asarray(codes.reshape(layer["shape"]).astype(np.float32) * scales)


def _numbers(packed: NDArray[Any], width: int, count: int) -> NDArray[Any]:
    bits = np.unpackbits(packed, count=count * width).reshape(count, width).astype(np.int64)
    return bits @ (1 << np.arange(width))


_FORMS = {"dense": _dense, "mask": _mask, "places": _places, "pattern": _pattern, "wrapped": _wrapped, "codes": _codes}
