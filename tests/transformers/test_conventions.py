"""The conventions of a model's folder: how its texts begin, how they are padded, how its images are prepared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from classifiers_for_tests import fitted_head, logits_of, sentence_classifier, sentences, written_rows
from language_for_tests import SPECIAL, drawn, llama, saved, text, tokenizer
from transformers_for_tests import IMAGES, SIZES

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.transformers.data.windows import beginning_of, windows_of
from emoprune.problems.networks.transformers.tasks.opening import opened, other_batches
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions

BOS, EOS, PAD = (SPECIAL.index(token) for token in ("<s>", "</s>", "<pad>"))
FEW: dict[str, Any] = {"length": 12, "calibration": 4, "search": 4, "select": 4, "test": 4}


def beginning_tokenizer() -> Any:
    """Return the tokenizer of words as those are that put a token before every text and one behind it."""
    from tokenizers.processors import TemplateProcessing

    made = tokenizer()
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return made


def test_every_window_begins_as_the_tokenizer_begins_a_text(tmp_path: Path) -> None:
    place = saved(tmp_path / "model", llama(), with_tokenizer=False)
    beginning_tokenizer().save_pretrained(place)
    (tmp_path / "words.txt").write_text(text(400))
    options = TransformerOptions(model=str(place), data=str(tmp_path / "words.txt"), **FEW)
    found = opened(options)
    for part in found.task.parts.values():
        for batch in part:
            ids = batch.inputs["input_ids"]
            assert ids.shape[1] == 12
            assert (ids[:, 0] == BOS).all()
            assert not torch.isin(ids[:, 1:], torch.tensor([BOS, EOS])).any()
    other = other_batches(found, options, str(tmp_path / "words.txt"))
    assert all((batch.inputs["input_ids"][:, 0] == BOS).all() for batch in other)
    before = TransformerOptions(model=str(place), data=options.data, own_conventions=False, **FEW)
    assert not any((batch.inputs["input_ids"] == BOS).any() for batch in opened(before).task.parts["search"])


def test_no_token_of_a_text_is_lost_to_the_beginning_of_a_window() -> None:
    own = beginning_tokenizer()
    windows = windows_of(own, text(45), 12, "words", (beginning_of(own), []))
    assert windows.shape == (4, 12)
    assert windows[:, 1:].flatten().tolist() == tokenizer()(text(45)).input_ids[:44]
    assert beginning_of(tokenizer()) == []
    with pytest.raises(ConfigError, match="length: expected more than the 1 tokens put around a window, found 1"):
        windows_of(own, text(45), 1, "words", (beginning_of(own), []))


def decoder(place: Path, own: Any, **config: Any) -> Path:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    shape = {**SIZES, "num_key_value_heads": 2, "max_position_embeddings": 64, **config}
    saved(place, drawn(LlamaForSequenceClassification, LlamaConfig(**shape)), with_tokenizer=False)
    own.save_pretrained(place)
    return place


def padded_on(place: Path, side: str) -> None:
    path = place / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "padding_side": side}))


def classification(model: Path, place: Path) -> TransformerOptions:
    data = written_rows(place / "rows.tsv", sentences(60), ["0", "1"])
    return TransformerOptions(model=str(model), data=str(data), task="text-classification", length=16, calibration=8)


def test_a_classifier_without_a_pad_token_is_refused_by_what_is_missing(tmp_path: Path) -> None:
    own = tokenizer()
    own.pad_token = None
    place = decoder(tmp_path / "model", own)
    with pytest.raises(
        ConfigError, match=r"names a pad token, and LlamaForSequenceClassification .*'</s>'.* into both"
    ):
        opened(classification(place, tmp_path))


def test_the_pad_token_is_the_config_s_and_the_side_the_tokenizer_s(tmp_path: Path) -> None:
    place = decoder(tmp_path / "model", tokenizer(), pad_token_id=EOS)
    padded_on(place, "left")
    found = opened(classification(place, tmp_path))
    batch = found.task.parts["search"][0]
    padded = batch.inputs["attention_mask"] == 0
    assert padded[:, 0].any()
    assert not padded[:, -1].any()
    assert (batch.inputs["input_ids"][padded] == EOS).all()


def test_sentences_longer_than_the_model_has_positions_for_are_refused_with_what_to_set(tmp_path: Path) -> None:
    model = sentence_classifier(tmp_path / "model")
    long = [(" ".join([sentence] * 15), label) for sentence, label in sentences(40)]
    data = written_rows(tmp_path / "rows.tsv", long, ["no", "yes"])
    options = {"model": str(model), "task": "text-classification", "data": str(data), "calibration": 8}
    with pytest.raises(ConfigError, match=r"length: the model has positions for 64 tokens, found texts of \d+; set"):
        opened(TransformerOptions(**options, length=128))
    assert opened(TransformerOptions(**options, length=64))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_sentence_is_judged_as_it_is_by_itself(side: str, tmp_path: Path) -> None:
    place = decoder(tmp_path / "model", tokenizer())  # its config names no pad token, its tokenizer does
    padded_on(place, side)
    found = opened(classification(place, tmp_path))
    assert found.loaded.model.config.pad_token_id == PAD
    batch = found.task.parts["search"][0]
    together = found.task.outputs(found.task.model, batch).detach()
    for row in range(3):
        alone = batch.inputs["input_ids"][row][batch.inputs["attention_mask"][row] == 1][None]
        assert torch.allclose(logits_alone(found.task.model, alone), together[row], atol=1e-4)


def logits_alone(model: Any, ids: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(logits_of(model, input_ids=ids, attention_mask=torch.ones_like(ids)))[0]


Normalise = Callable[[torch.Tensor], torch.Tensor]


def vit(place: Path, normalise: Normalise, processor: Any, channels: int = 1, size: int = 8) -> Any:
    """Write a ViT that was fitted to digits which `normalise` had prepared, and a processor beside it."""
    from transformers import ViTConfig, ViTForImageClassification

    shape = {name: own for name, own in SIZES.items() if name != "vocab_size"}
    own = {**IMAGES, "image_size": size, "num_channels": channels, "num_labels": 10}
    model = drawn(ViTForImageClassification, ViTConfig(**shape, **own))
    train = digits().train
    images = torch.from_numpy(train.images).expand(-1, channels, -1, -1)
    fitted_head(model, {"pixel_values": normalise(images)}, torch.from_numpy(train.labels))
    saved(place, model, with_tokenizer=False)
    if processor is not None:
        processor.save_pretrained(place)
    return model


def processor_of(**more: Any) -> Any:
    from transformers import AutoImageProcessor, ViTImageProcessor

    assert AutoImageProcessor is not None
    return ViTImageProcessor(**{"size": {"height": 8, "width": 8}, "image_mean": [0.5], "image_std": [0.15], **more})


def images_of(place: Path, data: str = "digits", **more: Any) -> TransformerOptions:
    return TransformerOptions(model=str(place), data=data, task="image-classification", calibration=16, **more)


def errors(model: Any, images: torch.Tensor, labels: np.ndarray[Any, Any]) -> float:
    return float((logits_of(model, pixel_values=images).argmax(axis=1) != labels).mean())


def normalised(images: torch.Tensor) -> torch.Tensor:
    return (images - 0.5) / 0.15


@pytest.mark.parametrize(("channels", "means"), [(1, 1), (1, 3), (3, 3)])
def test_images_are_prepared_as_the_model_s_own_processor_prepares_them(
    channels: int, means: int, tmp_path: Path
) -> None:
    own = {"image_mean": [0.5] * means, "image_std": [0.15] * means}
    model = vit(tmp_path, normalised, processor_of(**own), channels)
    search = digits().search
    images = torch.from_numpy(search.images).expand(-1, channels, -1, -1)
    truth = errors(model, normalised(images), search.labels)
    found = opened(images_of(tmp_path))
    seen = torch.cat([batch.inputs["pixel_values"] for batch in found.task.parts["search"]])
    assert torch.allclose(seen, normalised(images), atol=1e-5)
    assert found.task.tried(found.task.parts["search"]).error == truth < 0.4
    if channels == 1:
        unprepared = opened(images_of(tmp_path, own_conventions=False)).task
        assert unprepared.tried(unprepared.parts["search"]).error > truth + 0.2


def test_a_processor_below_that_of_texts_and_images_is_found_and_one_of_other_sizes_resizes(tmp_path: Path) -> None:
    own = processor_of(size={"height": 12, "width": 12}, resample=0).to_dict()
    vit(tmp_path, lambda images: torch.nn.functional.interpolate(images, 12), None, size=12)
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": own}))
    found = opened(images_of(tmp_path))
    seen = found.task.parts["search"][0].inputs["pixel_values"]
    first = torch.nn.functional.interpolate(torch.from_numpy(digits().search.images[:32] * 255).round() / 255, 12)
    assert seen.shape[1:] == (1, 12, 12)
    assert seen.min() >= (0 - 0.5) / 0.15 - 1e-4
    assert float((seen - normalised(first)).abs().mean()) < 1.0  # Pillow's nearest pixel is not quite torch's


def test_folders_of_images_are_read_at_their_own_sizes_and_their_names_are_the_classes(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for name, grey in (("light", 220), ("dark", 30)):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(30):
            size = (8 + number % 3, 10 + number % 2)
            pixels = (grey + rng.integers(-20, 20, size)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    vit(tmp_path / "model", normalised, processor_of(do_rescale=False, image_mean=[100.0], image_std=[50.0]))
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    names = ["light", *(f"other {number}" for number in range(8)), "dark"]
    config |= {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    path.write_text(json.dumps(config))
    found = opened(images_of(tmp_path / "model", str(tmp_path / "pictures")))
    for batch in found.task.parts["search"]:
        brightness = batch.inputs["pixel_values"].mean(dim=(1, 2, 3))
        assert torch.equal(batch.labels, torch.where(brightness > 0, 0, 9))
        assert brightness.abs().min() > 1.0  # (220 - 100) / 50 and (30 - 100) / 50
    assert found.task.about["labels"] == names


def test_images_that_were_prepared_by_their_own_function_are_left_as_they_are_and_that_is_said(tmp_path: Path) -> None:
    vit(tmp_path, normalised, processor_of())
    found = opened(images_of(tmp_path, "conventions_for_tests:prepared_digits"))
    assert "taken as prepared" in found.notes[0]
    assert found.task.tried(found.task.parts["search"]).error < 0.4
    raw = opened(images_of(tmp_path, "conventions_for_tests:raw_digits"))
    assert raw.notes == ()
    assert raw.task.tried(raw.task.parts["search"]).error < 0.4
    bright = opened(images_of(tmp_path, "conventions_for_tests:bright_digits"))
    assert bright.notes == ()
    wanted, found = (own.task.parts["search"][0].inputs["pixel_values"] for own in (raw, bright))
    assert torch.allclose(wanted, found, atol=1e-5)


def test_pixels_that_no_convention_has_are_refused_with_what_was_found(tmp_path: Path) -> None:
    vit(tmp_path, normalised, processor_of())
    with pytest.raises(ConfigError, match=r"expected pixels from 0 to 1 or from 0 to 255.*found 0 to 16\. Return"):
        opened(images_of(tmp_path, "conventions_for_tests:digits_to_16"))


def test_a_processor_that_cannot_prepare_the_images_is_refused_with_a_way_out(tmp_path: Path) -> None:
    vit(tmp_path, normalised, processor_of(image_mean=[0.5, 0.4, 0.3], image_std=[0.15] * 3))
    with pytest.raises(ConfigError, match=r"its image processor cannot prepare images .*own_conventions: false"):
        opened(images_of(tmp_path))
