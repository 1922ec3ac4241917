"""Weights come from disk without running code, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from networks_for_tests import network
from safetensors.torch import save_file

from emoprune.errors import ConfigError
from emoprune.problems.networks.reading import weights_of
from emoprune.problems.networks.weights import load_into, load_weights, save_weights, weights_origin


class Payload:
    """Unpickled by a loader that runs code, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.canary,)


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_state_dict_is_loaded_from_either_format(tmp_path: Path, suffix: str) -> None:
    source, target, path = network(), network(), tmp_path / f"weights{suffix}"
    torch.nn.init.constant_(source.get_parameter("2.bias"), 0.25)
    if suffix == ".pt":
        torch.save(source.state_dict(), path)
    else:
        save_file(source.state_dict(), path)
    load_into(target, path)
    assert same(source, target)


def test_a_checkpoint_with_code_is_refused_and_the_code_does_not_run(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "weights.pt"
    torch.save({"0.0.weight": Payload(canary)}, path)
    with pytest.raises(ConfigError, match=r"weights\.pt is refused.*could run code.*safetensors"):
        load_into(network(), path)
    assert not canary.exists()
    torch.load(path, weights_only=False)  # the file really is malicious: read carelessly, it sings
    assert canary.exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "network.pt")
    with pytest.raises(ConfigError, match=r"network\.pt is refused.*safetensors"):
        load_into(network(), tmp_path / "network.pt")


def test_a_checkpoint_that_wraps_the_state_dict_is_refused_with_what_to_do(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state": network().state_dict()}, tmp_path / "epoch3.pt")
    with pytest.raises(ConfigError, match=r"expected a state_dict of tensors.*save network\.state_dict\(\)"):
        load_into(network(), tmp_path / "epoch3.pt")


@pytest.mark.parametrize(("name", "complaint"), [("a.safetensors", "cannot be read"), ("a.pt", "is refused")])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / name).write_bytes(b"\x08\x00\x00\x00nonsense")
    with pytest.raises(ConfigError, match=complaint):
        load_into(network(), tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file '.*lost\.safetensors'"):
        load_into(network(), tmp_path / "lost.safetensors")


def test_weights_of_another_network_are_refused_with_the_names_that_differ(tmp_path: Path) -> None:
    save_file({"0.0.weight": torch.zeros(6, 2, 5, 5), "stranger": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=r"w\.safetensors does not fit the network(.|\n)*stranger(.|\n)*0\.0\.weight"):
        load_into(network(), tmp_path / "w.safetensors")


def test_saved_weights_come_back_to_the_bit_with_their_origin(tmp_path: Path) -> None:
    weights, path = weights_of(network()), tmp_path / "weights.safetensors"
    save_weights(path, weights, {"seed": "3"})
    found = load_weights(path)
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[name], weights[name]) for name in weights)
    assert weights_origin(path) == {"seed": "3"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]


def test_damaged_saved_weights_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, weights_of(network()), {})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=r"weights\.safetensors cannot be read as safetensors.*remove it"):
        load_weights(path)
