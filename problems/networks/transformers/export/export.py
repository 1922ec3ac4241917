"""Exporting a narrowed transformer: written, verified and timed beside the unpruned one, with a page about it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from emoprune.contracts import Description
from emoprune.problems.networks.export.card import Measured, compared, markdown_table
from emoprune.problems.networks.export.files import write_json
from emoprune.problems.networks.transformers.export.folders import Exported, weights_bytes, write_folder
from emoprune.problems.networks.transformers.export.verify import Verified, verify
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.storage.exported import about_folder

__all__ = ["Facts", "export_model"]

Numbers = Mapping[str, float]


LOADING = """\
The weights are in {weights}; `config.json` is the unpruned model's, `pruning.json` says how each layer is narrowed,
which `narrowing.py` does. With torch, transformers and safetensors installed, in this folder:

```python
from load import load_model, load_tokenizer

model = load_model()
tokenizer = load_tokenizer()
```
"""


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is said of an exported model: what stayed, what was measured of it and of the unpruned one, and notes."""

    described: Description
    measured: tuple[Numbers, Numbers]
    notes: Sequence[str] = ()

    @property
    def rows(self) -> list[Measured]:
        """The measured numbers, the unpruned model's beside them."""
        pruned, unpruned = self.measured
        return [Measured(name, value, unpruned.get(name)) for name, value in pruned.items()]


def export_model(
    folder: Path,
    opened: Opened,
    exported: tuple[Exported, Exported],
    facts: Facts,
    *,
    length: int,
    check: bool,
) -> Description:
    """Write a model into `folder`, and return what was measured and verified.

    Args:
        folder: Where to.
        opened: The unpruned model's task and source.
        exported: The pruned and the unpruned model, both on the CPU.
        facts: What the page says.
        length: Tokens in a timed example.
        check: Whether a fresh process loads what was written, compares and times it.

    Raises:
        ContractError: The reloaded model is not this one.
        StorageError: The folder cannot be written.
    """
    measured = {row.label: {"pruned": row.pruned, "unpruned": row.unpruned} for row in facts.rows}
    more = {"kept": dict(facts.described), "measured": measured}
    with about_folder(folder):
        write_folder(folder, exported[0], opened.loaded, more)
        rows = list(facts.rows)
        found: Verified | None = None
        if check:
            with tempfile.TemporaryDirectory() as scratch:
                write_folder(Path(scratch), exported[1], opened.loaded, {})
                found = _verified((folder, Path(scratch)), opened, exported[0].model, length)
                rows.append(Measured("weights file bytes", weights_bytes(folder), weights_bytes(Path(scratch))))
            rows += _times(found)
            write_json(folder / "verify.json", _plain(found))
        else:
            rows.append(Measured("weights file bytes", weights_bytes(folder), None))
        (folder / "README.md").write_text(_card(opened, facts, rows, found, exported[0]), encoding="utf-8")
    return _said(rows, found)


def _verified(folders: tuple[Path, Path], opened: Opened, model: Any, length: int) -> Verified:
    batches, threads = opened.task.parts["test"], torch.get_num_threads()
    return verify(folders, model, opened.task, batches, length=length, threads=threads)


def _times(found: Verified) -> list[Measured]:
    return [
        Measured(f"milliseconds, batch of {size}", round(pair[0].median, 3), round(pair[1].median, 3))
        for size, pair in found.timings.items()
    ]


def _plain(found: Verified) -> dict[str, Any]:
    timings = [
        {"model": name, **asdict(timing)}
        for pair in found.timings.values()
        for name, timing in zip(("pruned", "unpruned"), pair, strict=True)
    ]
    facts = {"difference": found.difference, "tolerance": found.tolerance, "examples": found.examples}
    return {**facts, "timings": timings, "ran_on": dict(found.ran_on)}


def _said(rows: Sequence[Measured], found: Verified | None) -> Description:
    said: dict[str, str | int | float] = {}
    for row in rows:
        said[row.label] = row.pruned
        if row.unpruned is not None:
            said[f"{row.label} unpruned"] = row.unpruned
    if found is not None:
        said |= {"max abs difference": found.difference, "allowed difference": found.tolerance}
    return said | {"verified": "in a fresh process without emoprune" if found else "no"}


def _card(opened: Opened, facts: Facts, rows: Sequence[Measured], found: Verified | None, exported: Exported) -> str:
    weights = "packed.safetensors, unfolded by unpack.py" if exported.layers else "model.safetensors"
    parts = [
        f"# A model pruned from `{opened.loaded.source.name}` ({opened.loaded.source.architecture})\n",
        *(f"{note}\n" for note in facts.notes),
        "## What stayed\n",
        markdown_table(("layer or count", "what stayed"), facts.described.items()),
        "## Measured\n",
        markdown_table(("", "pruned", "unpruned", "pruned / unpruned"), map(compared, rows)),
        _explained(found),
        "## Load it\n",
        LOADING.format(weights=weights),
        "## Verified\n",
        _verification(found),
    ]
    return "\n".join(parts)


def _explained(found: Verified | None) -> str:
    text = (
        "Quality is of the test part. `macs` are multiply-accumulates for one example, attention counted over all its "
        "tokens; `bytes` are those of the weights.\n"
    )
    if found is None:
        return f"{text}\nThe times were not measured, because nothing was verified.\n"
    timing = next(iter(found.timings.values()))[0]
    ran_on = ", ".join(f"{what} {which}" for what, which in found.ran_on.items())
    return (
        f"{text}\nMilliseconds are medians of turns in which both models run one after the other, in one fresh process "
        f"on {timing.threads} thread{'s' if timing.threads > 1 else ''} ({ran_on}). `verify.json` has the quartiles. "
        "Measure again where the model is to run.\n"
    )


def _verification(found: Verified | None) -> str:
    if found is None:
        return "Not: nothing was loaded again after it was written.\n"
    return (
        f"A fresh process, in which emoprune could not be imported, loaded this folder and put {found.examples} test "
        f"examples through it: outputs differ by at most {found.difference:.3g} from the evaluated model's; "
        f"{found.tolerance:.3g} is allowed.\n"
    )
