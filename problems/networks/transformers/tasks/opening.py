"""From options to a task: the model loaded and tried, its data read and dealt out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.labelled import LabelledTexts, labelled_texts
from emoprune.problems.language.loading import LoadedModel, pretrained
from emoprune.problems.language.texts import text_named
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.transformers.anatomy.checking import check_narrowing
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust, Narrower
from emoprune.problems.networks.transformers.anatomy.reloading import check_reloading, made_anew
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy
from emoprune.problems.networks.transformers.cost import CostModel
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch, Parts
from emoprune.problems.networks.transformers.data.sentences import TRAIN, dealt, padded
from emoprune.problems.networks.transformers.data.windows import REST, windows_of, windows_of_parts
from emoprune.problems.networks.transformers.running.checking import check_layers
from emoprune.problems.networks.transformers.standalone.narrowing import unfused
from emoprune.problems.networks.transformers.standalone.pooling import PooledClassifier
from emoprune.problems.networks.transformers.tasks.classes import ClassTask
from emoprune.problems.networks.transformers.tasks.contract import Task
from emoprune.problems.networks.transformers.tasks.language import LanguageTask
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.networks.unpruned.by_name import data_named

__all__ = ["Opened", "language_parts", "opened", "other_batches"]

SPLITS = ("search", "select", "test")
TRIED = 2  # examples that narrowing is tried on
AT_ONCE = 32  # images in a batch


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A task, its model's anatomy and source, batches to train on, and whether a classifier is still to be fitted."""

    task: Task
    anatomy: Anatomy
    loaded: LoadedModel
    train: tuple[Batch, ...]
    unfitted: bool

    def narrower(self, adjust: Adjust | None = None) -> Narrower:
        """Return what cuts models out of the unpruned one."""
        return Narrower(self.task.model, self.anatomy, adjust)

    @property
    def cost_model(self) -> CostModel:
        """Return what counts the costs of plans."""
        return CostModel(self.task.model, self.anatomy, self.task.sized(1, self.task.tokens), self.task.tokens)


def opened(options: TransformerOptions, *, tried: bool = False) -> Opened:
    """Return the task of these options; its model is tried, unless it was already.

    Raises:
        ConfigError: The model or the data cannot be used; it says why.
    """
    opening = {
        "language-modelling": _language,
        "text-classification": _sentences,
        "image-classification": _images,
    }[options.task]
    found = opening(options)
    if not tried:
        _try(found)
    return found


def _try(found: Opened) -> None:
    """Refuse a model that would fail later: narrowed, run layer by layer, or loaded again."""
    model, inputs = found.task.model, _few(found.task.parts["search"][0])
    check_narrowing(model, found.anatomy, inputs)
    check_layers(found.narrower(), inputs)
    check_reloading(model, found.anatomy, partial(made_anew, model.config, found.task.about))


def _few(batch: Batch) -> dict[str, torch.Tensor]:
    return {name: tensor[:TRIED] for name, tensor in batch.inputs.items()}


def _language(options: TransformerOptions) -> Opened:
    loaded = pretrained(options.model, "language-model")
    anatomy = anatomy_of(unfused(loaded.model))
    longest = getattr(loaded.model.config, "max_position_embeddings", None)
    if longest is not None and options.length > longest:
        raise ConfigError(f"length: the model takes at most {longest} tokens, found {options.length}")
    if not isinstance(options.data, str):
        raise ConfigError("data: expected the name of one text, which is dealt out to the parts, found several")
    wanted = {CALIBRATION: options.calibration, **{part: getattr(options, part) for part in SPLITS}}
    parts = language_parts(loaded.tokenizer, options.data, options.length, wanted)
    if options.calibrated_on is not None:
        own = {CALIBRATION: options.calibration}
        other = language_parts(loaded.tokenizer, options.calibrated_on, options.length, own)
        parts[CALIBRATION] = other[CALIBRATION]
    train = (*parts[CALIBRATION], *parts.pop(REST))
    return Opened(LanguageTask(loaded, parts, options.length), anatomy, loaded, train, False)


def language_parts(tokenizer: Any, text: str, length: int, wanted: Mapping[str, int]) -> dict[str, tuple[Batch, ...]]:
    """Return windows of a text by part."""
    return windows_of_parts(windows_of(tokenizer, text_named(text), length, text), wanted, text)


def other_batches(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return batches of other data than the task's own, as many examples as its test part has if there are so many.

    Raises:
        ConfigError: There is no such data, or it has other classes.
    """
    if options.task == "language-modelling":
        windows = windows_of(opened.loaded.tokenizer, text_named(name), options.length, name)
        return windows_of_parts(windows, {"test": min(options.test, len(windows))}, name)["test"]
    if options.task == "image-classification":
        size = None if ":" in name else int(opened.loaded.model.config.image_size)
        return _image_batches(data_named(name, image_size=size).test)
    rows = labelled_texts(name)
    known = opened.task.about["labels"]
    if not set(rows.names) <= set(known):
        raise ConfigError(f"data: {name!r} has classes {list(rows.names)}, expected some of {known}")
    numbered = np.array([known.index(word) for word in rows.names])[rows.labels]
    return padded(opened.loaded.tokenizer, LabelledTexts(rows.texts, numbered, tuple(known)), options.length)


def _sentences(options: TransformerOptions) -> Opened:
    loaded = pretrained(options.model, "text-classifier")
    if loaded.missing:  # never trained as a classifier: one is fitted on the encoder's features
        loaded = pretrained(options.model, "encoder")
    if loaded.tokenizer is None:
        raise ConfigError(f"model: the folder {options.model!r} has no tokenizer; put the model's own into it")
    rows = _rows(options)
    names = rows["search"].names
    parts = {part: padded(loaded.tokenizer, own, options.length) for part, own in rows.items()}
    few = np.unique(np.linspace(0, len(rows[TRAIN]) - 1, min(options.calibration, len(rows[TRAIN]))).astype(np.int64))
    parts[CALIBRATION] = padded(loaded.tokenizer, rows[TRAIN].rows(few), options.length)
    return _classifier(options, loaded, parts, tokens=options.length, classes=len(names), about={"labels": list(names)})


def _rows(options: TransformerOptions) -> dict[str, LabelledTexts]:
    if isinstance(options.data, str):
        rows = labelled_texts(options.data)
        return {part: rows.rows(own) for part, own in dealt(rows, options.data).items()}
    wanted = {TRAIN, *SPLITS}
    if set(options.data) != wanted:
        raise ConfigError(f"data: expected one file, or a file for each of {', '.join(sorted(wanted))}")
    rows_by_part = {part: labelled_texts(name) for part, name in options.data.items()}
    names = {own.names for own in rows_by_part.values()}
    if len(names) > 1:
        raise ConfigError(f"data: expected the same classes in every part, found {sorted(names)}")
    return rows_by_part


def _images(options: TransformerOptions) -> Opened:
    if not isinstance(options.data, str):
        raise ConfigError("data: expected the name of one set of images, found several")
    loaded = pretrained(options.model, "image-classifier")
    config = loaded.model.config
    unsaid = [
        name
        for name in ("image_size", "patch_size", "num_channels")
        if not isinstance(getattr(config, name, None), int)
    ]
    if unsaid:
        raise ConfigError(
            f"model: the config of {type(loaded.model).__name__} says no {' and no '.join(unsaid)}; expected a vision "
            "transformer that cuts square images of one size into square patches"
        )
    data = data_named(options.data, image_size=None if ":" in options.data else int(config.image_size))
    if data.input_shape[1:] != (config.image_size,) * 2:
        raise ConfigError(f"data: expected images of {config.image_size} pixels both ways, found {data.input_shape}")
    if data.input_shape[0] != config.num_channels:
        raise ConfigError(f"data: expected images of {config.num_channels} channels, found {data.input_shape[0]}")
    classes = data.highest_label + 1
    parts = {part: _image_batches(own) for part, own in data.parts.items()}
    parts[CALIBRATION] = _image_batches(data.train.evenly(options.calibration))
    patches = (int(config.image_size) // int(config.patch_size)) ** 2 + 1
    if loaded.missing or int(config.num_labels) < classes:
        loaded = pretrained(options.model, "encoder")
        loaded = LoadedModel(loaded.model, loaded.tokenizer, loaded.source, ("classifier",))
    return _classifier(options, loaded, parts, tokens=patches, classes=classes, about={})


def _image_batches(part: LabelledImages) -> tuple[Batch, ...]:
    images, labels = torch.from_numpy(part.images.copy()), torch.from_numpy(part.labels.copy())
    pieces = zip(torch.split(images, AT_ONCE), torch.split(labels, AT_ONCE), strict=True)
    return tuple(Batch({"pixel_values": own}, truth) for own, truth in pieces)


def _classifier(
    options: TransformerOptions,
    loaded: LoadedModel,
    parts: dict[str, tuple[Batch, ...]],
    *,
    tokens: int,
    classes: int,
    about: Mapping[str, Any],
) -> Opened:
    headed = "For" in type(loaded.model).__name__
    known = int(loaded.model.config.num_labels)
    if headed and known < classes:
        raise ConfigError(f"model: its classifier knows {known} classes, the data has {classes}")
    factory = f"AutoModelFor{'Image' if options.task == 'image-classification' else 'Sequence'}Classification"
    model: Any = loaded.model if headed else PooledClassifier(loaded.model, classes)
    facts = {"task": options.task, "factory": factory if headed else "AutoModel", "classifier": classes, **about}
    anatomy = anatomy_of(unfused(model))
    held: Parts = {part: own for part, own in parts.items() if part != TRAIN}
    return Opened(ClassTask(model, held, tokens, facts), anatomy, loaded, parts[TRAIN], not headed)
