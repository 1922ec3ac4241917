"""What the solvers of single weights are worth: perplexity of a language model, error and loss on wrong labels.

python benchmarks/weight_solvers.py [--quick] [--no-record] [--rounds SEEDS] [--only language|digits]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish
from shared.small_language import small_model
from shared.sparse_gpt import sparse_gpt

from emoprune.problems.networks.layers.repairs.contract import ThinnedLayer
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.problems.networks.transformers.weights.ratios import TransformerWeightRatios
from emoprune.records import Split

Pattern = tuple[int, int] | None

NO_SEEDS = np.zeros(1, dtype=np.uint64)
LEAST_SQUARES = {"name": "least-squares", "iterations": 6}
ARMOR = {"name": "armor", "rounds": 1}
SIZES: Mapping[str, Mapping[str, Any]] = {
    "2:4": {"pattern": "n:m", "m": 4},
    "50 % zero": {"shares": (0.5, 1.0)},
    "70 % zero": {"shares": (0.3, 1.0)},
}

LANGUAGE_NOTES = """\
- {model}: all linear layers of the stack at one level; {tokens:,} test tokens of {data}, {calibration} windows to
  calibrate on. No training. What is fitted is fitted to the unpruned layer on the unpruned layer's inputs, each by
  itself.
- `wanda` is the saliency `input-scaled`; `least-squares` ({iterations} iterations of conjugate gradients) and `armor`
  (blocks of 8, one round) begin with its zeros. `SparseGPT` is its published update, written in
  `benchmarks/shared/sparse_gpt.py`.
- Bytes are those of the packed linear layers and the rest of the model in 32 bits; `armor` pays for its factors.
- `swap` needs gradients of single samples for every weight, which do not fit into memory here: not measured.
"""
DIGITS_NOTES = """\
- Digits whose training part has {wrong:.0%} wrong labels: the network is trained on them for {epochs} epochs, and
  saliencies and updates see {images} of them. Loss and error are of the test part, whose labels are right; nothing is
  trained after pruning.
- Every layer keeps the same share of its weights. Mean of {seeds} seeds with the smallest and the largest; a seed draws
  the network's training, the order of samples and what `sketch` and `random` draw: never the best draw.
- `linear regression` is `swap` with entropy 0.
"""


def language(folder: Path, *, quick: bool) -> Report:
    """Measure every way at every size on a language model."""
    model, data = small_model(folder) if quick else ("smollm2", "python-topics")
    shared: dict[str, Any] = {"model": model, "data": data, "task": "language-modelling", "accept_guessing": True}
    shared |= {"length": 16, "calibration": 8, "test": 8} if quick else {"length": 128, "calibration": 16, "test": 32}
    shared |= {"search": 4, "select": 4, "references": ["uniform"], "objectives": ["perplexity", "bytes"]}
    ways: dict[str, dict[str, Any]] = {
        "magnitude": {"saliency": "magnitude"},
        "wanda": {"saliency": "input-scaled"},
        "wanda, least-squares": {"saliency": "input-scaled", "repair": LEAST_SQUARES},
        "wanda, armor": {"saliency": "input-scaled", "repair": ARMOR},
    }
    rows: dict[str, list[str]] = {name: [] for name in (*ways, "SparseGPT")}
    for size, own in SIZES.items():
        for name, way in ways.items():
            if "armor" in name and "pattern" not in own:
                rows[name].append("-")
                continue
            rows[name].append(_measured(TransformerWeightRatios(**{**shared, **own, **way}), folder, f"{size}, {name}"))
        published = TransformerWeightRatios(**{**shared, **own, "repair": LEAST_SQUARES})
        pattern = (2, 4) if "pattern" in own else None
        share = 0.5 if pattern else own["shares"][0]

        def update(
            layer: ThinnedLayer, share: float = share, pattern: tuple[int, int] | None = pattern
        ) -> torch.Tensor:
            return sparse_gpt(layer.weight[0], layer.moments[0], share, pattern).unsqueeze(0)

        # The published update picks its own zeros, so it stands in for both: what it is given as kept is not looked at.
        repaired = published._repaired  # noqa: SLF001  # the problem has no option for what is measured here alone
        assert repaired is not None  # noqa: S101  # a repair was named; narrows the type
        repaired.thinned = _unmasked(repaired.thinned)  # type: ignore[method-assign]  # of this object alone
        update.needs = ("moments",)  # type: ignore[attr-defined]  # a function takes attributes
        repaired.repair = update
        rows["SparseGPT"].append(_measured(published, folder, f"{size}, SparseGPT"))
    unpruned = TransformerWeightRatios(**shared)
    whole = _measured(unpruned, folder, "unpruned", whole=True)
    cells = [("unpruned", *[whole] * len(SIZES)), *((name, *found) for name, found in rows.items())]
    notes = LANGUAGE_NOTES.format(
        model=model if not quick else "a small model of no use",
        tokens=shared["test"] * (shared["length"] - 1),
        data=data if not quick else "random words",
        calibration=shared["calibration"],
        iterations=LEAST_SQUARES["iterations"],
    )
    table = Table("Perplexity on the test part, megabytes.", ("way", *SIZES), cells)
    return Report("Solvers of single weights, language model", (table,), notes, ("emoprune", "torch", "transformers"))


def _unmasked(thinned: Any) -> Any:
    def whole(*given: Any) -> ThinnedLayer:
        own: ThinnedLayer = thinned(*given)
        return ThinnedLayer(own.path, own.weight, torch.ones_like(own.kept), own.moments)

    return whole


def _measured(problem: TransformerWeightRatios, folder: Path, label: str, *, whole: bool = False) -> str:
    begun = time.process_time()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        problem.prepare(Path(place), 1)
    problem.setup("cpu", 1)
    genome = problem.space.full if whole else _level(problem)
    perplexity, size = problem.evaluate(genome[np.newaxis], NO_SEEDS, Split.TEST)[0][:2]  # type: ignore[index]  # a row
    progress(f"{label}: {perplexity:.4g}, {time.process_time() - begun:.0f} s")
    return f"{perplexity:.4g}, {size / 2**20:.0f} MB"


def _level(problem: TransformerWeightRatios) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the genome with half of M, or the lowest share, in every layer."""
    levels = problem._genes.levels  # noqa: SLF001  # a level by its number is nobody else's to ask for
    wanted = len(levels.treatment.labels) // 2 - 1 if len(levels.treatment.labels) == 4 else 0
    return levels.encode(wanted)


def wrong_labels(folder: Path, seeds: Sequence[int], *, quick: bool) -> Report:
    """Measure every way on digits with wrong labels."""
    from shared.wrong_labels import WRONG

    shared: dict[str, Any] = {
        "network": "digits",
        "data": "shared.wrong_labels:digits_with_wrong_labels",
        "epochs": 1 if quick else 20,
        "shares": (0.05, 0.1, 0.2, 1.0),
        "objectives": ["loss", "error", "parameters"],
        "references": ["uniform"],
        "calibration_images": 64 if quick else 256,
    }
    ways: dict[str, dict[str, Any]] = {
        "magnitude": {},
        "wanda": {"saliency": "input-scaled"},
        "taylor": {"saliency": "taylor"},
        "mfac": {"saliency": "mfac"},
        "linear regression": {"saliency": {"name": "swap", "entropy": 0.0}, "repair": {"name": "swap", "entropy": 0.0}},
        "swap": {"saliency": "swap", "repair": "swap"},
        "swap's zeros alone": {"saliency": "swap"},
        "sketch by wanda": {"saliency": "sketch"},
        "random": {"saliency": "random"},
        "magnitude, least-squares": {"repair": "least-squares"},
        "wanda, least-squares": {"saliency": "input-scaled", "repair": "least-squares"},
    }
    levels = {"20 %": 2, "10 %": 1, "5 %": 0}
    rows = []
    for name, way in ways.items():
        found: dict[str, list[tuple[float, float]]] = {level: [] for level in levels}
        for seed in seeds:
            problem = WeightRatios(**{**shared, **way})
            place = folder / f"{name}-{seed}"
            problem.prepare(place, seed)
            problem.setup("cpu", 1)
            for level, number in levels.items():
                genome = problem._levels.encode(number)[np.newaxis]  # noqa: SLF001  # a level by its number
                row = problem.evaluate(genome, NO_SEEDS, Split.TEST)[0]
                found[level].append((float(row[0]), float(row[1])))  # type: ignore[index]  # a row
        progress(f"{name}: {found}")
        rows.append((name, *(_cell(values) for values in found.values())))
    notes = DIGITS_NOTES.format(
        wrong=WRONG, images=shared["calibration_images"], epochs=shared["epochs"], seeds=len(seeds)
    )
    table = Table("Loss (smallest to largest), error in percent, by the share that stays.", ("way", *levels), rows)
    return Report("Solvers of single weights, wrong labels", (table,), notes, ("emoprune", "torch", "numpy"))


def _cell(values: Sequence[tuple[float, float]]) -> str:
    losses, errors = (np.array(own) for own in zip(*values, strict=True))
    return f"{losses.mean():.3f} ({losses.min():.3f}-{losses.max():.3f}), {100 * errors.mean():.1f} %"


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--only", choices=["language", "digits"], help="measure that half alone")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(1, 2 if chosen.quick else 1 + chosen.rounds)
    with tempfile.TemporaryDirectory(prefix="weight-solvers-") as place:
        if chosen.only != "language":
            publish(wrong_labels(Path(place), seeds, quick=chosen.quick), chosen)
        if chosen.only != "digits":
            publish(language(Path(place), quick=chosen.quick), chosen)


if __name__ == "__main__":
    main()
