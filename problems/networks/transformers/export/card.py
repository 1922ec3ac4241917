"""The README.md of an exported transformer: Hugging Face's metadata, what stayed, what was measured, how it loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emoprune.contracts import Description
from emoprune.problems.networks.export.card import Measured, compared, markdown_table
from emoprune.problems.networks.transformers.export.ancestry import ancestry_of
from emoprune.problems.networks.transformers.export.folders import Layout
from emoprune.problems.networks.transformers.export.verify import Verified
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["Facts", "model_card"]

Numbers = Mapping[str, float]

_PIPELINES = {"language-modelling": "text-generation", "masked-language-modelling": "fill-mask"}  # others alike
_PLAIN = """\
```python
from transformers import {factory}

model = {factory}.from_pretrained(".")
```

`config.json` says of every layer how wide it is, so that transformers' own class holds the model.
"""
_CODED = """\
{reason}: `modeling_pruned.py` builds the model from `config.json`, with the lines of the other files. Read them, and
let transformers run them:

```python
from transformers import {factory}

model = {factory}.from_pretrained(".", trust_remote_code=True)
```

Or run them yourself:

```python
from load import load_model, load_tokenizer

model = load_model()
tokenizer = load_tokenizer()
```
"""
_PACKED = """\
The weights are in packed.safetensors, unfolded by `unpack.py`; `modeling_pruned.py` builds the model that they fit.

```python
from load import load_model, load_tokenizer

model = load_model()
tokenizer = load_tokenizer()
```
"""


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """What is said of an exported model: what stayed, what was measured of it and of the unpruned one, and notes.

    `data` is what it was measured on.
    """

    described: Description
    measured: tuple[Numbers, Numbers]
    data: str
    notes: Sequence[str] = ()

    @property
    def rows(self) -> list[Measured]:
        """The measured numbers, the unpruned model's beside them."""
        pruned, unpruned = self.measured
        return [Measured(name, value, unpruned.get(name)) for name, value in pruned.items()]


def model_card(opened: Opened, facts: Facts, rows: Sequence[Measured], found: Verified | None, layout: Layout) -> str:
    """Return the card as Markdown, its metadata first, as Hugging Face's hub reads them."""
    own = _PACKED if layout.packed else _CODED if layout.coded else _PLAIN
    parts = [
        f"---\n{_metadata(opened, facts)}\n---\n",
        f"# A model pruned from `{opened.loaded.source.name}` ({opened.loaded.source.architecture})\n",
        *(f"{note}\n" for note in facts.notes),
        "## What stayed\n",
        markdown_table(("layer or count", "what stayed"), facts.described.items()),
        "## Measured\n",
        markdown_table(("", "pruned", "unpruned", "pruned / unpruned"), map(compared, rows)),
        _explained(found),
        "## Load it\n",
        "With torch, transformers and safetensors installed, in this folder:\n",
        own.format(factory=layout.factory, reason=layout.reason),
        "## Verified\n",
        _verification(found),
    ]
    return "\n".join(parts)


def _metadata(opened: Opened, facts: Facts) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    source, task = opened.loaded.source, str(opened.task.about["task"])
    pipeline = _PIPELINES.get(task, task)
    results = [
        EvalResult(
            pipeline, Path(facts.data).name, Path(facts.data).name, name.removeprefix("test "), value, metric_name=name
        )
        for name, value in facts.measured[0].items()
    ]
    said = ModelCardData(
        library_name="transformers",
        pipeline_tag=pipeline,
        tags=["pruned", "emoprune"],
        model_name=f"{Path(source.name).name}-pruned",
        eval_results=results,
        **ancestry_of(source.name),
    )
    return str(said.to_yaml())


def _explained(found: Verified | None) -> str:
    text = (
        "Quality is of the test part. `macs` are multiply-accumulates for one example, attention counted over all its "
        "tokens; `bytes` are those of the weights, `kv-bytes` those that a cache takes for each token.\n"
    )
    if found is None:
        return f"{text}\nThe times were not measured, because nothing was verified.\n"
    timing = next(iter(found.timings.values()))[0]
    ran_on = ", ".join(f"{what} {which}" for what, which in found.ran_on.items())
    return (
        f"{text}\nMilliseconds are medians of turns in which both models run one after the other in 32-bit floats, in "
        f"one fresh process on {timing.threads} thread{'s' if timing.threads > 1 else ''} ({ran_on}). `verify.json` "
        "has the quartiles. Measure again where the model is to run.\n"
    )


def _verification(found: Verified | None) -> str:
    if found is None:
        return "Not: nothing was loaded again after it was written.\n"
    return (
        "A fresh process, in which emoprune could not be imported, loaded this folder by "
        f"{' and by '.join(found.loaded)} and put {found.examples} test examples through it: outputs differ by at most "
        f"{found.difference:.3g} from the evaluated model's; {found.tolerance:.3g} is allowed. Written text: "
        f"{found.written}.\n"
    )
