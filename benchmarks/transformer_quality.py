"""How good narrowed transformers are at equal sizes, without training: searched, and by what a user would do without.

python benchmarks/transformer_quality.py [--quick] [--no-record] [--rounds N]

Reads sentences from the folder that the environment variable EMOPRUNE_DATA names; without it that part is left out.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared.processes import alone, progress
from shared.recording import Report, Table, arguments, publish
from shared.small_language import small_model
from shared.transformer_ways import Setting, greedy_heads, searched, without_a_search

NOTES = """\
- Every way has the same calibration data and the same model. The searches have {evaluations} evaluations each, NSGA-II
  with the engine's defaults and one-point crossover, least-squares repair within every evaluation, seeds 1 to {seeds};
  of each front the model with the lowest {chosen} on the select part that is small enough is taken. All numbers are of
  the test part, which nothing was chosen by: {test}.
- Mean of the seeds with the smallest and the largest; `random` is drawn by the same seeds. `-`: cannot get so small.
- `global` is one threshold on the criterion per parameter or multiply-accumulate over all layers, nothing repaired;
  `k-prune` repairs in turn after that threshold, `k-prune, own search` measures anew before each sub-layer.
- No training anywhere, but for a classifier fitted on the unpruned sentence encoder's features.
"""


def measure(part: Mapping[str, Any]) -> None:
    """Measure one way, and print what came out by size."""
    torch.set_num_threads(1)
    setting = Setting(**part["setting"])
    if part["way"] == "greedy-heads":
        print(json.dumps(greedy_heads(setting, part["seeds"][0])))
    elif part["seed"] is None:
        print(json.dumps(without_a_search(setting, part["seeds"])))
    else:
        print(json.dumps({"searched": searched(setting, part["seed"])}))


def table(setting: Setting, found: Mapping[str, Mapping[str, Sequence[float | None]]]) -> Table:
    """Return a row per way, a column per size."""
    rows = []
    for way, by_size in found.items():
        rows.append((way, *(_cell(by_size[str(size)]) for size in setting.sizes)))
    columns = ("way", *(f"{100 - size} % of {setting.cost} removed" for size in setting.sizes))
    return Table(f"{setting.title}: {setting.shown} on the test part.", columns, rows)


def _cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.4g}"
    return f"{np.mean(known):.4g} ({min(known):.4g}-{max(known):.4g})"


def collected(setting: Setting, seeds: Sequence[int], way: str | None) -> dict[str, dict[str, list[float | None]]]:
    """Measure all ways, each in a process of its own, or `way` alone."""
    part = {"setting": asdict(setting), "seed": None, "seeds": list(seeds), "way": way}
    if way is not None:
        return alone(part)
    found: dict[str, dict[str, list[float | None]]] = {"emoprune": {str(size): [] for size in setting.sizes}}
    for seed in seeds:
        progress(f"{setting.title}: search with seed {seed}")
        own = alone(part | {"seed": seed})["searched"]
        for size, value in own.items():
            found["emoprune"][size].append(value)
    progress(f"{setting.title}: without a search")
    return found | alone(part)


def settings(folder: Path, *, quick: bool) -> list[Setting]:
    """Return what is measured: a small model of no use, or the real ones whose data is there."""
    if quick:
        model, data = small_model(folder)
        return [
            Setting("small language model", model, "language-modelling", data, 16, 16, 8, 3, "parameters", (90, 70))
        ]
    language = Setting(
        "SmolLM2-135M-Instruct",
        "smollm2",
        "language-modelling",
        "python-topics",
        128,
        16,
        20,
        10,
        "parameters",
        (90, 80, 70),
    )
    given = os.environ.get("EMOPRUNE_DATA")
    sentences = Path(given or ".") / "prompts" / "sst-2" / "test.tsv"
    if given is None or not sentences.exists():
        progress("EMOPRUNE_DATA names no folder with prompts/sst-2/test.tsv: sentences are left out")
        return [language]
    encoder = Setting(
        "MiniLM-L6, SST-2", "minilm", "text-classification", str(sentences), 64, 256, 24, 15, "macs", (75, 50, 25)
    )
    return [encoder, language]


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--alone", metavar="JSON", help="measure one way in this process")
    parser.add_argument("--only", metavar="MODEL", help="measure the model of that name alone")
    parser.add_argument("--way", choices=["greedy-heads"], help="measure that way alone")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    seeds = range(1, 2 if chosen.quick else 1 + chosen.rounds)
    with tempfile.TemporaryDirectory(prefix="transformer-quality-") as place:
        for setting in settings(Path(place), quick=chosen.quick):
            if chosen.only in {None, setting.model}:
                notes = NOTES.format(
                    evaluations=setting.population * setting.generations,
                    seeds=len(seeds),
                    chosen=setting.measure,
                    test=setting.about_test,
                )
                title = f"Narrowed transformers at equal sizes ({setting.title})"
                packages = ("emoprune", "torch", "transformers", "numpy", "pymoo")
                tables = (table(setting, collected(setting, seeds, chosen.way)),)
                publish(Report(title, tables, notes, packages), chosen)


if __name__ == "__main__":
    main()
