"""A pruned network as a program: torch's own and ONNX, for any batch size, without anything of this computer in it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from exports_for_tests import TEST, Halved, halved_own, halved_zoo, places_of_this_computer
from torch import Tensor, nn
from zoo_for_tests import SOUND

from emoprune.contracts import Description
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.evaluation.scoring import LoadedImages, outputs_of
from emoprune.problems.networks.export.verify import TOLERANCES, verify

BOTH = ("torch-export", "onnx")


@pytest.fixture(scope="module")
def halved() -> Halved:
    return halved_zoo("vgg")


@pytest.fixture(scope="module")
def exported(halved: Halved, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Description]:
    folder = tmp_path_factory.mktemp("exports") / "7"
    return folder, halved.export(folder, BOTH)


def test_only_what_was_asked_for_is_written(exported: tuple[Path, Description]) -> None:
    names = {path.name for path in exported[0].iterdir()}
    assert names == {"model.pt2", "model.onnx", "config.json", "verify.json", "README.md"}


def test_both_are_the_evaluated_network_in_a_fresh_process(exported: tuple[Path, Description]) -> None:
    said = exported[1]
    for name in BOTH:
        assert float(said[f"{name} max abs difference"]) <= float(said[f"{name} allowed difference"])
        assert float(said[f"{name} allowed difference"]) == pytest.approx(TOLERANCES[name])
        assert float(said[f"{name} milliseconds, batch of 64"]) > 0
        assert float(said[f"{name} milliseconds, batch of 64 unpruned"]) > 0


def test_the_program_takes_batches_of_any_size(halved: Halved, exported: tuple[Path, Description]) -> None:
    program = torch.export.load(exported[0] / "model.pt2").module()
    for count in (1, 5):
        images = TEST.batches[0][:count]
        torch.testing.assert_close(program(images), halved.pruned(images))


def test_the_onnx_graph_is_valid_and_names_its_input_output_and_free_batch(
    halved: Halved, exported: tuple[Path, Description]
) -> None:
    onnx, onnxruntime = (
        pytest.importorskip(name, reason="ONNX comes with an extra") for name in ("onnx", "onnxruntime")
    )
    model = onnx.load(exported[0] / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(str(exported[0] / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape) for each in session.get_inputs()] == [("images", ["batch", 1, 28, 28])]
    assert [(each.name, each.shape) for each in session.get_outputs()] == [("outputs", ["batch", 10])]
    for count in (1, 5):
        images = TEST.batches[0][:count]
        (found,) = session.run(None, {"images": images.numpy()})
        np.testing.assert_allclose(found, halved.pruned(images).numpy(), atol=1e-5)


def test_the_card_says_how_to_load_either(exported: tuple[Path, Description]) -> None:
    card = (exported[0] / "README.md").read_text(encoding="utf-8")
    assert 'torch.export.load("model.pt2").module()' in card
    assert 'session.run(None, {"images": images})[0]' in card
    assert "onnxruntime " in card
    assert "load_network" not in card


def test_no_folder_of_this_computer_is_named(exported: tuple[Path, Description]) -> None:
    contents = {path.name: path.read_bytes() for path in exported[0].iterdir()}
    with zipfile.ZipFile(io.BytesIO(contents.pop("model.pt2"))) as archive:
        contents |= {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name, content in contents.items() if any(at in content for at in places_of_this_computer())]


def test_a_program_cut_short_is_refused(halved: Halved, exported: tuple[Path, Description], tmp_path: Path) -> None:
    content = (exported[0] / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[: len(content) // 2])
    outputs = outputs_of(halved.pruned, TEST)
    with pytest.raises(ContractError, match="a fresh process without emoprune cannot load it"):
        verify((tmp_path, tmp_path), (outputs, outputs), TEST, ["onnx"])


def test_it_is_written_silently(halved: Halved, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    halved.export(tmp_path, BOTH, verify=False)
    assert capfd.readouterr() == ("", "")


class Flow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.head = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        if bool(features.sum() > 0):
            features = features * 2
        return self.head(features.mean((2, 3)))


class Measuring(Flow):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).mean((2, 3)).view(len(images), -1))


@pytest.mark.parametrize(("kind", "reason"), [(Flow, "data-dependent"), (Measuring, "specialized it to be a constant")])
def test_a_network_that_torch_cannot_follow_is_refused_with_a_way_out(
    kind: type[nn.Module], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"network into a program.*{reason}.*--format safetensors alone, or"):
        halved_own(kind()).export(tmp_path / "7", ["torch-export"], verify=False)


class Viewing(nn.Module):
    """Flattens by `view`, which takes contiguous tensors alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4 * 8 * 8, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).relu().view(images.size(0), -1))


class Flattening(Viewing):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.flatten(self.conv(images).relu(), 1))


@pytest.mark.parametrize(
    ("kind", "layouts"),
    [(Viewing, ["contiguous", "contiguous"]), (Flattening, ["channels-last", "channels-last"])],
)
def test_coloured_images_are_taken_as_they_usually_lie(
    kind: type[nn.Module], layouts: list[str], tmp_path: Path
) -> None:
    images = torch.randn((5, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    test = LoadedImages((images,), torch.arange(5))
    halved_own(kind(), test).export(tmp_path, ["safetensors", "torch-export"], test=test)
    verified = json.loads((tmp_path / "verify.json").read_text(encoding="utf-8"))
    assert [verified[form]["layout"] for form in ("safetensors", "torch-export")] == layouts


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SOUND)
def test_every_network_of_the_zoo_is_the_same_in_every_format(name: str, tmp_path: Path) -> None:
    said = halved_zoo(name).export(tmp_path, ["safetensors", *BOTH])
    for form in ("safetensors", *BOTH):
        assert float(said[f"{form} max abs difference"]) <= float(said[f"{form} allowed difference"])
