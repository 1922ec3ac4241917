"""Weights come from disk without running code, or not at all, and go there whole and under their own names."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm

from emoprune.errors import ConfigError
from emoprune.problems.networks.unpruned.checkpoints import load_into
from emoprune.problems.networks.unpruned.weights import weights_of
from emoprune.problems.storage.arrays import load_weights, save_weights, weights_origin


class Branches(nn.Module):
    """Two branches that meet, with every kind of entry that a state_dict can have."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.right = nn.Conv2d(2, 4, 1, bias=False)
        self.register_buffer("used", torch.tensor([True, False]))
        self.head = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        met = self.left(images) + self.right(images)
        out: torch.Tensor = self.head(met.mean((2, 3)))
        return out


def network(seed: int = 5) -> Branches:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Branches()


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


class Payload:
    """Unpickled by a loader that runs code, it makes a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.canary),)


# a network's weights as arrays


def test_all_parameters_and_buffers_keep_their_names_and_types() -> None:
    made = network()
    made.train()(torch.ones(2, 2, 4, 4))
    weights = weights_of(made)
    assert list(weights) == list(made.state_dict())
    assert weights["left.1.num_batches_tracked"].dtype == np.int64
    assert weights["left.1.num_batches_tracked"] == 1
    assert weights["used"].dtype == np.bool_
    assert all(np.array_equal(weights[name], tensor.numpy()) for name, tensor in made.state_dict().items())


def test_the_arrays_are_copies() -> None:
    made = network()
    weights = weights_of(made)
    nn.init.constant_(made.head.bias, 9.0)
    assert not (weights["head.bias"] == 9.0).any()


def shared_parameter() -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    made[2].weight = made[0].weight
    return made


def shared_module() -> nn.Module:
    layer = nn.Linear(3, 3)
    return nn.Sequential(layer, nn.ReLU(), layer)


def shared_view() -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    made[1].weight = nn.Parameter(made[0].weight.detach().t())
    return made


@pytest.mark.parametrize("tied", [shared_parameter(), shared_module(), shared_view()])
def test_tied_weights_are_refused_with_both_names(tied: nn.Module) -> None:
    with pytest.raises(ConfigError, match=r"'0\.weight' and '[12]\.weight' share one weight.*deepcopy"):
        weights_of(tied)


def computed(how: str) -> nn.Module:
    made = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU())
    if how == "parametrised":
        parametrizations.weight_norm(made[0])
    elif how == "masked":
        prune.l1_unstructured(made[0], "weight", 0.5)
    else:
        weight_norm(made[0])
    return made


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")  # the deprecated form is the point
@pytest.mark.parametrize("how", ["parametrised", "masked", "normalised"])
def test_a_weight_that_is_computed_from_others_is_refused_with_its_place(how: str) -> None:
    with pytest.raises(ConfigError, match=r"module '0' \(.*Conv2d\): its 'weight' is computed.*remove_param"):
        weights_of(computed(how))


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (nn.Linear(2, 2).double(), "'weight': expected 32-bit floats, found torch.float64; call network.float"),
        (nn.Linear(2, 2).bfloat16(), "'weight': expected 32-bit floats, found torch.bfloat16"),
        (nn.Linear(2, 2, device="meta"), "'weight' has no memory yet"),
        (nn.LazyLinear(2), "'weight' has no memory yet; run the network once"),
    ],
)
def test_weights_of_another_kind_are_refused_by_name(made: nn.Module, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        weights_of(made)


def test_weights_that_are_not_finite_are_refused_by_name() -> None:
    made = network()
    nn.init.constant_(made.head.bias, float("inf"))
    with pytest.raises(ConfigError, match=r"'head\.bias' holds NaN or infinities"):
        weights_of(made)


# to disk and back


def test_saved_weights_come_back_to_the_bit_with_their_origin(tmp_path: Path) -> None:
    weights, path = weights_of(network()), tmp_path / "weights.safetensors"
    save_weights(path, weights, {"seed": "3"})
    found = load_weights(path)
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[name], weights[name]) for name in weights)
    assert all(found[name].dtype == weights[name].dtype for name in weights)
    assert weights_origin(path) == {"seed": "3"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]


def test_the_file_is_plain_safetensors_that_a_network_loads_strictly(tmp_path: Path) -> None:
    save_weights(tmp_path / "weights.safetensors", weights_of(network()), {})
    target = network(seed=6)
    target.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=True)
    assert same(target, network())


@pytest.mark.parametrize("damage", ["cut", "flipped", "origin"])
def test_damaged_saved_weights_are_refused_with_what_to_do(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, weights_of(network()), {"seed": "3"})
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-9])
    elif damage == "flipped":
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
    else:
        path.write_bytes(content.replace(b'"seed":"3"', b'"seed":"4"'))
    with pytest.raises(ConfigError, match=r"weights\.safetensors (cannot be read|is damaged).*remove it"):
        load_weights(path)


# a user's checkpoint into a network


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_state_dict_is_loaded_from_either_format(tmp_path: Path, suffix: str) -> None:
    source, path = network(), tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(source.state_dict(), path)
    else:
        save_file(source.state_dict(), path)
    target = network(seed=6)
    assert not same(source, target)
    load_into(target, path)
    assert same(source, target)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_state_dict_inside_a_checkpoint_is_found_and_prefixes_are_understood(
    tmp_path: Path, key: str, prefix: str
) -> None:
    state = {prefix + name: tensor for name, tensor in network().state_dict().items()}
    torch.save({"epoch": 3, key: state, "optimizer": {"lr": 0.1}}, tmp_path / "epoch3.pt")
    target = network(seed=6)
    load_into(target, tmp_path / "epoch3.pt")
    assert same(target, network())


def test_a_network_that_has_a_part_called_module_keeps_that_name(tmp_path: Path) -> None:
    source, target = nn.DataParallel(network()), nn.DataParallel(network(seed=6))
    torch.save(source.state_dict(), tmp_path / "w.pt")
    load_into(target, tmp_path / "w.pt")
    assert same(source, target)


def test_a_checkpoint_with_code_is_refused_by_name_and_the_code_does_not_run(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "weights.pt"
    torch.save({"head.weight": Payload(canary)}, path)
    with pytest.raises(
        ConfigError, match=r"weights\.pt is refused.*'posix\.mkdir'.*could run code; nothing was run.*safe"
    ):
        load_into(network(), path)
    assert not canary.exists()
    torch.load(path, weights_only=False)  # the file really is malicious: read carelessly, it sings
    assert canary.exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "network.pt")
    with pytest.raises(ConfigError, match=r"network\.pt is refused.*Branches.*safetensors"):
        load_into(network(), tmp_path / "network.pt")


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")  # such files exist, however old the way is
def test_a_torchscript_program_is_refused_as_what_it_is(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "program.pt")
    with pytest.raises(ConfigError, match=r"program\.pt is refused: it is a TorchScript program, not weights"):
        load_into(network(), tmp_path / "program.pt")


def test_a_checkpoint_without_a_state_dict_is_refused_with_what_was_found(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "weights": network().state_dict()}, tmp_path / "epoch3.pt")
    with pytest.raises(
        ConfigError, match=r"expected a state_dict of tensors, or one under 'state_dict'.*'epoch': 'int'"
    ):
        load_into(network(), tmp_path / "epoch3.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ConfigError, match=r"found list; save network\.state_dict\(\)"):
        load_into(network(), tmp_path / "list.pt")


@pytest.mark.parametrize(("name", "complaint"), [("a.safetensors", "cannot be read"), ("a.pt", "is refused")])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / name).write_bytes(b"\x08\x00\x00\x00nonsense")
    with pytest.raises(ConfigError, match=complaint):
        load_into(network(), tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file '.*lost\.safetensors'"):
        load_into(network(), tmp_path / "lost.safetensors")


def test_weights_of_another_network_are_refused_with_the_names_that_differ(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in network().state_dict().items() if not name.startswith("left.1")}
    state |= {"right.weight": torch.zeros(4, 2, 5, 5), "stranger": torch.zeros(1)}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="does not fit") as caught:
        load_into(network(), tmp_path / "w.safetensors")
    said = str(caught.value)
    assert "w.safetensors does not fit the network" in said
    assert "right.weight (4, 2, 5, 5) for (4, 2, 1, 1)" in said
    assert re.search(r"missing: left\.1\.weight, left\.1\.bias, left\.1\.running_mean and 1 more", said)
    assert "not in the network: stranger" in said


def test_an_old_checkpoint_without_counted_batches_is_loaded(tmp_path: Path) -> None:
    state = network().state_dict()
    del state["left.1.num_batches_tracked"]
    save_file(state, tmp_path / "old.safetensors")
    target = network(seed=6)
    load_into(target, tmp_path / "old.safetensors")
    assert same(target, network())
