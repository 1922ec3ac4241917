"""Load exported folders in a process without emoprune, compare outputs with what they must be, and time them.

Usage: python verify_model.py ASKED.json ANSWER.json
"""

from __future__ import annotations

import sys

# None makes every import of emoprune fail: what is loaded here must not need it.
sys.modules["emoprune"] = None  # type: ignore[assignment]  # the language allows None here, typeshed does not

import json  # noqa: E402  # nothing may be imported before the line above
import platform  # noqa: E402  # as above
import runpy  # noqa: E402  # as above
from functools import partial  # noqa: E402  # as above
from pathlib import Path  # noqa: E402  # as above
from typing import Any  # noqa: E402  # as above

import torch  # noqa: E402  # as above
import transformers  # noqa: E402  # as above
from safetensors.torch import load_file  # noqa: E402  # as above


def outputs_of(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return a model's logits."""
    found = model(**inputs)
    return found if isinstance(found, torch.Tensor) else torch.as_tensor(found[0])


def inputs_of(given: dict[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose names begin with `start`, without it."""
    return {name.removeprefix(start): own for name, own in given.items() if name.startswith(start)}


def difference(models: dict[str, Any], given: dict[str, torch.Tensor], batches: int) -> float:
    """Return the largest absolute difference of the pruned model's outputs, not a number if one of them is not."""
    largest = torch.zeros(())
    for number in range(batches):
        found = outputs_of(models["pruned"], inputs_of(given, f"{number}.input."))
        wanted = given[f"{number}.output"]
        if found.shape != wanted.shape:
            raise SystemExit(f"the outputs have shape {tuple(found.shape)}, expected {tuple(wanted.shape)}")
        largest = torch.maximum(largest, (found - wanted).abs().max())
    return float(largest)


def main(asked: Path, answer: Path) -> None:
    """Load, compare, time, and write down what was found."""
    request = json.loads(asked.read_text(encoding="utf-8"))
    torch.set_num_threads(request["threads"])
    given = load_file(request["inputs"])
    turns = runpy.run_path(request["timing"])["milliseconds_in_turns"]
    with torch.inference_mode():
        models = {
            name: runpy.run_path(str(Path(folder) / "load.py"))["load_model"](folder)
            for name, folder in request["folders"].items()
        }
        found: dict[str, Any] = {"difference": difference(models, given, request["batches"])}
        for size in request["sizes"]:
            inputs = inputs_of(given, f"sized.{size}.")
            calls = [partial(outputs_of, model, inputs) for model in models.values()]
            one = sum(taken[0] for taken in turns(calls, 1, 1)) / 1000.0
            repeats = max(request["fewest"], min(request["repeats"], int(request["seconds"] / one)))
            found[f"batch {size}"] = dict(zip(models, turns(calls, repeats, request["warm_up"]), strict=True))
    if any(name.partition(".")[0] == "emoprune" for name in sys.modules if sys.modules[name] is not None):
        raise SystemExit("emoprune was imported after all")
    found["ran_on"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": platform.machine(),
    }
    answer.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
