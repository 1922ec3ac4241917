"""Is one search for a front worth as much as EvoPress's loop, which finds one size at a time, at equal tokens?

python benchmarks/evopress.py [--quick] [--no-record] [--rounds N] [--only layers|weights|bits] [--tokens N]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared.evopress_ways import SETTINGS, Plan, Setting, by_front, by_size, unpruned_perplexity
from shared.processes import alone, progress
from shared.recording import Report, Table, arguments, publish
from shared.small_language import small_model

NOTES = """\
- Perplexity on the test part, {test:,} tokens that nothing was searched or chosen on; the unpruned model has
  {unpruned:.4g}. Mean of {seeds} seeds, with the smallest and the largest where there are several.
- `evopress` is the loop of arXiv 2410.14649, written from the paper: one parent, {offspring} children by level-switch
  mutation that keep its size, of which {survivors} go on after half of the {searched:,} search tokens, KL to the
  unpruned model; one run for each size, which begins with {starts} random models of that size. The published runs
  have thousands of children on hundreds of thousands of tokens: at so few, nobody's search is finished.
- `emoprune` is one run of NSGA-II for KL and size with the same mutation, grades and starts of all sizes; of its front
  the model nearest to the unpruned one on the select part that is small enough is taken.
- `evopress` may measure {tokens:,} tokens in all, a third or half for each size, and `emoprune` as many as that took; a
  generation that was begun is finished. No training, nothing is repaired.
"""


def measure(part: Mapping[str, Any]) -> None:
    """Measure one way, and print what came out."""
    torch.set_num_threads(1)
    setting, plan = SETTINGS[part["setting"]], Plan(**part["plan"])
    if part["way"] == "unpruned":
        print(json.dumps({"perplexity": unpruned_perplexity(plan, setting)}))
    elif part["way"] == "front":
        print(json.dumps(asdict(by_front(setting, plan, part["seed"]))))
    else:
        print(json.dumps(asdict(by_size(setting, plan, part["way"], part["seed"]))))


def table(setting: Setting, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Return a row per way, a column per size."""
    rows = []
    for way, measured in found.items():
        cells = [_cell([own["perplexity"][size] for own in measured]) for size in setting.sizes]
        rows.append((way, *cells, f"{np.mean([own['tokens'] for own in measured]):,.0f}"))
    return Table(f"{setting.title}: perplexity.", ("way", *setting.sizes, "tokens"), rows)


def _cell(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    spread = f" ({min(known):.4g}-{max(known):.4g})" if len(known) > 1 else ""
    return f"{np.mean(known):.4g}{spread}"


def collected(name: str, plan: Plan, seeds: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """Measure both ways with each seed, each run in a process of its own."""
    found: dict[str, list[dict[str, Any]]] = {"evopress": [], "emoprune": []}
    shared = {"setting": name, "plan": asdict(plan)}
    for seed in seeds:
        by_itself = []
        for size in SETTINGS[name].sizes:
            progress(f"{name}, seed {seed}: EvoPress's loop for {size}")
            by_itself.append(alone({**shared, "seed": seed, "way": size}))
        perplexity = {size: value for own in by_itself for size, value in own["perplexity"].items()}
        spent = sum(own["tokens"] for own in by_itself)
        found["evopress"].append({"perplexity": perplexity, "tokens": spent})
        progress(f"{name}, seed {seed}: one search for a front")
        as_many = {"setting": name, "plan": asdict(replace(plan, tokens=round(spent)))}
        found["emoprune"].append(alone({**as_many, "seed": seed, "way": "front"}))
    return found


def plan_of(folder: Path, tokens: int | None, *, quick: bool) -> Plan:
    """Return what is searched, and how far."""
    if quick:
        model, data = small_model(folder)
        return Plan(model, data, 16, 32, tokens or 3_000, 4, (2,), 3)
    return Plan("smollm2", "python-topics", 32, 32, tokens or 60_000, 12, (3,), 6)


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--alone", metavar="JSON", help="measure one way in this process")
    parser.add_argument("--only", choices=SETTINGS, help="measure that setting alone")
    parser.add_argument("--tokens", type=int, metavar="N", help="how many each way may measure in all")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    seeds = range(1, 2 if chosen.quick else 1 + chosen.rounds)
    with tempfile.TemporaryDirectory(prefix="evopress-") as place:
        plan = plan_of(Path(place), chosen.tokens, quick=chosen.quick)
        for name in [chosen.only] if chosen.only else ["layers"] if chosen.quick else list(SETTINGS):
            found = collected(name, plan, seeds)
            unpruned = alone({"setting": name, "plan": asdict(plan), "way": "unpruned"})["perplexity"]
            notes = NOTES.format(
                test=2 * plan.windows * (plan.length - 1),
                unpruned=unpruned,
                seeds=len(seeds),
                offspring=plan.offspring,
                survivors=plan.survivors[0],
                searched=plan.windows * (plan.length - 1),
                starts=plan.starts,
                tokens=plan.tokens,
            )
            title = f"One search beside EvoPress's loop ({SETTINGS[name].title})"
            packages = ("emoprune", "torch", "transformers", "numpy", "pymoo")
            publish(Report(title, (table(SETTINGS[name], found),), notes, packages), chosen)


if __name__ == "__main__":
    main()
