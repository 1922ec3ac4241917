"""A user's own data: every form in which torch's users keep it, read once, or refused in one clear paragraph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.given import given_data
from emoprune.problems.networks.data.images import ImageData, LabelledImages

COUNT = 24


def tensors(seed: int = 0, count: int = COUNT) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 2, 4, 5)).astype(np.float32))
    return images, torch.arange(count) % 3


class Items(Dataset[tuple[object, object]]):
    """Images and labels of any kind, one by one, counting how often each is read."""

    def __init__(self, images: Any, labels: Any) -> None:
        self.images, self.labels, self.reads = images, labels, 0

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> tuple[object, object]:
        self.reads += 1
        return self.images[row], self.labels[row]


class Stream(IterableDataset[tuple[torch.Tensor, int]]):
    """Images and labels one after the other, without a length."""

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        images, labels = tensors()
        yield from zip(images, labels.tolist(), strict=True)


def parts(train: object) -> dict[str, object]:
    """Return `train` beside three parts of plain tensors."""
    return {"train": train, **{name: tensors(seed) for seed, name in enumerate(("search", "select", "test"), start=1)}}


FORMS: dict[str, Callable[[], object]] = {
    "tensors": tensors,
    "arrays": lambda: tuple(tensor.numpy() for tensor in tensors()),
    "doubles": lambda: (tensors()[0].double(), tensors()[1].to(torch.int16)),
    "list": lambda: list(tensors()),
    "tensor dataset": lambda: TensorDataset(*tensors()),
    "dataset of integers": lambda: Items(tensors()[0], tensors()[1].tolist()),
    "dataset of arrays": lambda: Items(tensors()[0].numpy(), tensors()[1].numpy()),
    "loader": lambda: DataLoader(TensorDataset(*tensors()), batch_size=7),
    "loader without batches": lambda: DataLoader(TensorDataset(*tensors()), batch_size=1),
    "stream": Stream,
    "loader of a stream": lambda: DataLoader(Stream(), batch_size=5),
    "labelled images": lambda: LabelledImages(tensors()[0].numpy(), tensors()[1].numpy()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_part_gives_the_same_arrays(form: str) -> None:
    data = given_data(parts(FORMS[form]()), "mine:data")
    assert np.array_equal(data.train.images, tensors()[0].numpy())
    assert data.train.labels.tolist() == tensors()[1].tolist()
    assert data.train.images.dtype == np.float32
    assert data.notes == ()


def test_named_parts_go_where_their_names_say() -> None:
    data = given_data(parts(tensors()), "mine:data")
    for seed, part in enumerate(data.parts.values()):
        assert np.array_equal(part.images, tensors(seed)[0].numpy())


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_validation_images_are_halved_into_search_and_select(name: str) -> None:
    data = given_data({"train": tensors(1), name: tensors(2), "test": tensors(3)}, "mine:data")
    assert [len(part) for part in data.parts.values()] == [COUNT, COUNT // 2, COUNT // 2, COUNT]
    assert np.array_equal(data.train.images, tensors(1)[0].numpy())


def test_two_loaders_are_training_and_test_images() -> None:
    loaders = tuple(DataLoader(TensorDataset(*tensors(seed, 40)), batch_size=8) for seed in (1, 2))
    data = given_data(loaders, "mine:loaders")
    assert np.array_equal(data.test.images, tensors(2, 40)[0].numpy())
    assert [len(part) for part in data.parts.values()] == [32, 4, 4, 40]
    assert any("no validation part" in note for note in data.notes)


@pytest.mark.parametrize("count", [3, 4])
def test_a_tuple_names_its_parts_by_their_order(count: int) -> None:
    data = given_data(tuple(tensors(seed) for seed in range(count)), "mine:data")
    assert np.array_equal(data.train.images, tensors(0)[0].numpy())
    assert np.array_equal(data.test.images, tensors(count - 1)[0].numpy())


def test_image_data_is_taken_as_it_is() -> None:
    data = given_data(parts(tensors()), "mine:data")
    assert given_data(data, "mine:data").digest() == data.digest()


# only as many images as asked for


def test_a_loader_is_read_no_further_than_asked() -> None:
    items = Items(*tensors())
    data = given_data(parts(DataLoader(items, batch_size=4)), "mine:data", images_per_part=10)
    assert [len(part) for part in data.parts.values()] == [10, 10, 10, 10]
    assert items.reads == 12
    assert np.array_equal(data.train.images, tensors()[0][:10].numpy())


def test_a_data_set_gives_an_even_spread_and_reads_nothing_else() -> None:
    items = Items(*tensors())
    data = given_data(parts(items), "mine:data", images_per_part=6)
    assert items.reads == 6
    assert np.array_equal(data.train.images, tensors()[0][::4].numpy())


# pixels of other kinds


def test_bytes_are_divided_by_255_and_a_note_says_so() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (COUNT, 3, 4, 4)).astype(np.uint8)
    made = {"train": (pixels, tensors()[1]), "test": (pixels[::-1].copy(), tensors()[1])}
    data = given_data(made, "mine:data")
    assert np.array_equal(data.test.images, pixels[::-1].astype(np.float32) / np.float32(255))
    assert data.notes[0] == "pixels came as bytes from 0 to 255 and were divided by 255"
    assert len(data.notes) == len(set(data.notes))


def test_channels_that_come_last_are_moved_to_the_front() -> None:
    images, labels = np.random.default_rng(1).normal(size=(COUNT, 3, 6, 5)).astype(np.float32), tensors()[1]
    data = given_data({"train": (images, labels), "test": (images.transpose(0, 2, 3, 1), labels)}, "mine:data")
    assert np.array_equal(data.test.images, images)
    assert any("moved to the front" in note for note in data.notes)


def test_images_without_channels_are_grey() -> None:
    images, labels = tensors()
    data = given_data({"train": (images[:, 0], labels), "test": (images[:, 1], labels)}, "mine:data")
    assert np.array_equal(data.test.images, images[:, 1:].numpy())


def test_pillow_images_of_a_data_set_are_read() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (COUNT, 4, 5, 3)).astype(np.uint8)
    items = Items([Image.fromarray(each) for each in pixels], tensors()[1])
    data = given_data({"train": items, "test": items}, "mine:data")
    assert np.array_equal(data.test.images, pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))


# mistakes


def spoilt(place: tuple[int, ...], value: float) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = tensors()
    images[place] = value
    return images, labels


@pytest.mark.parametrize(
    ("train", "complaint"),
    [
        (spoilt((3, 0, 0, 0), float("nan")), "train: images hold NaN or infinities"),
        ((tensors()[0].double() * 1e300, tensors()[1]), "train: images hold NaN or infinities"),
        ((tensors()[0], tensors()[1].float()), "train: expected whole numbers as labels, found float32"),
        ((tensors()[0], tensors()[1] - 1), "train: expected labels from 0, found -1"),
        ((tensors()[0], tensors()[1][:5]), r"one label for each of 24 images, shape \(24,\), found \(5,\)"),
        ((tensors()[0], torch.eye(3, dtype=torch.int64)[tensors()[1]]), r"found \(24, 3\); turn one-hot rows"),
        ((tensors()[0][0, 0], tensors()[1][:4]), r"expected images of shape \(n, channels, height, width\), found"),
        ((tensors()[0].long(), tensors()[1]), "expected images as floats, or as bytes.*found int64"),
        ((tensors()[0], ["cat"] * COUNT), "expected the labels of train as a torch tensor.*found list"),
        (Items(tensors()[0], ["cat"] * COUNT), "expected each label as a whole number, found str 'cat'"),
        (Items([*tensors()[0][:5], torch.zeros(2, 9, 9)], [0, 1] * 3), "number 0 has shape .* number 5"),
        (Items([object()] * 4, [0, 1] * 2), "expected each image of train as a torch tensor.*found object"),
        (Items([], []), "train yields no image at all"),
        (DataLoader(TensorDataset(tensors()[0])), "expected pairs of images and labels, found a list of 1"),
        (DataLoader(TensorDataset(*tensors(), tensors()[1])), "expected pairs.*found a list of 3"),
        (tensors()[0], "train: expected a torch DataLoader or Dataset.*found Tensor"),
        ("folder", "train: expected a torch DataLoader or Dataset.*found str"),
    ],
)
def test_a_part_that_cannot_be_used_is_refused_by_name(train: object, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        given_data(parts(train), "mine:data")


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        ("folder", "expected 'mine:data' to return an ImageData; a mapping .*found a str"),
        (None, "found a NoneType"),
        ((tensors(),), "found a tuple of 1"),
        ({"train": tensors(), "holdout": tensors()}, r"found a mapping with \['holdout', 'train'\]"),
        ({"search": tensors(), "test": tensors()}, r"found a mapping with \['search', 'test'\]"),
        (tensors(), "train: expected a torch DataLoader or Dataset.*found Tensor"),
    ],
)
def test_something_else_than_parts_is_refused_with_what_was_expected(made: object, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        given_data(made, "mine:data")


def test_parts_of_different_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected images of one shape in all parts"):
        given_data({"train": tensors(), "test": (tensors()[0][:, :, :3], tensors()[1])}, "mine:data")


def test_what_is_returned_is_image_data() -> None:
    assert isinstance(given_data(parts(tensors()), "mine:data"), ImageData)
