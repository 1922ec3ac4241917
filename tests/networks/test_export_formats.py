"""Which formats are written of a network: safetensors and a program where there can be one, and those of before."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from searching_for_tests import searched_run
from torch import Tensor, nn
from zoo_for_tests import zoo

from emoprune.commands.export import export
from emoprune.commands.recovery import recover
from emoprune.errors import ConfigError
from emoprune.problems.networks.export.formats import chosen_formats
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.run import Run

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}
SHAPE = (1, 28, 28)


class ByValue(nn.Module):
    """What it computes depends on the values it is given, so that no program of it holds for all."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) if images.sum() > 0 else -images.flatten(1)


def test_safetensors_and_a_program_are_written_unless_others_are_asked_for() -> None:
    network = zoo("vgg")
    assert chosen_formats((), (), network, SHAPE) == ("safetensors", "torch-export")
    assert chosen_formats(["onnx"], (), network, SHAPE) == ("onnx",)
    assert chosen_formats(["safetensors"], ["onnx", "safetensors"], network, SHAPE) == ("safetensors", "onnx")


def test_a_network_that_no_program_can_be_made_of_is_written_as_safetensors_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "emoprune"):
        assert chosen_formats((), (), ByValue(), SHAPE) == ("safetensors",)
    assert "export: safetensors alone: format: torch.export cannot turn the network into a program" in caplog.text
    caplog.clear()
    assert chosen_formats(["safetensors"], (), ByValue(), SHAPE) == ("safetensors",)
    assert caplog.text == ""


@pytest.mark.parametrize("format_", ["torch-export", "onnx"])
def test_a_program_that_is_asked_for_and_cannot_be_made_is_refused(format_: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot turn the network into a program.*--format safetensors alone"):
        chosen_formats([format_], (), ByValue(), SHAPE)


def test_a_format_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected some of safetensors, torch-export, onnx, found 'pickle'"):
        chosen_formats(["pickle"], (), zoo("vgg"), SHAPE)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = {
        "problem": {"name": "channels", **SMALL, "epochs": 4, "references": ["uniform"]},
        "search": {"population": 6, "generations": 1},
        "evaluation": {"backend": "serial"},
    }
    return searched_run(config, runs=tmp_path_factory.mktemp("runs"), name="r")


FILES = {"model.safetensors", "model.py", "load.py", "model.pt2", "config.json", "verify.json", "README.md"}


def test_an_export_is_a_file_of_weights_with_its_code_a_plan_and_a_program(searched: Run) -> None:
    folder, said = export(searched, "uniform-50")
    assert said["formats"] == "safetensors, torch-export"
    assert {path.name for path in folder.iterdir()} == {*FILES, "export.json"}
    assert said["verified"] == "in a fresh process without emoprune"
    program = torch.export.load(folder / "model.pt2").module()
    assert program(torch.zeros(5, 2, 6, 6)).shape == (5, 3)


@pytest.mark.slow
def test_a_later_export_adds_to_what_was_written_and_all_of_it_is_verified_again(searched: Run) -> None:
    pytest.importorskip("onnxruntime", reason="ONNX comes with an extra")
    export(searched, "unpruned")
    folder, _ = export(searched, "unpruned", formats=["onnx"])
    assert {path.name for path in folder.iterdir()} == {*FILES, "model.onnx", "export.json"}
    verified = json.loads((folder / "verify.json").read_text(encoding="utf-8"))
    assert list(verified) == ["safetensors", "torch-export", "onnx"]
    assert "onnxruntime" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_recovery_is_written_in_the_formats_that_are_asked_for(searched: Run) -> None:
    folder = Path(recover(searched, "uniform-50", options=["epochs=0.5", "formats=[torch-export]"])["path"])
    assert {path.name for path in folder.iterdir()} == {"model.pt2", "config.json", "verify.json", "README.md"}


def test_a_recovery_in_a_format_that_cannot_be_is_refused_before_anything_is_trained(
    searched: Run, caplog: pytest.LogCaptureFixture
) -> None:
    before = set((searched.path / "recovered").glob("*"))
    with caplog.at_level(logging.INFO, "emoprune"), pytest.raises(ConfigError, match="found 'pickle'"):
        recover(searched, "unpruned", options=["formats=[pickle]"])
    assert "epoch" not in caplog.text
    assert set((searched.path / "recovered").glob("*")) == before


def test_networks_with_zeros_are_recovered_in_the_format_that_is_asked_for(tmp_path: Path) -> None:
    problem = WeightRatios(**SMALL, shares=[0.5, 1.0])
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    half = np.zeros_like(problem.space.full)
    folder = tmp_path / "recovered"
    folder.mkdir()
    problem.recover(half, folder, 1, epochs=0.5, formats=["safetensors"])
    assert [path.name for path in folder.glob("*.safetensors")] == ["model.safetensors"]
    with pytest.raises(ConfigError, match="format: none is called 'pickle'"):
        problem.recover(half, tmp_path, 1, formats=["pickle"])
