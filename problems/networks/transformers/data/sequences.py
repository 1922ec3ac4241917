"""Texts and what is to be written of them: sources and targets, as batches for an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.tabular import tabular_file
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.data.sentences import Padding, alike, filled
from emoprune.problems.networks.transformers.data.tagged import IGNORED
from emoprune.problems.storage.located import located

__all__ = ["SourceTarget", "said_of_cut_sequences", "sequence_batches", "sources_and_targets"]

COLUMNS = (("source", "target"), ("text", "summary"), ("document", "summary"), ("article", "highlights"))

Shift = Callable[[torch.Tensor], torch.Tensor]  # from target tokens to what a decoder is given for them


@dataclass(frozen=True, slots=True)
class SourceTarget:
    """A text, and what is to be written of it."""

    source: str
    target: str


def sources_and_targets(name: str, columns: Sequence[str] = ()) -> tuple[SourceTarget, ...]:
    """Return the pairs of a file in UTF-8, read as `tabular_file` does.

    They are in the columns `source` and `target`, `text` or `document` and `summary`, or `article` and `highlights`.

    Args:
        name: The file, found from here or beside the config.
        columns: The two columns where they are called otherwise.

    Raises:
        ConfigError: There is no such file, or it is of another form.
    """
    place = located(name)
    if place is None or not place.is_file():
        raise ConfigError(
            f"data: there is no file {name!r} here or beside the config; expected a CSV, TSV or JSONL file with the "
            "columns source and target"
        )
    found = tabular_file(place)
    asked = [tuple(own.strip().lower() for own in columns)] if columns else COLUMNS
    pair = next((own for own in asked if set(own) <= set(found.columns)), None)
    if pair is None:
        wanted = " or ".join(" and ".join(own) for own in asked)
        raise ConfigError(
            f"data: {place.name}: expected the columns {wanted}, found {', '.join(map(repr, found.columns[:6]))}; name "
            "two of them: texts: [source, target]"
        )
    source, target = (found.columns.index(own) for own in pair)
    empty = next((line for line, row in zip(found.lines, found.rows, strict=True) if not row[target].strip()), None)
    if empty is not None:
        raise ConfigError(f"data: {place.name}, row {empty}: expected a target, found nothing; fill it in")
    return tuple(SourceTarget(row[source], row[target]) for row in found.rows)


def sequence_batches(
    tokenizer: Any, rows: Sequence[SourceTarget], length: int, padding: Padding, shift: Shift
) -> tuple[Batch, ...]:
    """Return batches of sources for the encoder, targets for the decoder, and the tokens it has to tell as labels.

    Args:
        tokenizer: The model's.
        rows: Texts.
        length: Tokens at most in each.
        padding: Of sources.
        shift: The model's.
    """
    if not rows:
        return ()
    cut = {"truncation": True, "max_length": length, "verbose": False}
    sources = tokenizer([row.source for row in rows], **cut)["input_ids"]
    targets = tokenizer(text_target=[row.target for row in rows], **cut)["input_ids"]
    made = []
    for numbers in alike(sources):
        own = [sources[row] for row in numbers.tolist()]
        ids, there = filled(own, padding), filled([[1] * len(each) for each in own], Padding(0, padding.left))
        labels = filled([targets[row] for row in numbers.tolist()], Padding(IGNORED))
        if labels.shape == ids.shape:  # whoever watches a layer tells by the tokens in which stack it is
            labels = torch.cat([labels, torch.full_like(labels[:, :1], IGNORED)], dim=1)
        inputs = {"input_ids": ids, "attention_mask": there, "decoder_input_ids": shift(labels)}
        made.append(Batch({**inputs, "decoder_attention_mask": (labels != IGNORED).long()}, labels))
    return tuple(made)


def said_of_cut_sequences(tokenizer: Any, rows: Sequence[SourceTarget], length: int) -> list[str]:
    """Return what a person must know of texts that are cut at `length` tokens; nothing if none is."""
    said = []
    for what, texts in (("sources", {"text": [row.source for row in rows]}), ("targets", _targets(rows))):
        sizes = [len(ids) for ids in tokenizer(**texts, verbose=False)["input_ids"]]
        cut = sum(size > length for size in sizes)
        if cut:
            said.append(
                f"{cut:,} of {len(rows):,} {what} are longer than length: {length} tokens and are cut there; the "
                f"longest has {max(sizes):,}."
            )
    return said


def _targets(rows: Sequence[SourceTarget]) -> dict[str, list[str]]:
    return {"text_target": [row.target for row in rows]}
