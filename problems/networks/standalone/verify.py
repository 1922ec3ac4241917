"""Load exported networks without emoprune, compare their outputs with those they must have, and time them.

Usage: python -P verify.py REQUEST.json ANSWER.json; `emoprune.problems.networks.export.verify` writes the one and reads
the other.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections.abc import Callable
from typing import Any


class Refusal(importlib.abc.MetaPathFinder):
    """Refuses emoprune: what is loaded here must not need it."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:  # noqa: ARG002  # Python's
        """Raise for emoprune and its parts, leave all else to the others."""
        if fullname.partition(".")[0] == "emoprune":
            raise ImportError("emoprune is kept out of this process: what is exported has to load without it")


sys.meta_path.insert(0, Refusal())

import json  # noqa: E402  # nothing that could need emoprune may be imported before the line above
import platform  # noqa: E402  # as above
import runpy  # noqa: E402  # as above
from pathlib import Path  # noqa: E402  # as above

import torch  # noqa: E402  # as above
from safetensors.torch import load_file  # noqa: E402  # as above

Network = Callable[[torch.Tensor], torch.Tensor]
Ready = Callable[[torch.Tensor], Callable[[], object]]  # takes a batch, returns what runs it and nothing else

LAYOUTS = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}


def from_safetensors(folder: Path, layout: str, threads: int) -> tuple[Network, Ready]:  # noqa: ARG001  # torch has its own
    """Load the network with the folder's own load.py."""
    network = runpy.run_path(str(folder / "load.py"))["load_network"](folder)
    return in_torch(network.to(memory_format=LAYOUTS[layout]))


def from_torch_export(folder: Path, layout: str, threads: int) -> tuple[Network, Ready]:  # noqa: ARG001  # as above
    """Load the program with torch alone."""
    return in_torch(torch.export.load(folder / "model.pt2").module())


def in_torch(network: torch.nn.Module) -> tuple[Network, Ready]:
    """Run a network in torch."""
    return network, lambda batch: lambda: network(batch)


def from_onnx(folder: Path, layout: str, threads: int) -> tuple[Network, Ready]:  # noqa: ARG001  # it knows but one
    """Load the graph with onnxruntime, on as many threads as torch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])

    def network(images: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])

    def ready(batch: torch.Tensor) -> Callable[[], object]:
        given = {"images": batch.numpy()}
        return lambda: session.run(None, given)

    return network, ready


LOADERS = {"safetensors": from_safetensors, "torch-export": from_torch_export, "onnx": from_onnx}
ONE_LAYOUT = {"onnx"}


class Loaded:
    """A reloaded network in the layout that its images are put through in; `row` says all about it but the times."""

    def __init__(self, form: str, name: str, request: dict[str, Any], given: dict[str, torch.Tensor]) -> None:
        folder, threads = Path(request["folders"][name]), request["threads"]
        network, self.ready = LOADERS[form](folder, "contiguous", threads)
        # As whoever loads it will begin: few images, laid out as they come, for sizes that it was not tried on before.
        few = [difference(network(given["images"][:n]), given[name][:n]) for n in (1, 3)]
        self.layout = "contiguous"
        if form not in ONE_LAYOUT:
            faster, ready = LOADERS[form](folder, "channels-last", threads)
            if runs(faster, laid_out(given["images"][:2], "channels-last")):
                network, self.ready, self.layout = faster, ready, "channels-last"
        batches = torch.split(given["images"], int(given["batch"]))
        outputs = torch.cat([network(laid_out(batch, self.layout)) for batch in batches])
        differences = torch.stack([*few, difference(outputs, given[name])])
        wrong = int((outputs.argmax(dim=1) != given["labels"]).sum())
        self.row: dict[str, Any] = {
            "format": form,
            "network": name,
            "layout": self.layout,
            "difference": float(differences.max()),
            "error": wrong / len(outputs),
        }


def difference(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the largest absolute difference, not a number if one of them is not."""
    if found.shape != wanted.shape:
        raise SystemExit(f"the outputs have shape {tuple(found.shape)}, expected {tuple(wanted.shape)}")
    return (found - wanted).abs().max()


def runs(network: Network, images: torch.Tensor) -> bool:
    """Whether the network takes images in this layout; `view` takes contiguous ones alone."""
    try:
        network(images)
    except RuntimeError:
        return False
    return True


def laid_out(images: torch.Tensor, layout: str) -> torch.Tensor:
    """Return the images in one of the layouts."""
    return images.contiguous(memory_format=LAYOUTS[layout])


def timed(networks: list[Loaded], images: torch.Tensor, size: int, request: dict[str, Any]) -> list[list[float]]:
    """Return the milliseconds each network takes for a batch of that size, turn by turn."""
    batch = images[torch.arange(size) % len(images)]
    turns = runpy.run_path(str(Path(__file__).with_name("timing.py")))["milliseconds_in_turns"]
    calls = [each.ready(laid_out(batch, each.layout)) for each in networks]
    one_turn = sum(taken[0] for taken in turns(calls, 1, 1)) / 1000.0
    affordable = max(request["fewest_repeats"], int(request["seconds"] / one_turn))
    found: list[list[float]] = turns(calls, min(request["repeats"], affordable), request["warm_up"])
    return found


def answered(request: dict[str, Any]) -> dict[str, Any]:
    """Return how each format of both networks compares, how long it takes, and what it ran on."""
    torch.set_num_threads(request["threads"])
    sys.path[:0] = request["import_from"]
    given = load_file(request["inputs"])
    with torch.inference_mode():
        loaded = [Loaded(form, name, request, given) for form in request["formats"] for name in request["folders"]]
        for size in request["batches"]:
            for each, taken in zip(loaded, timed(loaded, given["images"], size, request), strict=True):
                each.row[f"batch {size}"] = taken
    if any(name.partition(".")[0] == "emoprune" for name in sys.modules):
        raise SystemExit("emoprune was imported after all")
    return {"rows": [each.row for each in loaded], "ran_on": ran_on()}


def ran_on() -> dict[str, str]:
    """Say what the times hold for."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}
    if "onnxruntime" in sys.modules:
        found["onnxruntime"] = sys.modules["onnxruntime"].__version__
    return {**found, "instructions": torch.backends.cpu.get_cpu_capability()}


if __name__ == "__main__":
    asked, answer = (Path(argument) for argument in sys.argv[1:3])
    answer.write_text(json.dumps(answered(json.loads(asked.read_text(encoding="utf-8")))), encoding="utf-8")
