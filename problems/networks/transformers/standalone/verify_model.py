"""Load exported folders in a process without emoprune, compare outputs with what they must be, and time them.

Usage: python verify_model.py ASKED.json ANSWER.json
"""

from __future__ import annotations

import sys

# None makes every import of emoprune fail: what is loaded here must not need it.
sys.modules["emoprune"] = None  # type: ignore[assignment]  # the language allows None here, typeshed does not
# Nothing is to be left in the folders that are loaded, nor where transformers copies their code to.
sys.dont_write_bytecode = True

import json  # noqa: E402  # nothing may be imported before the lines above
import os  # noqa: E402  # as above
import platform  # noqa: E402  # as above
import runpy  # noqa: E402  # as above
from collections.abc import Callable  # noqa: E402  # as above
from functools import partial  # noqa: E402  # as above
from pathlib import Path  # noqa: E402  # as above
from typing import Any  # noqa: E402  # as above

os.environ["HF_MODULES_CACHE"] = str(Path(sys.argv[1]).with_name("modules"))

import torch  # noqa: E402  # as above
import transformers  # noqa: E402  # as above
from safetensors.torch import load_file  # noqa: E402  # as above
from transformers import AutoTokenizer  # noqa: E402  # as above


def outputs_of(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return a model's logits."""
    found = model(**inputs)
    return found if isinstance(found, torch.Tensor) else torch.as_tensor(found[0])


def inputs_of(given: dict[str, torch.Tensor], start: str) -> dict[str, torch.Tensor]:
    """Return the tensors whose names begin with `start`, without it."""
    return {name.removeprefix(start): own for name, own in given.items() if name.startswith(start)}


def difference(model: Any, given: dict[str, torch.Tensor], batches: int) -> float:
    """Return the largest absolute difference of the model's outputs, not a number if one of them is not."""
    largest = torch.zeros(())
    for number in range(batches):
        found = outputs_of(model, inputs_of(given, f"{number}.input."))
        wanted = given[f"{number}.output"]
        if found.shape != wanted.shape:
            raise SystemExit(f"the outputs have shape {tuple(found.shape)}, expected {tuple(wanted.shape)}")
        largest = torch.maximum(largest, (found - wanted).abs().max())
    return float(largest)


def loaded(folder: str) -> Any:
    """Return the model of a folder as its own `load.py` loads it, in 32-bit floats."""
    return runpy.run_path(str(Path(folder) / "load.py"))["load_model"](folder, dtype=torch.float32)


def pretrained(folder: str, factory: str, coded: bool) -> Any:
    """Return the model of a folder as a class of transformers loads it, which may fill in nothing, in 32-bit floats."""
    model, said = getattr(transformers, factory).from_pretrained(
        folder, trust_remote_code=coded, dtype=torch.float32, output_loading_info=True
    )
    found = {kind: sorted(map(str, own)) for kind, own in said.items() if own}
    if found:
        raise SystemExit(f"{factory} does not find the weights that it looks for: {found}")
    return model


def ways(request: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return by its name each way in which the pruned model is loaded."""
    folder = request["folders"]["pruned"]
    if request["factory"] is None:
        return {"load.py": partial(loaded, folder)}
    trusted = "(trust_remote_code=True)" if request["coded"] else ""
    named = f"{request['factory']}.from_pretrained{trusted}"
    return {
        named: partial(pretrained, folder, request["factory"], request["coded"]),
        "load.py": partial(loaded, folder),
    }


def text_apart(request: dict[str, Any], model: Any, given: dict[str, torch.Tensor]) -> float:
    """Return by how much a model's logits differ where it writes with a cache; 0 of one that does not write."""
    if not request["written"]:
        return 0.0
    own = runpy.run_path(request["generating"])
    found = own["written"](model, inputs_of(given, "prompts."), request["written"], cached=True)
    apart: float = own["apart"](found, inputs_of(given, "written."))
    return apart


def said(request: dict[str, Any], model: Any) -> dict[str, Any]:
    """Return what the pruned model's folder says beside weights."""
    folder, tokenizer = request["folders"]["pruned"], None
    if request["tokenizer"]:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=request["coded"])
    found: dict[str, Any] = runpy.run_path(request["conventions"])["conventions"](model, tokenizer)
    return found


def main(asked: Path, answer: Path) -> None:
    """Load, compare, time, and write down what was found."""
    request = json.loads(asked.read_text(encoding="utf-8"))
    torch.set_num_threads(request["threads"])
    given = load_file(request["inputs"])
    turns = runpy.run_path(request["timing"])["milliseconds_in_turns"]
    found: dict[str, Any] = {"differences": {}, "written": {}}
    with torch.inference_mode():
        for way, load in ways(request).items():
            pruned = load().eval()  # one at a time: each may fill the memory
            found["differences"][way] = difference(pruned, given, request["batches"])
            found["written"][way] = text_apart(request, pruned, given)
        models = {"pruned": pruned, "unpruned": loaded(request["folders"]["unpruned"])}
        for size in request["sizes"]:
            inputs = inputs_of(given, f"sized.{size}.")
            calls = [partial(outputs_of, model, inputs) for model in models.values()]
            one = sum(taken[0] for taken in turns(calls, 1, 1)) / 1000.0
            repeats = max(request["fewest"], min(request["repeats"], int(request["seconds"] / one)))
            found[f"batch {size}"] = dict(zip(models, turns(calls, repeats, request["warm_up"]), strict=True))
    found["conventions"] = said(request, pruned)
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
