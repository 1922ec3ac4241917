"""MNIST-like files: found where they may lie, read whole or refused by name."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.data import fashion as fashion_module
from emoprune.problems.networks.data.checking import shared_images
from emoprune.problems.networks.data.fashion import fashion
from emoprune.problems.networks.data.idx import IDX_FILES, holds_idx, idx_data
from emoprune.problems.networks.unpruned.by_name import data_named


def idx(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def contents() -> dict[str, bytes]:
    """Return the four files' contents: 240 training and 60 test images of 5 x 5 pixels in two classes."""
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (count, 5, 5)).astype(np.uint8) for count in (240, 60)]
    labels = [(np.arange(count) % 2).astype(np.uint8) for count in (240, 60)]
    return dict(zip(IDX_FILES, map(idx, (images[0], labels[0], images[1], labels[1])), strict=True))


def write(folder: Path, files: dict[str, bytes], *, zipped: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("zipped", [True, False])
def test_the_official_test_images_stay_the_test_part_and_the_rest_is_cut(tmp_path: Path, zipped: bool) -> None:
    data = idx_data(write(tmp_path, contents(), zipped=zipped))
    assert {name: len(part) for name, part in data.parts.items()} == {
        "train": 200,
        "search": 10,
        "select": 10,
        "test": 60,
    }
    assert data.input_shape == (1, 5, 5)
    assert data.test.labels.tolist() == [0, 1] * 30
    assert not any(shared_images(data).values())


def test_gzipped_and_plain_files_give_the_same_images(tmp_path: Path) -> None:
    first = idx_data(write(tmp_path / "zipped", contents()))
    second = idx_data(write(tmp_path / "plain", contents(), zipped=False))
    assert first.digest() == second.digest()


def test_any_folder_with_the_four_files_can_be_the_data(tmp_path: Path) -> None:
    folder = write(tmp_path / "mine", contents())
    assert holds_idx(folder)
    data = data_named(str(folder), image_size=7, images_per_part=20)
    assert data.input_shape == (1, 7, 7)
    assert [len(part) for part in data.parts.values()] == [20, 10, 10, 20]


def test_fashion_is_found_in_the_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "fashion-mnist", contents())
    monkeypatch.setenv("EMOPRUNE_DATA", str(tmp_path))
    assert fashion().digest() == idx_data(tmp_path / "fashion-mnist").digest()


def test_missing_fashion_images_are_refused_with_the_package_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOPRUNE_DATA", str(tmp_path / "empty"))
    monkeypatch.setattr(fashion_module, "_PACKAGED", tmp_path / "not-installed")
    with pytest.raises(ConfigError, match=r"none of .*empty/fashion-mnist, .*apt-get install dataset-fashion-mnist"):
        fashion()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (IDX_FILES[0], b"", "is not an IDX file of unsigned bytes in 3 dimensions"),
        (IDX_FILES[0], idx(np.zeros(240, dtype=np.uint8)), "is not an IDX file of unsigned bytes in 3 dimensions"),
        (IDX_FILES[0], contents()[IDX_FILES[0]][:-7], r"promises \(240, 5, 5\) numbers, found 5993"),
        (IDX_FILES[1], idx(np.zeros(239, dtype=np.uint8)), "has 240 images, but 239 labels"),
        (IDX_FILES[2], idx(np.zeros((60, 4, 4), dtype=np.uint8)), "training and test images have different sizes"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        idx_data(write(tmp_path, {**contents(), name: content}))


def test_a_file_cut_short_or_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, contents()) / f"{IDX_FILES[1]}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=r"train-labels-idx1-ubyte\.gz cannot be read.*install or download it again"):
        idx_data(tmp_path)
    path.unlink()
    with pytest.raises(ConfigError, match=r"lacks train-labels-idx1-ubyte\.gz"):
        idx_data(tmp_path)
