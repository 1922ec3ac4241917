"""An export that is not the evaluated network, or cannot be loaded without emoprune, is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from exports_for_tests import TEST, Halved, halved_zoo
from safetensors.torch import load_file, save_file

from emoprune.errors import ContractError
from emoprune.problems.networks.evaluation.scoring import outputs_of
from emoprune.problems.networks.export.verify import Verified, verify


@pytest.fixture(scope="module")
def halved() -> Halved:
    return halved_zoo("vgg")


@pytest.fixture(scope="module")
def exported(halved: Halved, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    halved.export(folder, verify=False)
    return folder


def verified(halved: Halved, folder: Path) -> Verified:
    outputs = outputs_of(halved.pruned, TEST)
    (found,) = verify((folder, folder), (outputs, outputs), TEST, ["safetensors"], batches=(2,))
    return found


def test_an_untouched_export_verifies_again(halved: Halved, exported: Path) -> None:
    found = verified(halved, exported)
    assert found.images == 100
    assert found.difference <= found.tolerance < 1e-3
    assert list(found.timings) == [2]
    assert found.layout == "channels-last"


def shift_one_weight(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["9.bias"][0] += 0.01
    save_file(tensors, folder / "model.safetensors")


def put_nan(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["2.0.weight"][0, 0, 0, 0] = float("nan")
    save_file(tensors, folder / "model.safetensors")


def widen_a_layer(folder: Path) -> None:
    source = (folder / "model.py").read_text(encoding="utf-8")
    (folder / "model.py").write_text(source.replace("nn.Conv2d(1, 4,", "nn.Conv2d(1, 5,"), encoding="utf-8")


def drop_the_batch(folder: Path) -> None:
    path = folder / "load.py"
    source = path.read_text(encoding="utf-8").replace(
        "return network.eval()", "return torch.nn.Sequential(network.eval(), torch.nn.Flatten(0))"
    )
    path.write_text(source, encoding="utf-8")


def need_emoprune(folder: Path) -> None:
    path = folder / "load.py"
    path.write_text(f"{path.read_text(encoding='utf-8')}\nimport emoprune.errors\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (shift_one_weight, r"outputs differ by 0\.0\d+, expected at most 1e-05"),
        (put_nan, "outputs differ by nan"),
        (widen_a_layer, "cannot load it(.|\n)*size mismatch"),
        (drop_the_batch, r"the outputs have shape \(10,\), expected \(1, 10\)"),
        (need_emoprune, "cannot load it(.|\n)*emoprune is kept out of this process"),
    ],
)
def test_a_tampered_export_is_refused(
    halved: Halved, exported: Path, tmp_path: Path, tamper: Callable[[Path], None], complaint: str
) -> None:
    folder = tmp_path / "tampered"
    shutil.copytree(exported, folder)
    tamper(folder)
    with pytest.raises(ContractError, match=complaint):
        verified(halved, folder)


@pytest.mark.parametrize(("difference", "holds"), [(0.5, True), (1.0, True), (2.0, False), (float("nan"), False)])
def test_only_a_small_difference_holds(difference: float, *, holds: bool) -> None:
    assert Verified("onnx", 4, "contiguous", difference, 1.0, (0.0, 0.0), {}, {}).holds is holds
