"""Names in a config: built-in ones, folders, and functions of a user's own, with what goes wrong in them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from emoprune.errors import ConfigError
from emoprune.plugins import importable_from
from emoprune.problems.networks.unpruned.by_name import data_named, network_named
from emoprune.problems.storage.located import located

# built-in names


@pytest.mark.parametrize("name", ["digits", "fashion-vgg", "fashion-resnet", "fashion-mobilenet", "lenet5-mini"])
def test_built_in_networks_are_made_anew_by_name(name: str) -> None:
    assert network_named(name) is not network_named(name)


def test_built_in_data_can_be_framed_and_made_fewer() -> None:
    data = data_named("digits", image_size=10, images_per_part=100)
    assert data.input_shape == (1, 10, 10)
    assert [len(part) for part in data.parts.values()] == [100, 100, 100, 100]
    assert not data.test.images[:, :, 0].any()


# a user's own functions


def test_a_users_functions_are_called() -> None:
    assert isinstance(network_named("user_code_for_tests:tiny"), nn.Sequential)
    data = data_named("user_code_for_tests:pairs", images_per_part=50)
    assert [len(part) for part in data.parts.values()] == [40, 5, 5, 20]


@pytest.mark.parametrize("option", ["network", "data"])
@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("no_such_module:build", "cannot import 'no_such_module' for 'no_such_module:build'"),
        ("user_code_for_tests:nothing", "'user_code_for_tests' has no class or function 'nothing'"),
        ("user_code_for_tests:", "expected an import target such as"),
        ("user_code_for_tests:NUMBER", "has no class or function 'NUMBER'"),
        ("../evil:build", "expected an import target such as 'package.module:Name', found '../evil:build'"),
        (
            "user_code_for_tests:raising",
            r"raised KeyError: 'no such key' \(.*user_code_for_tests\.py:\d+, in raising\)",
        ),
        (
            "user_code_for_tests:raising_inside_a_library",
            r"raised RuntimeError: .*user_code_for_tests\.py:\d+, in raising_inside_a_library\)",
        ),
        (
            "user_code_for_tests:raising_inside_this_domain",
            r"raised TypeError: .*user_code_for_tests\.py:\d+, in raising_inside_this_domain\)",
        ),
        ("user_code_for_tests:needing", "raised TypeError: .*missing 1 required positional argument: 'argument'"),
    ],
)
def test_a_function_that_cannot_be_called_is_named_with_the_place(option: str, target: str, complaint: str) -> None:
    named = {"network": network_named, "data": data_named}[option]
    with pytest.raises(ConfigError, match=f"^{option}: .*{complaint}") as caught:
        named(target)
    assert (caught.value.__cause__ is not None) == ("raised" in complaint or "cannot import" in complaint)


def test_a_loader_that_shuffles_gives_the_same_data_every_time_and_leaves_torchs_generator_alone() -> None:
    state = torch.get_rng_state()
    first = data_named("user_code_for_tests:shuffling")
    torch.rand(7)
    torch.manual_seed(99)
    second = data_named("user_code_for_tests:shuffling")
    assert first.digest() == second.digest()
    assert first.train.labels.tolist() != sorted(first.train.labels.tolist())
    torch.set_rng_state(state)
    data_named("user_code_for_tests:shuffling")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_functions_own_config_error_stays_as_it_is() -> None:
    with pytest.raises(ConfigError, match=r"^data: my own paragraph$"):
        data_named("user_code_for_tests:refusing")


def test_a_loader_that_breaks_while_it_is_read_is_named_with_the_place() -> None:
    with pytest.raises(ConfigError, match=r"raised OSError: image 7 is gone \(.*:\d+, in __getitem__\)") as caught:
        data_named("user_code_for_tests:breaking")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_function_that_returns_no_network_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"to return a torch\.nn\.Module, found tuple"):
        network_named("user_code_for_tests:pairs")


def test_a_users_data_are_checked_for_images_in_two_parts() -> None:
    with pytest.raises(ConfigError, match=r"share .* identical images"):
        data_named("user_code_for_tests:leaking")


# what is not there


def test_an_unknown_network_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ConfigError, match=r"no network is called 'fashion-vg'.*package\.module:function.*mean 'fashion-vgg'"
    ):
        network_named("fashion-vg")


def test_unknown_data_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"no data is called 'fashon'.*no such folder.*import target.*mean 'fashion'"):
        data_named("fashon")


@pytest.mark.parametrize("option", ["image_size", "images_per_part"])
def test_numbers_below_one_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option}: expected at least 1, found 0"):
        data_named("digits", **{option: 0})


def test_a_users_own_function_has_to_resize_by_itself() -> None:
    with pytest.raises(ConfigError, match="image_size: expected a folder of images as data"):
        data_named("user_code_for_tests:pairs", image_size=8)


# folders


def fill(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.random.default_rng(number + 100 * ord(name)).integers(0, 256, (4, 4)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def test_a_folder_beside_the_config_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "config" / "pictures")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="no data is called 'pictures'"):
        data_named("pictures")
    with importable_from(tmp_path / "config"):
        assert data_named("pictures").input_shape == (1, 4, 4)


def test_the_working_folder_comes_first_and_installed_packages_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("here", "beside"):
        (tmp_path / place / "pictures").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with importable_from(tmp_path / "beside"):
        assert located("pictures") == tmp_path / "here" / "pictures"
        assert located(str(tmp_path / "beside" / "pictures")) == tmp_path / "beside" / "pictures"
    assert Path(torch.__file__).parent.parent in map(Path, sys.path)
    assert located("torch") is None
