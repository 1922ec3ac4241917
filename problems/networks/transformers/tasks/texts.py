"""Language modelling, opened: a causal language model, and windows of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import pretrained
from emoprune.problems.language.texts import text_named
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.data.windows import REST, beginning_of, windows_of, windows_of_parts
from emoprune.problems.networks.transformers.tasks.language import LanguageTask
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import SPLITS, TransformerOptions

__all__ = ["opened_text", "other_text"]


def opened_text(options: TransformerOptions) -> Opened:
    """Return the task of a language model and windows of a text, which begin as its tokenizer begins a text.

    Raises:
        ConfigError: The model or the text cannot be used; it says why.
    """
    loaded = pretrained(options.model, "language-model")
    anatomy = anatomy_of(loaded.model)
    longest = getattr(loaded.model.config, "max_position_embeddings", None)
    if longest is not None and options.length > longest:
        raise ConfigError(f"length: the model takes at most {longest} tokens, found {options.length}")
    if not isinstance(options.data, str):
        raise ConfigError("data: expected the name of one text, which is dealt out to the parts, found several")
    wanted = {CALIBRATION: options.calibration, **{part: getattr(options, part) for part in SPLITS}}
    beginning = _beginning(loaded.tokenizer, options)
    parts = _parts(loaded.tokenizer, options.data, options.length, wanted, beginning)
    if options.calibrated_on is not None:
        own = {CALIBRATION: options.calibration}
        other = _parts(loaded.tokenizer, options.calibrated_on, options.length, own, beginning)
        parts[CALIBRATION] = other[CALIBRATION]
    train = (*parts[CALIBRATION], *parts.pop(REST))
    return Opened(LanguageTask(loaded, parts, options.length), anatomy, loaded, train, False)


def other_text(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return windows of another text, as many as the test part has if there are so many.

    Raises:
        ConfigError: There is no such text.
    """
    tokenizer = opened.loaded.tokenizer
    windows = windows_of(tokenizer, text_named(name), options.length, name, (_beginning(tokenizer, options), ()))
    return windows_of_parts(windows, {"test": min(options.test, len(windows))}, name)["test"]


def _beginning(tokenizer: Any, options: TransformerOptions) -> list[int]:
    return beginning_of(tokenizer) if options.own_conventions else []


def _parts(
    tokenizer: Any, text: str, length: int, wanted: Mapping[str, int], beginning: Sequence[int]
) -> dict[str, tuple[Batch, ...]]:
    return windows_of_parts(windows_of(tokenizer, text_named(text), length, text, (beginning, ())), wanted, text)
