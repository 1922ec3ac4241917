"""The page beside exported features: which they are, how to compute them, what was measured."""

from __future__ import annotations

from emoprune.contracts import Description
from emoprune.problems.tables.standalone.features import Features
from emoprune.problems.tables.task import TableTask

__all__ = ["feature_card"]


def feature_card(features: Features, task: TableTask, said: Description, model: str | None) -> str:
    """Return the page as Markdown."""
    names = "\n".join(f"{number}. `{name}`" for number, name in enumerate(features.names, start=1))
    needed = ", ".join(f"`{name}`" for name in features.plan["needs"])
    measured = "\n".join(f"| {label} | {value} |" for label, value in said.items())
    parts = [
        f"# {len(features.names)} features",
        names,
        f"Computed from {needed}.",
        "## Use",
        (
            "`features.json` holds the formulas, `statistics.npz` what they learnt on the training rows, and "
            "`features.py` computes them; it needs numpy alone and nothing is unpickled. A frame may be pandas, polars "
            "or a mapping:"
        ),
        "```python\nfrom features import load_features\n\ninputs = load_features().transform(frame)\n```",
        "As a step of pipelines of scikit-learn, LightGBM, XGBoost and CatBoost:",
        (
            "```python\nfrom emoprune.problems.tables import TabularTransform\n\n"
            'features = TabularTransform("this/folder").set_output(transform="pandas")\n```'
        ),
    ]
    if model is not None:
        classes = f" Class 0 is {task.table.classes[0]!r}." if task.table.classes else ""
        parts.append(f"`{model}` is the model: `lightgbm.Booster(model_file={model!r}).predict(inputs)`.{classes}")
    parts += ["## Measured", f"| what | value |\n|---|---|\n{measured}"]
    return "\n\n".join(parts) + "\n"
