"""What is exported is the evaluated network, smaller for real, and needs no emoprune to run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from networks_for_tests import stripes
from safetensors.torch import load_file, save_file

from emoprune.contracts import Description, Failure
from emoprune.errors import ContractError
from emoprune.problems.networks.channels import Channels
from emoprune.problems.networks.verification import Verified, verify
from emoprune.records import Split

SEEDS = np.zeros(1, dtype=np.uint64)
GENOME = np.array([3, 4, 5])  # 4 of 6, 5 of 9, 6 of 7 channels
IMAGES, LABELS = torch.tensor(stripes().test.images), torch.tensor(stripes().test.labels)

AS_A_STRANGER = """\
import json, sys
sys.modules["emoprune"] = None
from load import load_network, load_program
from safetensors.torch import load_file
given = load_file(sys.argv[1])
for loaded in (load_network(), load_program()):
    one, all = (loaded(given["images"][:count]) for count in (1, len(given["labels"])))
    print(json.dumps([one.shape[0], int((all.argmax(dim=1) != given["labels"]).sum())]))
"""


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Channels:
    made = Channels(
        network="networks_for_tests:network", data="networks_for_tests:stripes", epochs=3, calibration_images=64
    )
    made.prepare(tmp_path_factory.mktemp("problem"), 1)
    made.setup("cpu", 1)
    return made


@pytest.fixture(scope="module")
def exported(channels: Channels, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Description]:
    folder = tmp_path_factory.mktemp("exports") / "7"
    return folder, channels.export(GENOME, folder)


@pytest.fixture(scope="module")
def outputs(exported: tuple[Path, Description]) -> torch.Tensor:
    with torch.no_grad():
        made: torch.Tensor = torch.export.load(exported[0] / "model.pt2").module()(IMAGES)
    return made


def measured(channels: Channels, split: Split) -> list[float]:
    (row,) = channels.evaluate(GENOME[np.newaxis], SEEDS, split)
    assert not isinstance(row, Failure)
    return list(row)


def test_a_fresh_process_without_emoprune_makes_the_errors_that_were_evaluated(
    channels: Channels, exported: tuple[Path, Description], tmp_path: Path
) -> None:
    save_file({"images": IMAGES, "labels": LABELS}, tmp_path / "given.safetensors")
    command = [sys.executable, "-c", AS_A_STRANGER, str(tmp_path / "given.safetensors")]
    ended = subprocess.run(command, cwd=exported[0], capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    wrong = round(measured(channels, Split.TEST)[0] * len(LABELS))
    assert [json.loads(line) for line in ended.stdout.splitlines()] == [[1, wrong]] * 2


def test_an_export_says_what_was_verified_and_measured(channels: Channels, exported: tuple[Path, Description]) -> None:
    folder, said = exported
    error, macs = measured(channels, Split.TEST)
    assert (said["test error"], said["macs"]) == (error, macs)
    assert said["max abs difference"] <= said["allowed difference"]  # type: ignore[operator]  # both are floats
    assert said["bytes"] == (folder / "model.safetensors").stat().st_size < int(said["bytes unpruned"])
    assert int(said["parameters"]) < int(said["parameters unpruned"])
    assert float(said["milliseconds per batch"]) > 0


def test_the_weights_on_disk_are_as_many_as_were_counted(exported: tuple[Path, Description]) -> None:
    folder, said = exported
    tensors = load_file(folder / "model.safetensors")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    weights = [tensor for name, tensor in tensors.items() if not name.endswith(statistics)]
    assert sum(tensor.numel() for tensor in weights) == said["parameters"]


def test_the_config_names_source_widths_kept_channels_input_and_what_was_measured(
    channels: Channels, exported: tuple[Path, Description]
) -> None:
    config = json.loads((exported[0] / "config.json").read_text(encoding="utf-8"))
    assert config["format_version"] == 1
    assert config["source"] == "networks_for_tests:network"
    assert config["input"] == {"shape": ["batch", 2, 6, 6], "dtype": "float32"}
    assert {path: len(indices) for path, indices in config["kept"].items()} == {"0.0": 4, "0.3": 5, "2": 6}
    assert config["layers"][3]["options"]["out_channels"] == 5
    assert config["measured"]["error"] == {split.value: measured(channels, split)[0] for split in Split}


def test_the_card_says_what_stayed_and_how_to_load_it(exported: tuple[Path, Description]) -> None:
    card = (exported[0] / "README.md").read_text(encoding="utf-8")
    for words in ("| 0.3 | 5 of 9 |", "from load import load_network", "(batch, 2, 6, 6)", "test error", "at most"):
        assert words in card


def test_an_export_names_no_folder_of_this_computer(exported: tuple[Path, Description]) -> None:
    folder = exported[0]
    with zipfile.ZipFile(folder / "model.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents |= {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".pt2"}
    places = [str(Path(module.__file__ or "").parent).encode() for module in (torch, np)] + [str(folder).encode()]
    assert not [name for name, content in contents.items() if any(place in content for place in places)]


def test_the_unpruned_network_is_exported_as_it_was_given_and_silently(
    channels: Channels, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = channels.export(channels.space.full, tmp_path)
    assert capfd.readouterr() == ("", "")
    assert said["test error"] == said["test error unpruned"]
    assert said["bytes"] == said["bytes unpruned"]


def test_an_untouched_export_verifies_again(exported: tuple[Path, Description], outputs: torch.Tensor) -> None:
    again = verify(exported[0], IMAGES, LABELS, outputs)
    assert again.images == 40
    assert again.difference <= again.tolerance < 1e-3


def shift_one_weight(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["12.bias"][0] += 0.01
    save_file(tensors, folder / "model.safetensors")


def put_nan(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["3.weight"][0, 0, 0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors")


def widen_a_layer(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["layers"][0]["options"]["out_channels"] += 1
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def cut_the_program_short(folder: Path) -> None:
    path = folder / "model.pt2"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def need_emoprune(folder: Path) -> None:
    path = folder / "load.py"
    path.write_text(f"{path.read_text(encoding='utf-8')}\nimport emoprune.errors\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (shift_one_weight, r"outputs differ by 0\.0\d+, expected at most"),
        (put_nan, "outputs differ by nan"),
        (widen_a_layer, "cannot load it(.|\n)*size mismatch"),
        (cut_the_program_short, "a fresh process without emoprune cannot load it"),
        (need_emoprune, "cannot load it(.|\n)*emoprune"),
    ],
)
def test_a_tampered_export_is_refused(
    exported: tuple[Path, Description],
    outputs: torch.Tensor,
    tmp_path: Path,
    tamper: Callable[[Path], None],
    complaint: str,
) -> None:
    folder = tmp_path / "tampered"
    shutil.copytree(exported[0], folder)
    tamper(folder)
    with pytest.raises(ContractError, match=complaint):
        verify(folder, IMAGES, LABELS, outputs)


@pytest.mark.parametrize(("program", "tensors"), [(0.0, 2.0), (2.0, 0.0), (float("nan"), 0.0), (0.0, float("nan"))])
def test_a_difference_either_way_of_loading_counts(program: float, tensors: float) -> None:
    assert not Verified(4, 1.0, program, 0.0, tensors, 0.0).holds
    assert Verified(4, 1.0, 0.5, 0.0, 0.5, 0.0).holds
