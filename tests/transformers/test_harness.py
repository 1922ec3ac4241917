"""Scores on tasks of the lm-evaluation-harness; where it is not installed only the refusal is tried.

It is no part of the development environment. `pip install 'emoprune[lm-eval]'` makes the others run.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_for_tests import llama, text, tokenizer
from transformers_for_tests import SMALL, language_folder

from emoprune.contracts import Direction
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.harness import LmEval
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.records import Split

THERE = find_spec("lm_eval") is not None
installed = pytest.mark.skipif(not THERE, reason="needs the extra lm-eval, which is no part of the environment")
CHOICES = 3


def rows() -> list[dict[str, Any]]:
    made = []
    for row in range(30):
        words = text(24, seed=row).split()
        choices = [" ".join(words[start : start + 3]) for start in (8, 12, 16)]
        made.append({"question": " ".join(words[:5]), "choices": choices, "answer": row % CHOICES})
    return made


def task_folder(place: Path) -> Path:
    """Write a task of choosing what follows, and its documents."""
    place.mkdir()
    (place / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows()))
    (place / "following.yaml").write_text(
        f"""\
task: following
dataset_path: json
dataset_kwargs: {{data_files: {{test: {place / "rows.jsonl"}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""
    )
    return place


@pytest.mark.skipif(THERE, reason="the extra lm-eval is installed")
def test_without_the_harness_it_is_said_how_to_get_it() -> None:
    with pytest.raises(
        ConfigError, match=r"lm-eval needs the lm-evaluation-harness.*pip install 'emoprune\[lm-eval\]'"
    ):
        LmEval(["following"])


@installed
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, r"tasks: expected a list of the harness' names, found \(\)"),
        ({"tasks": ["no such task"]}, "the harness has no task 'no such task'"),
        ({"tasks": ["following"], "folder": "nowhere"}, "there is no folder 'nowhere'"),
        ({"tasks": ["following"], "examples": 0}, "expected examples and batch of 1 or more, found 0, 8"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        LmEval(**options)


def accuracy(model: Any, numbers: list[int]) -> float:
    """Return how often the choice with the highest summed log-probability is the right one."""
    own, right = tokenizer(), 0
    for row in (rows()[number] for number in numbers):
        scores = []
        for choice in row["choices"]:
            before, ids = own(row["question"])["input_ids"], own(f"{row['question']} {choice}")["input_ids"]
            with torch.no_grad():
                told = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0], dim=-1)
            scores.append(sum(float(told[place - 1, ids[place]]) for place in range(len(before), len(ids))))
        right += int(np.argmax(scores)) == row["answer"]
    return right / len(numbers)


@installed
def test_candidates_are_scored_by_the_harness_on_documents_that_no_part_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    measure = {"name": "lm-eval", "tasks": ["following"], "folder": str(task_folder(tmp_path / "tasks"))}
    names = language_folder(tmp_path / "model", llama(layers=2))
    options = {**SMALL, "references": ["uniform"], "objectives": [measure, "parameters"]}
    problem = HeadsAndNeurons(**names, **options)
    assert problem.objectives[0].direction is Direction.MAXIMISE
    problem.prepare(tmp_path / "run", 1)
    problem.setup("cpu", 1)
    genomes = np.stack([reference.genome for reference in problem.references()[:2]])
    seeds = np.zeros(2, dtype=np.uint64)
    order = np.array_split(np.random.default_rng(0).permutation(30), 3)
    state = torch.get_rng_state()
    for split, numbers in zip(Split, order, strict=True):
        found = [float(row[0]) for row in problem.evaluate(genomes, seeds, split)]  # type: ignore[index]  # values
        models = [problem.loaded.narrower.narrowed(problem.plans(genome)) for genome in genomes]
        assert found == [pytest.approx(accuracy(model, numbers.tolist())) for model in models]
    assert torch.equal(torch.get_rng_state(), state)
