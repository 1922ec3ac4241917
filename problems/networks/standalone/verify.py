"""Compare an exported network with the outputs it must have; prints one JSON object.

Usage: python verify.py FOLDER INPUTS.safetensors, where INPUTS holds `images`, `labels` and the expected `outputs`.
"""

from __future__ import annotations

import sys

# None makes every import of emoprune fail: what is loaded here must not need it.
sys.modules["emoprune"] = None  # type: ignore[assignment]  # the language allows None here, typeshed does not

import json  # noqa: E402  # nothing may be imported before the line above
import runpy  # noqa: E402  # as above
from pathlib import Path  # noqa: E402  # as above

import torch  # noqa: E402  # as above
from safetensors.torch import load_file  # noqa: E402  # as above


def compared(network: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return the largest absolute difference to the expected outputs, and the share of wrong labels."""
    with torch.no_grad():
        outputs = network(inputs["images"])
    difference = (outputs - inputs["outputs"]).abs().max().item()
    wrong = int((outputs.argmax(dim=1) != inputs["labels"]).sum())
    return {"max_abs_difference": difference, "error": wrong / len(outputs)}


def main(folder: Path, inputs: Path) -> None:
    """Load the exported network both ways with its own load.py and print how it compares."""
    loaders = runpy.run_path(str(folder / "load.py"))
    expected = load_file(inputs)
    result = {
        "program": compared(loaders["load_program"](folder), expected),
        "safetensors": compared(loaders["load_network"](folder), expected),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
