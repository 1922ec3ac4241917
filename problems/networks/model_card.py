"""The README.md of an exported network: what it is, what it cost, how to load it."""

from __future__ import annotations

from collections.abc import Mapping

from emoprune.contracts import Description
from emoprune.problems.networks.verification import Verified

__all__ = ["model_card"]

_LOADING = """\
## Load it

With torch and safetensors installed, in this folder:

```python
from load import load_network  # or load_program, which runs model.pt2

network = load_network()
outputs = network(images)  # 32-bit floats, shape ({shape})
```

`model.safetensors` holds the weights, `config.json` the layers and which channels of the source network stayed,
`model.pt2` a self-contained program for `torch.export.load` with a free batch size, `verify.json` the comparison below.
"""


def model_card(
    source: str, input_shape: tuple[int, ...], described: Description, results: Mapping[str, object], verified: Verified
) -> str:
    """Return the card as Markdown."""
    shape = ", ".join(["batch", *map(str, input_shape)])
    origin = (
        f"Channels were removed from the network `{source}`; batch-norm statistics were estimated anew, no weight was "
        "trained afterwards."
    )
    parts = [
        f"# Pruned network\n\n{origin}\n",
        "## What stayed\n\n" + _table(("layer or count", "what stayed"), described),
        "## Measured\n\n" + _table(("of the pruned network, and unpruned", "value"), results),
        _LOADING.format(shape=shape),
        _verification(verified),
    ]
    return "\n".join(parts)


def _table(header: tuple[str, str], rows: Mapping[str, object]) -> str:
    lines = [f"| {header[0]} | {header[1]} |", "| --- | --- |"]
    lines += [f"| {_cell(label)} | {_cell(value)} |" for label, value in rows.items()]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")


def _verification(verified: Verified) -> str:
    return (
        "## Verified\n\nA fresh process without emoprune loaded both forms and compared their outputs with the "
        f"evaluated network's on {verified.images} test images: they differ by at most {verified.difference:.3g} "
        f"(allowed: {verified.tolerance:.3g}).\n"
    )
