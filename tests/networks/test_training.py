"""Training: the same weights for the same seed, made once, kept for the user, and made again when damaged."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from training_for_tests import data, part, tiny

from emoprune.errors import ConfigError
from emoprune.problems.compute.device import one_thread, seeded
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.unpruned import kept_weights
from emoprune.problems.networks.unpruned.augmentation import augmented
from emoprune.problems.networks.unpruned.built_in.catalogue import NETWORKS
from emoprune.problems.networks.unpruned.by_name import data_named
from emoprune.problems.networks.unpruned.kept_weights import kept_or_made
from emoprune.problems.networks.unpruned.recipe import Recipe, unpruned_weights
from emoprune.problems.networks.unpruned.training import Schedule, train
from emoprune.problems.storage.arrays import Weights, load_weights, save_weights
from emoprune.problems.storage.cache import cache_folder

OWN = "training_for_tests"
QUICK = Recipe("digits", "digits", None, 1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the test's own."""
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture(scope="module")
def small() -> ImageData:
    """A few of the digits, so that training takes a blink."""
    return data_named("digits", images_per_part=64)


def trained(schedule: Schedule | int, seed: int = 1, threads: int = 1) -> nn.Module:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with seeded(seed), one_thread():
            network = tiny()
            train(network, part(), schedule, seed)
            return network
    finally:
        torch.set_num_threads(before)


def digest(network: nn.Module) -> str:
    arrays = b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())
    return hashlib.sha256(arrays).hexdigest()


def equal(first: Weights, second: Weights) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


# training itself


@pytest.mark.parametrize("schedule", [2, Schedule(2, batch=16, flips=True, shift=1, channels_last=True)])
def test_the_same_seed_gives_the_same_weights_on_any_number_of_threads(schedule: Schedule | int) -> None:
    state = torch.get_rng_state()
    assert digest(trained(schedule)) == digest(trained(schedule, threads=2))
    assert digest(trained(schedule)) != digest(trained(schedule, seed=2))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_number_of_epochs_means_the_schedule_of_the_digits_network() -> None:
    assert NETWORKS["digits"].schedule == Schedule(30)
    assert digest(trained(3)) == digest(trained(Schedule(3)))


@pytest.mark.parametrize("change", [{"peak_rate": 0.05}, {"batch": 12}, {"flips": True}, {"shift": 1}])
def test_everything_in_a_schedule_matters(change: dict[str, float]) -> None:
    assert digest(trained(Schedule(2, **change))) != digest(trained(2))


def test_training_lowers_the_error_leaves_eval_mode_and_logs_every_epoch(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="emoprune"):
        network = trained(Schedule(6, batch=16))
    assert not network.training
    wrong = (network(torch.from_numpy(part().images)).argmax(1) != torch.from_numpy(part().labels)).float().mean()
    assert wrong < 0.1
    assert [record.message.split(":")[0] for record in caplog.records] == [f"epoch {n} of 6" for n in range(1, 7)]


def test_no_epochs_leave_a_network_as_it_was() -> None:
    network = tiny().train()
    before = digest(network)
    train(network, part(), 0, 1)
    assert digest(network) == before


def test_training_that_diverges_is_refused() -> None:
    with pytest.raises(ConfigError, match="training diverged"):
        trained(Schedule(2, peak_rate=1e30))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"epochs": -1}, "epochs: expected 0 or more, found -1"),
        ({"peak_rate": 0.0}, "learning rate: expected a positive number, found 0.0"),
        ({"peak_rate": float("nan")}, "learning rate: expected a positive number, found nan"),
        ({"weight_decay": -1.0}, "weight decay: expected 0 or a positive number"),
        ({"batch": 1}, "batch: expected at least 2 images, found 1"),
        ({"shift": -1}, "shift: expected 0 or more pixels, found -1"),
    ],
)
def test_a_schedule_that_cannot_be_followed_is_refused(change: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Schedule(**{"epochs": 1, **change})


# varied images


def test_nothing_asked_for_changes_no_image_and_draws_no_number() -> None:
    order = torch.Generator().manual_seed(1)
    state = order.get_state()
    images = torch.randn(5, 2, 6, 7)
    assert augmented(images, flips=False, shift=0, order=order) is images
    assert torch.equal(order.get_state(), state)


def test_flipping_mirrors_about_half_of_the_images_whole() -> None:
    images = torch.randn(200, 2, 4, 5)
    found = augmented(images, flips=True, shift=0, order=torch.Generator().manual_seed(1))
    kept = (found == images).flatten(1).all(1)
    mirrored = (found == images.flip(3)).flatten(1).all(1)
    assert (kept ^ mirrored).all()
    assert 60 < int(mirrored.sum()) < 140


def test_shifting_moves_every_image_by_itself_within_the_bound() -> None:
    images = torch.arange(30.0).reshape(1, 1, 5, 6).repeat(100, 2, 1, 1)
    found = augmented(images, flips=False, shift=2, order=torch.Generator().manual_seed(1))
    assert found.shape == images.shape
    # The middle pixel says by how much its image moved: 6 for a row, 1 for a column.
    moved = {divmod(int(pixel) - 14 + 14, 6) for pixel in found[:, 0, 2, 2]}
    assert moved == {(row, column) for row in range(5) for column in range(5)}
    assert torch.equal(found[:, 0], found[:, 1])


# the unpruned network of a run


def test_only_a_built_in_network_without_given_weights_is_trained_unless_asked_for() -> None:
    assert Recipe.of("digits", "digits", None, None).epochs == 30
    assert Recipe.of("fashion-vgg", "fashion", None, None).schedule == NETWORKS["fashion-vgg"].schedule
    assert Recipe.of("digits", "digits", "w.safetensors", None).epochs == 0
    assert Recipe.of(f"{OWN}:tiny", f"{OWN}:data", None, None).epochs == 0
    assert Recipe.of(f"{OWN}:tiny", f"{OWN}:data", None, 4).schedule == Schedule(4)


def test_a_network_of_any_shape_keeps_its_whole_state_in_the_folder_of_the_run(tmp_path: Path) -> None:
    found = unpruned_weights(tmp_path / "run", Recipe(f"{OWN}:tiny", "x", None, 1), data(), 1)
    assert found.keys() == tiny().state_dict().keys()
    assert found["1.num_batches_tracked"] == 1
    tiny().load_state_dict({name: torch.from_numpy(array) for name, array in found.items()}, strict=True)
    assert equal(load_weights(tmp_path / "run" / "weights.safetensors"), found)


def test_given_weights_are_taken_from_a_file(tmp_path: Path) -> None:
    given = tiny()
    save_file(given.state_dict(), tmp_path / "given.safetensors")
    recipe = Recipe(f"{OWN}:tiny", "x", str(tmp_path / "given.safetensors"), 0)
    found = unpruned_weights(tmp_path / "run", recipe, data(), 1)
    assert all(np.array_equal(found[name], tensor.numpy()) for name, tensor in given.state_dict().items())


def test_weights_in_the_folder_are_not_made_again_and_those_of_another_recipe_are_refused(
    tmp_path: Path, small: ImageData
) -> None:
    first = unpruned_weights(tmp_path, QUICK, small, 1)
    before = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    assert equal(unpruned_weights(tmp_path, QUICK, small, 1), first)
    assert (tmp_path / "weights.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match=r"weights\.safetensors was made from .*, expected .*'seed': '2'.*remove it"):
        unpruned_weights(tmp_path, QUICK, small, 2)


@pytest.mark.parametrize(
    ("network", "epochs", "complaint"),
    [
        ("one_output", 1, "expected at least 2 outputs, one per label, found 1; count the classes"),
        ("feature_maps", 0, r"expected outputs of shape \(32, classes\) for 32 images, found \(32, 2, 2, 2\)"),
        ("two_outputs", 0, "found tuple; end with"),
        ("larger_images", 1, r"cannot take 32 images of shape \(1, 4, 4\): RuntimeError: .*99"),
        ("overflowing", 0, "its outputs on training images are not finite"),
        ("tied", 1, "'1.weight' and '3.weight' share one weight"),
    ],
)
def test_a_network_that_cannot_be_used_leaves_nothing_behind(
    tmp_path: Path, network: str, epochs: int, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        unpruned_weights(tmp_path, Recipe(f"{OWN}:{network}", "x", None, epochs), data(), 1)
    assert not list(tmp_path.rglob("*.safetensors"))


# kept for the user


def kept(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.safetensors"))


def test_trained_weights_are_made_once_and_taken_from_the_cache_by_later_runs(
    tmp_path: Path, cache: Path, small: ImageData, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="emoprune"):
        first = unpruned_weights(tmp_path / "one", QUICK, small, 1)
        made = len(caplog.records)
        second = unpruned_weights(tmp_path / "two", QUICK, small, 1)
    assert made > 0
    assert len(caplog.records) == made  # nothing was trained the second time
    assert equal(first, second)
    (path,) = kept(cache)
    assert path.name.startswith("digits_digits_1-epochs_seed-1_")
    path.unlink()  # the run has a copy of its own
    assert equal(unpruned_weights(tmp_path / "two", QUICK, small, 1), second)
    assert not kept(cache)


def test_other_seeds_epochs_and_images_are_kept_apart(tmp_path: Path, cache: Path, small: ImageData) -> None:
    fewer = data_named("digits", images_per_part=50)
    for number, (epochs, images, seed) in enumerate([(1, small, 1), (2, small, 1), (1, fewer, 1), (1, small, 2)]):
        unpruned_weights(tmp_path / str(number), Recipe("digits", "digits", None, epochs), images, seed)
    assert len(kept(cache)) == 4


def test_a_users_own_network_is_not_kept_because_its_code_may_change(tmp_path: Path, cache: Path) -> None:
    unpruned_weights(tmp_path, Recipe(f"{OWN}:tiny", "x", None, 1), data(), 1)
    assert not cache.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_a_damaged_file_is_made_again_with_a_warning(
    tmp_path: Path, cache: Path, small: ImageData, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    first = unpruned_weights(tmp_path / "one", QUICK, small, 1)
    (path,) = kept(cache)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-100])
    elif damage == "flipped":
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    else:
        save_weights(path, {name: np.zeros_like(array) for name, array in first.items()}, {"seed": "9"})
    second = unpruned_weights(tmp_path / "two", QUICK, small, 1)
    assert equal(first, second)
    assert any("kept weights are made again" in record.message for record in caplog.records)
    assert equal(load_weights(path), first)


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: ImageData, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "file"))
    assert unpruned_weights(tmp_path / "run", QUICK, small, 1)
    assert any("cannot be kept" in record.message for record in caplog.records)


def test_the_cache_lies_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("EMOPRUNE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "emoprune"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "emoprune"


ORIGIN = {"network": "a/b:c", "data": "../d", "epochs": "1", "seed": "1", "digest": "f" * 64}


def make_slowly(folder: str, number: int) -> None:
    """Ask for kept weights in a process of its own and note whether they had to be made here."""
    os.environ["EMOPRUNE_CACHE"] = f"{folder}/cache"

    def made() -> Weights:
        # Long enough for the others to arrive while the first still works.
        Path(f"{folder}/made-{number}").touch()
        multiprocessing.Event().wait(0.5)
        return {"a": np.full(1000, 1.0, dtype=np.float32)}

    assert kept_or_made(ORIGIN, made)["a"].sum() == 1000
    Path(f"{folder}/done-{number}").touch()


@pytest.mark.timeout(60)
def test_processes_that_want_the_same_weights_make_them_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=make_slowly, args=(str(tmp_path), number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(40)
    assert len(list(tmp_path.glob("done-*"))) == 3
    assert len(list(tmp_path.glob("made-*"))) == 1


def test_a_process_that_waited_in_vain_makes_the_weights_itself_and_leaves_the_file_to_the_other(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept_weights, "WAIT", 0.1)
    weights = {"a": np.ones(3, dtype=np.float32)}
    found = kept_or_made(ORIGIN, lambda: kept_or_made(ORIGIN, lambda: weights))
    assert equal(found, weights)
    assert any("another process has been making" in record.message for record in caplog.records)
    assert len(kept(cache)) == 1


def test_an_error_while_making_weights_is_not_taken_for_a_full_disk(cache: Path) -> None:
    calls = []

    def failing() -> Weights:
        calls.append(1)
        raise OSError("the disk of the data is gone")

    with pytest.raises(OSError, match="the disk of the data is gone"):
        kept_or_made(ORIGIN, failing)
    assert len(calls) == 1
    assert not kept(cache)


def test_names_that_are_paths_stay_within_the_cache(cache: Path) -> None:
    kept_or_made(ORIGIN, lambda: {"a": np.zeros(1, dtype=np.float32)})
    (path,) = kept(cache)
    assert path.name == "a-b-c_d_1-epochs_seed-1_ffffffffffffffff.safetensors"
