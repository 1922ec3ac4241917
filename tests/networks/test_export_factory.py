"""A network that cannot be written down is exported with the factory it comes from, narrowed layer by layer."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from exports_for_tests import TEST, Halved, as_a_stranger, halved_own, wrong_labels
from safetensors.torch import save_file
from torch import nn

from emoprune.contracts import Description
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.export.narrowing import narrowed_layers
from emoprune.problems.networks.export.writable import NarrowedOriginal, writable

MODULE = """\
import torch
from torch import nn
from own_parts.layers import Gate


class Flowing(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.gate = Gate()
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.head = nn.Linear(8, 10)

    def forward(self, images):
        features = self.depthwise(self.gate(self.norm(self.conv(images)))) * self.scale
        return self.head(features.mean((2, 3)))


def build():
    torch.manual_seed(0)
    return Flowing()
"""
GATE = """\
from torch import nn


class Gate(nn.Module):
    def forward(self, features):
        return features.relu() if bool(features.min() < 0) else features * 1.0
"""
STRANGER = """\
sys.path.insert(0, sys.argv[2])
from load import load_network
from safetensors.torch import load_file
given = load_file(sys.argv[1])
network = load_network()
print(network.conv, int((network(given["images"]).argmax(dim=1) != given["labels"]).sum()))
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder with a user's own modules, importable while these tests run."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_parts").mkdir()
    (folder / "own_flowing.py").write_text(MODULE, encoding="utf-8")
    (folder / "own_parts" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "own_parts" / "layers.py").write_text(GATE, encoding="utf-8")
    (folder / "own_needing.py").write_text(f"import emoprune\n{MODULE}", encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def halved(code: Path) -> Halved:
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = importlib.import_module("own_flowing").build()
    return halved_own(network)


@pytest.fixture(scope="module")
def exported(halved: Halved, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Description]:
    folder = tmp_path_factory.mktemp("exports") / "7"
    return folder, halved.export(folder, source="own_flowing:build")


def test_a_stranger_with_the_users_code_loads_the_smaller_network(
    halved: Halved, exported: tuple[Path, Description], code: Path, tmp_path: Path
) -> None:
    save_file({"images": torch.cat(TEST.batches), "labels": TEST.labels}, tmp_path / "given.safetensors")
    said = as_a_stranger(STRANGER, exported[0], str(tmp_path / "given.safetensors"), str(code))
    assert said.split("\n")[0] == f"{halved.pruned.get_submodule('conv')} {wrong_labels(halved.pruned)}"
    assert "Conv2d(1, 4," in said


def test_it_was_verified_without_emoprune_and_is_smaller(exported: tuple[Path, Description]) -> None:
    said = exported[1]
    assert float(said["safetensors max abs difference"]) <= float(said["safetensors allowed difference"])
    assert int(said["safetensors file bytes"]) < int(said["safetensors file bytes unpruned"])


def test_the_card_says_that_the_users_code_is_needed_and_why(exported: tuple[Path, Description], code: Path) -> None:
    card = (exported[0] / "README.md").read_text(encoding="utf-8")
    assert "`load.py` makes the network with `own_flowing:build`" in card
    assert "cannot be traced" in card
    assert "and `own_flowing` importable" in card
    assert not (exported[0] / "model.py").exists()
    assert not [path.name for path in exported[0].iterdir() if str(code).encode() in path.read_bytes()]


def test_the_config_says_what_to_narrow(exported: tuple[Path, Description]) -> None:
    factory = json.loads((exported[0] / "config.json").read_text(encoding="utf-8"))["factory"]
    assert factory["target"] == "own_flowing:build"
    assert factory["layers"][""] == {"settings": {}, "shapes": {"scale": [4, 1, 1]}}
    assert factory["layers"]["depthwise"] == {
        "settings": {"in_channels": 4, "out_channels": 4, "groups": 4},
        "shapes": {"weight": [4, 1, 3, 3], "bias": [4]},
    }


def test_a_factory_that_needs_emoprune_itself_is_refused(halved: Halved, code: Path, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"cannot load it(.|\n)*emoprune is kept out of this process"):
        halved.export(tmp_path / "7", source="own_needing:build")


def test_the_users_module_is_found_again_where_it_lies(halved: Halved, code: Path) -> None:
    for source, network in (("own_flowing:build", halved.pruned), ("own_parts.layers:Gate", halved.pruned)):
        made = writable(network, halved.unpruned, source, TEST.batches[0][:2]).code
        assert isinstance(made, NarrowedOriginal)
        assert made.place == code.resolve()


def test_a_network_without_a_factory_that_cannot_be_written_down_is_refused(halved: Halved) -> None:
    with pytest.raises(ConfigError, match="network 'digits' cannot be written down: its forward cannot be traced"):
        writable(halved.pruned, halved.unpruned, "digits", TEST.batches[0][:2])


class Passing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        # What no file holds, but goes with the channels.
        self.norm._non_persistent_buffers_set.add("running_mean")
        self.head = nn.Linear(4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.conv(images)).mean((2, 3)))


def test_a_pruned_tensor_that_no_file_would_hold_is_refused() -> None:
    halved = halved_own(Passing())
    with pytest.raises(ConfigError, match=r"'norm.running_mean' was pruned.*persistent=True"):
        narrowed_layers(halved.unpruned, halved.pruned)


def test_networks_of_other_modules_are_not_compared() -> None:
    with pytest.raises(ContractError, match="expected the same modules before and after"):
        narrowed_layers(nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU(), nn.ReLU()))


def test_an_unpruned_network_has_nothing_to_narrow(halved: Halved) -> None:
    whole = pruned_module(halved.unpruned, halved.structure, halved.structure.full)
    assert narrowed_layers(halved.unpruned, whole) == {}
