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


def loaded(request: dict[str, Any]) -> dict[str, Any]:
    """Return the models: pruned and unpruned as their folders load them, and the pruned one as transformers does."""
    models = {
        name: runpy.run_path(str(Path(folder) / "load.py"))["load_model"](folder, dtype=torch.float32)
        for name, folder in request["folders"].items()
    }
    if request["factory"] is not None and request["coded"]:
        factory = getattr(transformers, request["factory"])
        folder = request["folders"]["pruned"]
        models["auto"] = factory.from_pretrained(folder, trust_remote_code=True, dtype=torch.float32).eval()
    return models


def ways(request: dict[str, Any]) -> dict[str, str]:
    """Return how each of the models that are the pruned one was loaded."""
    if request["factory"] is None:
        return {"pruned": "load.py"}
    plain = f"{request['factory']}.from_pretrained"
    if not request["coded"]:
        return {"pruned": plain}
    return {"pruned": "load.py", "auto": f"{plain}(trust_remote_code=True)"}


def same_text(request: dict[str, Any], models: dict[str, Any], given: dict[str, torch.Tensor]) -> dict[str, float]:
    """Return for each way of loading the pruned model by how much its logits differ where it writes with a cache."""
    if not request["written"]:
        return {}
    own = runpy.run_path(request["generating"])
    prompts, wanted = inputs_of(given, "prompts."), inputs_of(given, "written.")
    return {
        way: own["apart"](own["written"](models[name], prompts, request["written"], cached=True), wanted)
        for name, way in ways(request).items()
    }


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
    with torch.inference_mode():
        models = loaded(request)
        found: dict[str, Any] = {
            "difference": max(difference(models[name], given, request["batches"]) for name in ways(request)),
            "written": same_text(request, models, given),
            "loaded": list(ways(request).values()),
        }
        timed = [models[name] for name in request["folders"]]
        for size in request["sizes"]:
            inputs = inputs_of(given, f"sized.{size}.")
            calls = [partial(outputs_of, model, inputs) for model in timed]
            one = sum(taken[0] for taken in turns(calls, 1, 1)) / 1000.0
            repeats = max(request["fewest"], min(request["repeats"], int(request["seconds"] / one)))
            taken = turns(calls, repeats, request["warm_up"])
            found[f"batch {size}"] = dict(zip(request["folders"], taken, strict=True))
    found["conventions"] = said(request, models["pruned"])
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
