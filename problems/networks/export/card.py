"""The README.md of an exported network: what it is, what it costs, how to load it, how that was found out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from emoprune.contracts import Description
from emoprune.problems.networks.export.verify import TOLERANCES, Verified
from emoprune.problems.networks.export.writable import NarrowedOriginal, Writable

__all__ = ["Measured", "compared", "markdown_table", "model_card"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A labelled number of the pruned network, and the unpruned one's, None where it was not measured."""

    label: str
    pruned: float
    unpruned: float | None


_HOW_TO_LOAD: Mapping[str, str] = {
    "safetensors": """\
`model.safetensors` holds the weights and statistics, {code}.
With torch and safetensors installed{also}, in this folder:

```python
from load import load_network

network = load_network()
outputs = network(images)
```
""",
    "torch-export": """\
`model.pt2` is a self-contained program, its weights inside. With torch installed:

```python
import torch

network = torch.export.load("model.pt2").module()
outputs = network(images)
```
""",
    "onnx": """\
`model.onnx` is an ONNX graph, its weights inside. With onnxruntime installed:

```python
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
outputs = session.run(None, {{"images": images}})[0]  # a numpy array
```
""",
}


def model_card(
    source: str,
    network: Writable,
    *,
    described: Description,
    rows: Sequence[Measured],
    formats: Sequence[str],
    verified: Sequence[Verified],
    notes: Sequence[str],
) -> str:
    """Return the card as Markdown."""
    parts = [
        f"# A network pruned from `{source}`\n",
        *(f"{note}\n" for note in notes),
        "## What stayed\n",
        markdown_table(("layer, coupling group or count", "what stayed"), described.items()),
        "## Measured\n",
        markdown_table(("", "pruned", "unpruned", "pruned / unpruned"), map(compared, rows)),
        _explained(verified),
        "## Load it\n",
        _input(network),
        *(_loading(name, network, source) for name in formats),
        "`config.json` says how wide every layer is and which channels of the source network stayed.\n",
        "## Verified\n",
        _verification(verified),
    ]
    return "\n".join(parts)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as Markdown; numbers as people read them."""
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, float):
        text = f"{int(value):,}" if value.is_integer() else f"{value:.4g}"
    else:
        text = "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("|", "\\|")


def compared(row: Measured) -> tuple[object, ...]:
    """Return a table's row: the label, both numbers, and one as a share of the other."""
    share = round(row.pruned / row.unpruned, 4) if row.unpruned else None
    return row.label, row.pruned, row.unpruned, share


def _input(network: Writable) -> str:
    shape = ", ".join(map(str, network.input_shape))
    return (
        f"It takes 32-bit images of shape (batch, {shape}), prepared as for the source network, in batches of any "
        "size, and returns one number per class. It is for inference, in eval mode.\n"
    )


def _loading(name: str, network: Writable, source: str) -> str:
    if isinstance(network.code, NarrowedOriginal):
        code = (
            f"`load.py` makes the network with `{source}` and narrows its layers by `config.json`, because it could "
            f"not be written down by itself: {network.code.reason}"
        )
        also = f", and `{source.partition(':')[0]}` importable"
    else:
        code, also = "`model.py` defines the smaller network in readable code", ""
    return _HOW_TO_LOAD[name].format(code=code, also=also)


def _explained(verified: Sequence[Verified]) -> str:
    counts = (
        "`test error` is the share of test images whose highest output is not their label; `macs` are "
        "multiply-accumulates of convolutions and linear layers for one image; `bytes` are those of weights and "
        "statistics, `file bytes` those of the file.\n"
    )
    if not verified:
        return f"{counts}\nThe times were not measured, because nothing was verified.\n"
    timing = next(iter(verified[0].timings.values()))[0]
    ran_on = ", ".join(f"{what} {which}" for what, which in verified[0].ran_on.items())
    spread = [
        (
            f"{each.name}, batch of {size}",
            each.layout,
            *(f"{own.median:.3g} ({own.low:.3g} to {own.high:.3g})" for own in pair),
        )
        for each in verified
        for size, pair in each.timings.items()
    ]
    method = (
        f"\nMilliseconds are medians of {timing.repeats} turns, with the first and third quartile in brackets; in "
        "each turn all networks and formats run once, one after the other, in one fresh process on "
        f"{timing.threads} thread{'s' if timing.threads > 1 else ''}, after a few turns that are not counted "
        f"({ran_on}). Measure again where the network is to run.\n"
    )
    return f"{counts}{method}\n" + markdown_table(("milliseconds", "images lay", "pruned", "unpruned"), spread)


def _verification(verified: Sequence[Verified]) -> str:
    if not verified:
        return "Not: nothing was loaded again after it was written.\n"
    rows = [
        (each.name, f"{each.difference:.3g}", f"{each.tolerance:.3g}", f"{TOLERANCES[each.name]:g}", each.errors[0])
        for each in verified
    ]
    header = ("format", "largest difference of outputs", "allowed", "of the largest output", "test error")
    return (
        "A fresh process, in which emoprune could not be imported, loaded every format and compared its outputs with "
        f"the evaluated network's on {verified[0].images:,} test images, in the batches of the evaluation, and in "
        "batches of one and three that lie in memory as images usually do. `verify.json` has all numbers.\n\n"
        + markdown_table(header, rows)
    )
