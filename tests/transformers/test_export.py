"""Exported folders load in a process without emoprune and are the evaluated model; what differs is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers_for_tests import KINDS, SMALL, language_folder, sentences_folder

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.weights.bits import TransformerBitWidths
from emoprune.problems.networks.transformers.weights.ratios import TransformerWeightRatios
from emoprune.records import Split

SEEDS = np.zeros(1, dtype=np.uint64)
# Perplexity by other code than ours: nothing of emoprune is imported, the loss is the library's own.
OTHER_CODE = """
import sys
sys.modules["emoprune"] = None
sys.path.insert(0, sys.argv[1])
import json, math, torch
from load import load_model, load_tokenizer
model, tokenizer = load_model(), load_tokenizer()
windows = torch.tensor(json.loads(open(sys.argv[2]).read()))
with torch.no_grad():
    print(math.exp(float(model(input_ids=windows, labels=windows).loss)))
assert tokenizer("the cat").input_ids
"""


def ready(place: Path, made: Any) -> Any:
    made.prepare(place / "kept", 1)
    made.setup("cpu", 1)
    return made


def uneven(problem: HeadsAndNeurons) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a genome with a layer without heads, one of uneven groups, and one dropped."""
    genome = problem.space.full.copy()
    genome[1], genome[4], genome[5], genome[6] = 0, 3, 2, 0
    return problem.canonical(genome[None])[0]


@pytest.mark.timeout(110)
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grouped-query Llama", "Mixtral"])
def test_an_exported_language_model_has_the_perplexity_that_was_measured(kind: str, tmp_path: Path) -> None:
    from language_for_tests import llama

    model = llama(layers=3) if kind == "grouped-query Llama" else KINDS[kind]()
    problem = ready(tmp_path, HeadsAndNeurons(**language_folder(tmp_path, model), **SMALL, whole_groups=False))
    genome = uneven(problem) if kind == "grouped-query Llama" else problem.references()[3].genome
    folder = tmp_path / "exported"
    folder.mkdir()
    said = problem.export(genome, folder)
    assert said["max abs difference"] <= said["allowed difference"]
    assert said["weights file bytes"] < 0.9 * said["weights file bytes unpruned"]
    windows = torch.cat([batch.inputs["input_ids"] for batch in problem.open().task.parts["test"]])
    (tmp_path / "windows.json").write_text(json.dumps(windows.tolist()))
    done = subprocess.run(
        [sys.executable, "-c", OTHER_CODE, str(folder), str(tmp_path / "windows.json")],
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (measured, parameters) = problem.evaluate(genome[None], SEEDS, Split.TEST)[0]
    assert float(done.stdout) == pytest.approx(measured, rel=1e-4)
    assert said["parameters"] == parameters
    assert math.isclose(said["test perplexity"], measured, rel_tol=1e-5)
    page = (folder / "README.md").read_text()
    assert "layer 2 | dropped" in page or kind == "Mixtral"
    assert ("from load import load_model" in page) == (folder / "modeling_pruned.py").exists()


def test_an_exported_classifier_loads_with_its_fitted_head(tmp_path: Path) -> None:
    options = {**sentences_folder(tmp_path), "task": "text-classification", "length": 16, "calibration": 32}
    problem = ready(tmp_path, HeadsAndNeurons(**options, levels=4, objectives=["error", "macs"]))
    folder = tmp_path / "exported"
    folder.mkdir()
    said = problem.export_as(problem.references()[2].genome, folder, ["safetensors"], verify=True)
    assert said["verified"] == "in a fresh process without emoprune"
    assert (folder / "pooling.py").exists()
    assert json.loads((folder / "pruning.json").read_text())["labels"] == ["0", "1"]


@pytest.mark.parametrize(
    "kind",
    ["bits and heads", *(pytest.param(each, marks=pytest.mark.slow) for each in ("bits", "weights", "patterns"))],
)
def test_a_packed_folder_has_exactly_the_bytes_that_were_counted(kind: str, tmp_path: Path) -> None:
    names = language_folder(tmp_path)
    few = {name: value for name, value in SMALL.items() if name != "levels"}
    problem = {
        "bits": lambda: TransformerBitWidths(**names, **few),
        "weights": lambda: TransformerWeightRatios(**names, **few, objectives=["perplexity", "bytes"]),
        "patterns": lambda: TransformerWeightRatios(**names, **few, pattern="n:m", objectives=["perplexity", "bytes"]),
        "bits and heads": lambda: HeadsAndNeurons(**names, **SMALL, bits=[4, 8, 32]),
    }[kind]()
    ready(tmp_path, problem)
    genome = np.random.default_rng(0).integers(problem.space.levels)
    if kind == "bits and heads":
        genome[[0, 4, 8]] = 1
    folder = tmp_path / "exported"
    folder.mkdir()
    said = problem.export_as(genome, folder, ["packed"], verify=True)
    content = (folder / "packed.safetensors").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    (perplexity, counted) = problem.evaluate(genome[None], SEEDS, Split.TEST)[0]
    assert len(content) - header == counted == said["bytes"]
    assert said["test perplexity"] == pytest.approx(perplexity, rel=1e-5)


def test_a_folder_that_is_not_the_evaluated_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = ready(tmp_path, HeadsAndNeurons(**language_folder(tmp_path), **SMALL))
    genome = problem.references()[1].genome
    right = problem.loaded.narrower.narrowed

    def wrong(plans: Any) -> Any:
        model = right(plans)
        model.model.norm.weight = torch.nn.Parameter(model.model.norm.weight * 1.2, requires_grad=False)
        return model

    spoilt = wrong(problem.plans(genome))
    folder = tmp_path / "exported"
    folder.mkdir()
    from emoprune.problems.networks.transformers.export import export as exporting

    verify = exporting.verify
    monkeypatch.setattr(
        exporting, "verify", lambda folders, layout, _, *rest, **named: verify(folders, layout, spoilt, *rest, **named)
    )
    with pytest.raises(ContractError, match="the reloaded model is not the evaluated one: outputs differ by"):
        problem.export(genome, folder)


@pytest.mark.parametrize("formats", [["onnx"], [], ["safetensors", "packed"]])
def test_an_unknown_format_is_refused(formats: list[str], tmp_path: Path) -> None:
    problem = ready(tmp_path, HeadsAndNeurons(**language_folder(tmp_path), **SMALL))
    with pytest.raises(ConfigError, match="format: expected one of safetensors"):
        problem.export_as(problem.space.full, tmp_path, formats, verify=False)


def test_an_export_that_nobody_verified_says_so(tmp_path: Path) -> None:
    problem = ready(tmp_path, HeadsAndNeurons(**language_folder(tmp_path), **SMALL))
    (tmp_path / "exported").mkdir()
    said = problem.export_as(problem.space.full, tmp_path / "exported", ["safetensors"], verify=False)
    assert said["verified"] == "no"
    assert "nothing was loaded again" in (tmp_path / "exported" / "README.md").read_text()
