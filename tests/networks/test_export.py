"""What is exported is the evaluated network, smaller for real, and needs no emoprune to run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from exports_for_tests import TEST, Halved, as_a_stranger, halved_zoo, places_of_this_computer, wrong_labels
from safetensors.torch import load_file, save_file

from emoprune.contracts import Description
from emoprune.errors import ConfigError, ContractError, StorageError
from emoprune.problems.networks.coupling.pruned_module import with_tensors

STRANGER = """\
import json
from load import load_network
from safetensors.torch import load_file
given = load_file(sys.argv[1])
network = load_network()
wrong = int((network(given["images"]).argmax(dim=1) != given["labels"]).sum())
print(json.dumps([wrong, [list(network(given["images"][:n]).shape) for n in (1, 7)], network.training]))
"""


@pytest.fixture(scope="module")
def halved() -> Halved:
    return halved_zoo("resnet")


@pytest.fixture(scope="module")
def exported(halved: Halved, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Description]:
    folder = tmp_path_factory.mktemp("exports") / "7"
    return folder, halved.export(folder)


def test_a_stranger_loads_it_in_eval_mode_and_makes_the_same_errors(
    halved: Halved, exported: tuple[Path, Description], tmp_path: Path
) -> None:
    save_file({"images": torch.cat(TEST.batches), "labels": TEST.labels}, tmp_path / "given.safetensors")
    said = as_a_stranger(STRANGER, exported[0], str(tmp_path / "given.safetensors"))
    assert json.loads(said) == [wrong_labels(halved.pruned), [[1, 10], [7, 10]], False]


def test_it_says_what_was_measured_before_and_after(halved: Halved, exported: tuple[Path, Description]) -> None:
    folder, said = exported
    pruned, unpruned = halved.counted
    assert said["test error"] == wrong_labels(halved.pruned) / len(TEST.labels)
    assert said["test error unpruned"] == wrong_labels(halved.unpruned) / len(TEST.labels)
    assert (said["macs"], said["macs unpruned"]) == (pruned["macs"], unpruned["macs"])
    assert said["safetensors file bytes"] == (folder / "model.safetensors").stat().st_size
    assert int(said["safetensors file bytes"]) < int(said["safetensors file bytes unpruned"])
    assert float(said["safetensors max abs difference"]) <= float(said["safetensors allowed difference"])
    for size in (1, 64):
        assert float(said[f"safetensors milliseconds, batch of {size}"]) > 0
        assert float(said[f"safetensors milliseconds, batch of {size} unpruned"]) > 0
    assert (said["formats"], said["threads"], said["test images"]) == ("safetensors", 1, 100)


def test_there_are_as_many_weights_on_disk_as_were_counted(exported: tuple[Path, Description]) -> None:
    folder, said = exported
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    tensors = load_file(folder / "model.safetensors")
    weights = [tensor for name, tensor in tensors.items() if not name.endswith(statistics)]
    assert sum(tensor.numel() for tensor in weights) == said["parameters"]


def test_the_config_says_where_it_comes_from_how_wide_it_is_and_what_stayed(
    halved: Halved, exported: tuple[Path, Description]
) -> None:
    config = json.loads((exported[0] / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(exported[0] / "model.safetensors")
    assert config["source"] == "zoo_for_tests:network"
    assert config["made_with"]["torch"] == torch.__version__
    assert config["input"] == {"name": "images", "shape": ["batch", 1, 28, 28], "dtype": "float32"}
    for path, width in config["widths"].items():
        assert [width["outgoing"], width["incoming"]] == list(tensors[f"{path}.weight"].shape[:2])
    for group, units in zip(halved.structure.groups, halved.kept, strict=True):
        assert config["coupling_groups"][group.name]["units"] == group.units
        assert config["coupling_groups"][group.name]["kept"] == units.tolist()
    assert set(config["measured"]) == {"test error", "macs", "parameters"}


def test_every_repeat_is_summed_up_with_its_spread(exported: tuple[Path, Description]) -> None:
    verified = json.loads((exported[0] / "verify.json").read_text(encoding="utf-8"))["safetensors"]
    assert [(each["network"], each["batch"]) for each in verified["timings"]] == [
        ("pruned", 1),
        ("unpruned", 1),
        ("pruned", 64),
        ("unpruned", 64),
    ]
    for each in verified["timings"]:
        assert 0 < each["low"] <= each["median"] <= each["high"]
        assert (each["threads"], each["repeats"]) == (1, 30)
    assert verified["ran_on"]["torch"] == torch.__version__
    assert verified["errors"]["pruned"] == exported[1]["test error"]


def test_the_card_says_what_stayed_how_to_load_it_and_how_it_was_measured(exported: tuple[Path, Description]) -> None:
    card = (exported[0] / "README.md").read_text(encoding="utf-8")
    for words in (
        "# A network pruned from `zoo_for_tests:network`",
        "It was pruned for a test.",
        "| stem | 4 of 8 |",
        "| test error |",
        "medians of 30 turns",
        "on 1 thread,",
        "from load import load_network",
        "(batch, 1, 28, 28)",
        "`model.py` defines the smaller network in readable code",
        "on 100 test images",
    ):
        assert words in card


def test_it_consists_of_plain_files_that_name_no_folder_of_this_computer(exported: tuple[Path, Description]) -> None:
    contents = {path.name: path.read_bytes() for path in exported[0].iterdir()}
    assert set(contents) == {"model.safetensors", "model.py", "load.py", "config.json", "verify.json", "README.md"}
    places = [*places_of_this_computer(), str(exported[0]).encode()]
    assert not [name for name, content in contents.items() if any(place in content for place in places)]


def test_the_evaluated_networks_are_left_as_they_were(halved: Halved, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in halved.pruned.state_dict().items()}
    pointers = [tensor.data_ptr() for tensor in halved.pruned.parameters()]
    halved.export(tmp_path, verify=False)
    assert [tensor.data_ptr() for tensor in halved.pruned.parameters()] == pointers
    assert all(torch.equal(tensor, before[name]) for name, tensor in halved.pruned.state_dict().items())


def test_without_verifying_nothing_is_claimed(halved: Halved, tmp_path: Path) -> None:
    said = halved.export(tmp_path, verify=False)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert said["verified"] == "no"
    assert not [name for name in said if "milliseconds" in name or "difference" in name]
    assert "nothing was loaded again" in card
    assert not (tmp_path / "verify.json").exists()
    assert said["safetensors file bytes"] == (tmp_path / "model.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("formats", "complaint"),
    [
        (["safetensors", "pickle"], "expected some of safetensors, torch-export, onnx, found 'pickle'"),
        ([], "expected some of safetensors, torch-export, onnx, found none"),
    ],
)
def test_a_format_that_is_not_known_is_refused_before_anything_is_written(
    halved: Halved, tmp_path: Path, formats: list[str], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        halved.export(tmp_path / "7", formats)
    assert not (tmp_path / "7").exists()


def test_a_missing_extra_is_named_before_anything_is_written(
    halved: Halved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # how Python says that something cannot be imported
    with pytest.raises(ConfigError, match=r"onnxruntime cannot be imported.*pip install 'emoprune\[onnx\]'"):
        halved.export(tmp_path / "7", ["safetensors", "onnx"])
    assert not (tmp_path / "7").exists()


def test_a_network_whose_outputs_are_not_numbers_is_refused_before_anything_is_written(
    halved: Halved, tmp_path: Path
) -> None:
    broken = with_tensors(halved.pruned, {"head.bias": torch.full((10,), float("nan"))})
    with pytest.raises(ContractError, match="are not finite"):
        Halved(halved.unpruned, halved.structure, broken, halved.kept).export(tmp_path / "7")
    assert not (tmp_path / "7").exists()


def test_a_place_that_cannot_be_written_is_said_as_such(halved: Halved, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StorageError, match=r"export: cannot write '7'.*Not a directory"):
        halved.export(tmp_path / "file" / "7", verify=False)
