"""Compare a packed network, unfolded by its own unpack.py, with what it must be.

Usage: python -P verify_packed.py ASKED.json ANSWER.json; the `inputs` that are asked about hold the state_dict, each
name after `state::`, and `images` with the `outputs` that they must give.
"""

from __future__ import annotations

import sys

# None makes every import of emoprune fail: what is loaded here must not need it.
sys.modules["emoprune"] = None  # type: ignore[assignment]  # the language allows None here, typeshed does not

import json  # noqa: E402  # nothing may be imported before the line above
import runpy  # noqa: E402  # as above
from pathlib import Path  # noqa: E402  # as above
from typing import Any  # noqa: E402  # as above

import torch  # noqa: E402  # as above
from safetensors.torch import load_file  # noqa: E402  # as above

STATE = "state::"


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors have the same type, shape and bits."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.contiguous().numpy().tobytes() == other.contiguous().numpy().tobytes()


def answered(request: dict[str, Any]) -> dict[str, int | float | list[str]]:
    """Unfold the network, run it if it has a model.py, and return what is not as expected."""
    folder = Path(request["folder"])
    given, unpacking = load_file(request["inputs"]), runpy.run_path(str(folder / "unpack.py"))
    expected = {name.removeprefix(STATE): tensor for name, tensor in given.items() if name.startswith(STATE)}
    found = unpacking["unpack"](folder)
    different = [name for name, tensor in expected.items() if name not in found or not same(found[name], tensor)]
    different += [name for name in found if name not in expected]
    result: dict[str, int | float | list[str]] = {"tensors": len(expected), "different": different}
    if (folder / "model.py").exists():
        with torch.no_grad():
            outputs = unpacking["load_network"](folder)(given["images"])
        result["difference"] = (outputs - given["outputs"]).abs().max().item()
    return result


if __name__ == "__main__":
    asked, answer = (Path(argument) for argument in sys.argv[1:3])
    answer.write_text(json.dumps(answered(json.loads(asked.read_text(encoding="utf-8")))), encoding="utf-8")
