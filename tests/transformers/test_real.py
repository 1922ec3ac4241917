"""The real models: SmolLM2 from its GGUF file, MiniLM from its package, with text that anybody has."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from emoprune.contracts import Failure
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.records import Split

SEEDS = np.zeros(1, dtype=np.uint64)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(800)]


def test_smollm2_keeps_more_of_its_perplexity_repaired_than_sliced(tmp_path: Path) -> None:
    perplexities = {}
    for repair in ("none", "least-squares"):
        problem = HeadsAndNeurons(
            model="smollm2",
            calibration=16,
            search=2,
            select=2,
            test=4,
            levels=8,
            criterion="magnitude",
            repair=repair,
            references=["uniform"],
            percentages=[90],
        )
        problem.prepare(tmp_path / repair, 1)
        problem.setup("cpu", 1)
        unpruned, uniform = problem.references()
        (perplexity, parameters) = row(problem, uniform.genome)
        perplexities[repair] = perplexity
        assert parameters <= 0.9 * row(problem, unpruned.genome)[1]
        if repair == "none":
            check_against_the_library(problem, unpruned.genome)
        else:
            exported = perplexity_elsewhere(problem, uniform.genome, tmp_path / "exported")
            assert exported == pytest.approx(perplexity, rel=1e-4)
    assert perplexities["least-squares"] < 0.9 * perplexities["none"]


def row(problem: HeadsAndNeurons, genome: np.ndarray) -> tuple[float, float]:  # type: ignore[type-arg]  # of whole numbers
    found = problem.evaluate(genome[None], SEEDS, Split.TEST)[0]
    assert not isinstance(found, Failure)
    return float(found[0]), float(found[1])


def check_against_the_library(problem: HeadsAndNeurons, genome: np.ndarray) -> None:  # type: ignore[type-arg]  # as above
    ids = torch.cat([batch.inputs["input_ids"] for batch in problem.open().task.parts["test"]])
    with torch.no_grad():
        loss = problem.open().task.model(input_ids=ids, labels=ids).loss
    assert row(problem, genome)[0] == pytest.approx(math.exp(loss.item()), rel=1e-4)
    assert 10 < math.exp(loss.item()) < 50


ELSEWHERE = """
import json, math, sys
import torch
sys.path.insert(0, ".")
from load import load_model
assert "emoprune" not in sys.modules
model, windows = load_model(), torch.tensor(json.load(open("windows.json")))
nats = tokens = 0
with torch.no_grad():
    for window in windows:
        logits = model(input_ids=window[None]).logits[0, :-1].double()
        nats -= logits.log_softmax(-1).gather(1, window[1:, None]).sum().item()
        tokens += len(window) - 1
print(math.exp(nats / tokens))
"""


def perplexity_elsewhere(problem: HeadsAndNeurons, genome: np.ndarray, folder: Path) -> float:  # type: ignore[type-arg]  # as above
    """Return what a few lines of torch, in a process of their own, say of the exported model on the test windows."""
    folder.mkdir()
    problem.export(genome, folder)
    ids = torch.cat([batch.inputs["input_ids"] for batch in problem.open().task.parts["test"]])
    (folder / "windows.json").write_text(json.dumps(ids.tolist()))
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_minilm_with_half_of_its_multiplications_still_tells_sentences_apart(tmp_path: Path) -> None:
    words = {"good": ["wonderful", "funny", "brilliant", "charming"], "bad": ["terrible", "dull", "boring", "awful"]}
    things = ["film", "story", "plot", "cast", "ending", "script", "score", "pace", "scene", "idea"]
    rows = ["sentence,label"]
    rows += [
        f"the {thing} was {word} and {word},{label}" for label in words for word in words[label] for thing in things
    ]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    problem = HeadsAndNeurons(
        model="minilm",
        task="text-classification",
        data=str(tmp_path / "rows.csv"),
        length=16,
        calibration=32,
        references=["uniform"],
        percentages=[50],
        objectives=["error", "macs"],
    )
    problem.prepare(tmp_path / "kept", 1)
    problem.setup("cpu", 1)
    unpruned, half = problem.references()
    assert row(problem, unpruned.genome)[0] <= 0.1
    assert row(problem, half.genome)[0] <= 0.2
    assert row(problem, half.genome)[1] <= 0.5 * row(problem, unpruned.genome)[1]
