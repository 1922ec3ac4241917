"""Folders of images by class: read as they lie, or refused with the file that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.checking import shared_images
from emoprune.problems.networks.data.image_folder import image_folder
from emoprune.problems.networks.unpruned.by_name import data_named


def draw(path: Path, seed: int, mode: str = "L", size: tuple[int, int] = (6, 4)) -> Path:
    """Write noise of `size` (width, height)."""
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)).save(path)
    return path


def fill(folder: Path, count: int, seed: int, mode: str = "L", suffix: str = "png") -> Path:
    """Write so many images of cats and of dogs."""
    for number in range(count):
        for offset, name in enumerate(("dog", "cat")):  # not in order, to see that names are sorted
            draw(folder / name / f"{number:03}.{suffix}", 1000 * seed + 2 * number + offset, mode)
    return folder


def test_classes_are_numbered_by_sorted_name_and_pixels_go_from_zero_to_one(tmp_path: Path) -> None:
    data = image_folder(fill(tmp_path, 20, 1))
    assert data.input_shape == (1, 4, 6)
    assert sum(len(part) for part in data.parts.values()) == 40
    first = np.asarray(Image.open(tmp_path / "cat" / "000.png"), dtype=np.float32) / 255
    places = [
        int(part.labels[row])
        for part in data.parts.values()
        for row in range(len(part))
        if np.array_equal(part.images[row, 0], first)
    ]
    assert places == [0]
    assert any("divided by 255" in note for note in data.notes)
    assert any("no test part" in note for note in data.notes)


def test_parts_in_folders_of_their_own_are_kept_and_validation_is_halved(tmp_path: Path) -> None:
    for seed, (name, count) in enumerate({"train": 8, "val": 5, "test": 3}.items()):
        fill(tmp_path / name, count, seed)
    data = data_named(str(tmp_path))
    assert {name: len(part) for name, part in data.parts.items()} == {"train": 16, "search": 5, "select": 5, "test": 6}
    assert data.train.labels.tolist() == [0] * 8 + [1] * 8
    assert not any(shared_images(data).values())


def test_a_training_folder_alone_gives_the_other_parts(tmp_path: Path) -> None:
    data = image_folder(fill(tmp_path / "train", 10, 1).parent)
    assert [len(part) for part in data.parts.values()] == [12, 2, 2, 4]


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg", "JPG"])
def test_colour_images_keep_their_three_channels(tmp_path: Path, suffix: str) -> None:
    data = image_folder(fill(tmp_path, 8, 1, "RGB", suffix))
    assert data.input_shape == (3, 4, 6)
    if suffix == "png":
        pixels = np.asarray(Image.open(tmp_path / "cat" / "000.png"), dtype=np.float32).transpose(2, 0, 1) / 255
        assert any(np.array_equal(image, pixels) for part in data.parts.values() for image in part.images)


def test_grey_images_among_coloured_ones_are_coloured_too(tmp_path: Path) -> None:
    fill(tmp_path, 8, 1, "RGB")
    draw(tmp_path / "cat" / "grey.png", 99)
    assert image_folder(tmp_path).input_shape == (3, 4, 6)


def test_images_of_several_sizes_are_refused_by_name_or_resized(tmp_path: Path) -> None:
    fill(tmp_path, 8, 1)
    draw(tmp_path / "dog" / "wide.png", 99, size=(9, 4))
    with pytest.raises(ConfigError, match=r"several sizes.*000\.png has \(6, 4\).*wide\.png \(9, 4\).*image_size"):
        image_folder(tmp_path)
    assert image_folder(tmp_path, image_size=5).input_shape == (1, 5, 5)


def test_only_as_many_files_are_read_as_are_asked_for_of_every_class(tmp_path: Path) -> None:
    fill(tmp_path / "train", 10, 1)
    fill(tmp_path / "val", 10, 2)
    fill(tmp_path / "test", 10, 3)
    data = image_folder(tmp_path, images_per_part=6)
    assert [len(part) for part in data.parts.values()] == [6, 3, 3, 6]
    assert np.bincount(data.train.labels).tolist() == [3, 3]


@pytest.mark.parametrize("damage", ["text", "cut"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, damage: str) -> None:
    path = draw(fill(tmp_path, 8, 1) / "dog" / "broken.png", 99, size=(60, 40))
    path.write_bytes(b"not an image" if damage == "text" else path.read_bytes()[:-700])
    with pytest.raises(ConfigError, match=r"dog/broken\.png cannot be read as an image.*remove or replace it"):
        image_folder(tmp_path, image_size=6)


def test_images_of_sixteen_bits_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    fill(tmp_path, 8, 1)
    Image.fromarray(np.full((4, 6), 60_000, dtype=np.uint16)).save(tmp_path / "cat" / "deep.png")
    with pytest.raises(ConfigError, match=r"deep\.png has the mode 'I;16'; expected 8 bits per channel"):
        image_folder(tmp_path)


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "only" / "a.png", 1)
    draw(tmp_path / ".hidden" / "a.png", 1)
    with pytest.raises(ConfigError, match=r"holds 1 folders; expected one for each of at least two classes"):
        image_folder(tmp_path)


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    (fill(tmp_path, 8, 1) / "bird").mkdir()
    with pytest.raises(ConfigError, match=r"bird holds no png, jpg or bmp file"):
        image_folder(tmp_path)


def test_a_class_that_training_does_not_know_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "train", 8, 1)
    draw(fill(tmp_path / "test", 4, 2) / "horse" / "a.png", 99)
    with pytest.raises(ConfigError, match=r"test has a class 'horse' that the training images do not have"):
        image_folder(tmp_path)


def test_a_class_may_be_missing_from_the_test_images(tmp_path: Path) -> None:
    for name in ("bird", "cat", "dog"):
        for number in range(8):
            draw(tmp_path / "train" / name / f"{number}.png", 10 * number + ord(name[0]))
    fill(tmp_path / "test", 4, 2)
    assert set(image_folder(tmp_path).test.labels.tolist()) == {1, 2}
