"""A classifier's head: the model's own if it was trained for the task, or one that is fitted on its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import Kind, LoadedModel, pretrained
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.data.batches import Batch, Parts
from emoprune.problems.networks.transformers.data.sentences import TRAIN
from emoprune.problems.networks.transformers.standalone.pooling import PooledClassifier
from emoprune.problems.networks.transformers.tasks.classes import ClassTask
from emoprune.problems.networks.transformers.tasks.labels import Classes, classes_in_order, classes_of, named_alike
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions

__all__ = ["FoundClassifier", "classifier_of", "opened_classifier", "trained_head"]

HeadKind = Literal["text-classifier", "image-classifier"]
_HEADS: Mapping[HeadKind, str] = MappingProxyType(
    {"text-classifier": "ForSequenceClassification", "image-classifier": "ForImageClassification"}
)


@dataclass(frozen=True, slots=True, eq=False)
class FoundClassifier:
    """A loaded model, whether its own classifier is taken, its classes, and what a person should know of that."""

    loaded: LoadedModel
    own: bool
    classes: Classes
    notes: tuple[str, ...] = ()


def classifier_of(options: TransformerOptions, kind: HeadKind, words: Sequence[str]) -> FoundClassifier:
    """Load a model for telling `words` apart, which are the data's classes in their order.

    Raises:
        ConfigError: The model cannot be used, or its classes are others than the data's.
    """
    loaded = pretrained(options.model, kind)
    why = _why_fitted(loaded, kind, words, own=options.own_conventions)
    if why is None:
        return FoundClassifier(loaded, own=True, classes=_classes(loaded.model.config, words, options))
    loaded, classes = pretrained(options.model, "encoder"), classes_in_order(words)
    if options.own_conventions:
        named_alike(loaded.model.config, classes.names)
    notes = [f"A new classifier is fitted on the features of {options.model}: {why}."] if why else []
    return FoundClassifier(loaded, own=False, classes=classes, notes=tuple(notes))


def _why_fitted(loaded: LoadedModel, kind: HeadKind, words: Sequence[str], *, own: bool) -> str | None:
    """Return why the model's own classifier cannot be taken; None if it can, and nothing of an encoder without one."""
    saved = next(iter(loaded.model.config.architectures or []), "")
    wanted, known = _HEADS[kind], int(loaded.model.config.num_labels)
    for_another_task = any(mark in saved for mark in ("For", "LMHead")) and wanted not in saved
    if for_another_task and (own or loaded.missing):
        return f"it was saved as {saved}, whose head is for another task"
    if loaded.missing:
        missing = f"it was saved as {saved}, and its files hold no weights of {', '.join(loaded.missing)}"
        return missing if wanted in saved else ""
    if kind == "image-classifier" and known < len(words):
        return f"its own knows {known} classes, the data has {len(words)}"
    return None


def _classes(config: Any, words: Sequence[str], options: TransformerOptions) -> Classes:
    if options.own_conventions:
        return classes_of(config, words, options.labels)
    if int(config.num_labels) < len(words):
        raise ConfigError(f"model: its classifier knows {config.num_labels} classes, the data has {len(words)}")
    return classes_in_order(words)


def trained_head(name: str, kind: Kind) -> LoadedModel:
    """Load a model with the head that its task needs, which must have been trained: none is fitted here.

    Raises:
        ConfigError: The model cannot be used, or has no such head.
    """
    loaded = pretrained(name, kind)
    saved = next(iter(loaded.model.config.architectures or []), "")
    wanted = type(loaded.model).__name__
    if saved and _head_of(saved) != _head_of(wanted):
        raise ConfigError(
            f"model: {name!r} was saved as {saved}, expected a model that was trained as {wanted}; train its head first"
        )
    return loaded


def _head_of(architecture: str) -> str:
    """Return what a class of transformers' is for, as in ForTokenClassification."""
    return architecture[architecture.find("For") :] if "For" in architecture else ""


def opened_classifier(
    options: TransformerOptions,
    found: FoundClassifier,
    parts: Mapping[str, tuple[Batch, ...]],
    tokens: int,
    notes: Sequence[str] = (),
) -> Opened:
    """Return the task of a classifier and batches by part, its head fitted later if it has none of its own."""
    loaded, names = found.loaded, found.classes.names
    kind = "Image" if options.task == "image-classification" else "Sequence"
    if not found.own and not isinstance(getattr(loaded.model.config, "hidden_size", None), int):
        raise ConfigError(
            f"model: the config of {type(loaded.model).__name__} says no hidden_size, so that no classifier can be "
            "fitted on its features; give a model that was trained to tell these classes apart"
        )
    model: Any = loaded.model if found.own else PooledClassifier(loaded.model, len(names))
    factory = f"AutoModelFor{kind}Classification" if found.own else "AutoModel"
    facts = {"task": options.task, "factory": factory, "classifier": len(names), "labels": list(names)}
    anatomy = anatomy_of(model)
    held: Parts = {part: own for part, own in parts.items() if part != TRAIN}
    task = ClassTask(model, held, tokens, facts)
    return Opened(task, anatomy, loaded, parts[TRAIN], not found.own, found.classes, (*found.notes, *notes))
