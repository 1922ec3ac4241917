"""What is refused before there is a run: bounds that nothing meets, weights that do not fit, a missing GPU."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from networks_for_tests import network
from safetensors.torch import save_file

import emoprune
from emoprune.commands.inspection import inspect
from emoprune.config import load
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.inspection import check_prunable
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.coupling.checking import NOT_RUNNING
from emoprune.problems.networks.coupling.structure import CouplingGroup, Structure, Whole
from emoprune.problems.networks.layers.bit_widths import BitWidths

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}


def small(**options: Any) -> Channels:  # the options under test, of whatever type
    return Channels(**{**SMALL, **options})


def config_of(**options: Any) -> dict[str, Any]:  # as above
    return {
        "problem": {"name": "channels", **SMALL, **options},
        "search": {"population": 6, "generations": 1},
        "evaluation": {"backend": "serial"},
    }


# bounds


@pytest.mark.parametrize("name", ["macs-share", "parameters", "bytes"])
def test_a_bound_below_the_smallest_network_is_refused_with_what_can_be_reached(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"at_most: no candidate can ever meet {name} of at most 0\.001, where no"):
        small(at_most={name: 0.001}).check()


def test_a_bound_that_the_narrowest_network_meets_is_not_refused() -> None:
    problem = small(at_most={"macs-share": 0.5, "error": 1e-6, "milliseconds-share": 1e-6})
    problem.check()  # what has to be measured is not known before
    rows = problem.inspect().tables["bounds"]
    assert [row["can be met"] for row in rows] == ["yes", *["not known before measuring"] * 2]


def test_widths_that_may_not_be_small_decide_what_can_be_reached() -> None:
    bound = {"macs-share": 0.3}
    small(at_most=bound).check()
    with pytest.raises(ConfigError, match=r"where no genome reaches less than 0\.[3-9]\d*; raise the bound, or allow"):
        small(at_most=bound, smallest=0.5).check()


def test_bits_have_their_own_smallest_network() -> None:
    options = {**SMALL, "bits": [2, 8, 32]}
    BitWidths(**options, at_most={"bytes-share": 0.3}).check()
    with pytest.raises(ConfigError, match=r"no candidate can ever meet bytes-share of at most 0\.01"):
        BitWidths(**options, at_most={"bytes-share": 0.01}).check()


def test_a_search_that_cannot_meet_its_bounds_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no candidate can ever meet macs-share"):
        next(iter(emoprune.search(config_of(at_most={"macs-share": 0.001}), runs=tmp_path)))
    assert list(tmp_path.iterdir()) == []


# weights


class Evil:
    """What a pickle may ask for."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[int]]:
        return sys.exit, (77,)


def whole_module(path: Path) -> None:
    torch.save(network(), path)


def running_code(path: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": Evil()}))


def not_a_number(path: Path) -> None:
    state = network().state_dict()
    state["6.weight"][0, 0] = torch.nan
    torch.save(state, path)


def missing_a_key(path: Path) -> None:
    torch.save({name: each for name, each in network().state_dict().items() if name != "6.bias"}, path)


def truncated(path: Path) -> None:
    torch.save(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:300])


def nothing_there(path: Path) -> None:
    assert not path.exists()


BAD = {
    whole_module: "is refused: it asks for .* which is more than tensors and could run code; nothing was run",
    running_code: "is refused: .*nothing was run",
    not_a_number: "network: '6.weight' holds NaN or infinities",
    missing_a_key: "does not fit the network; missing: 6.bias",
    truncated: "is refused: it is damaged or holds more than tensors",
    nothing_there: "weights: no file",
}


@pytest.mark.parametrize("write", BAD, ids=lambda write: write.__name__)
def test_bad_weights_are_refused_before_a_run_exists_and_by_the_pre_flight(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path, runs = tmp_path / "weights.pt", tmp_path / "runs"
    write(path)
    config = config_of(weights=str(path))
    with pytest.raises(ConfigError, match=BAD[write]):
        next(iter(emoprune.search(config, runs=runs)))
    assert not runs.exists()
    with pytest.raises(ConfigError, match=BAD[write]):
        inspect(load(config))


def test_weights_whose_outputs_are_no_numbers_are_refused(tmp_path: Path) -> None:
    state = {name: each.clone() for name, each in network().state_dict().items()}
    state["6.weight"] = torch.full_like(state["6.weight"], 3e38)
    save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(ConfigError, match="its outputs on training images are not finite"):
        small(weights=str(tmp_path / "weights.safetensors")).check()


# devices


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no GPU can one be missing")
def test_a_gpu_that_is_not_there_is_refused_with_the_key_that_asked_for_it(tmp_path: Path) -> None:
    problem = small()
    problem.prepare(tmp_path, 1)
    with pytest.raises(ConfigError, match=r"evaluation\.gpus_per_worker.*torch finds none here; set evaluation\.gpus"):
        problem.setup("cuda", 1)


# options of the data


def test_images_per_part_reaches_the_data_from_the_config() -> None:
    with pytest.raises(ConfigError, match="calibration_images: expected 2 to 20, all of the training part, found 64"):
        small(images_per_part=20)


def test_image_size_reaches_the_data_from_the_config() -> None:
    with pytest.raises(ConfigError, match="image_size: expected a folder of images as data"):
        small(image_size=8)


# networks


def structure(broken: dict[str, str], names: tuple[str, ...] = ("a", "b"), wholes: tuple[Whole, ...] = ()) -> Structure:
    groups = tuple(CouplingGroup(name, 4, ((name, "out"), (f"{name}2", "out"))) for name in names)
    return Structure((1, 4, 4), 2, groups, (), wholes, broken)


def test_a_network_of_groups_that_can_be_sliced_is_not_refused() -> None:
    check_prunable(structure({}))


def test_a_sliced_network_that_does_not_run_is_told_about_sizes_in_its_forward() -> None:
    with pytest.raises(ConfigError, match=r"1 of its 2 coupling groups cannot be sliced.*x\.view\(-1, 400\)") as caught:
        check_prunable(structure({"b": f"{NOT_RUNNING}: RuntimeError"}))
    assert "`ignore: [b, b2]`" in str(caught.value)


def test_other_outputs_are_told_about_numbers_in_the_forward() -> None:
    with pytest.raises(ConfigError, match=r"a number that is written into its forward.*\[a, a2, b, b2\]"):
        check_prunable(structure({"a": "its outputs differ by 0.3", "b": "its outputs differ by 0.1"}))


def test_a_network_without_channels_to_prune_says_why_each_layer_stays_and_counts_the_rest() -> None:
    wholes = tuple(Whole(f"layer{number}", 4, "it ends the network") for number in range(5))
    with pytest.raises(ConfigError, match=r"\(layer0, layer1, layer2 and 2 more: it ends the network\)"):
        check_prunable(structure({}, (), wholes))
    with pytest.raises(ConfigError, match="it has no layers"):
        check_prunable(structure({}, ()))
