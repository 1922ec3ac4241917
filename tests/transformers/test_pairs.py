"""Two texts told apart together: a pair is joined as the tokenizer joins it, and what is left out is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from classifiers_for_tests import fitted_head
from language_for_tests import SPECIAL, drawn, saved, text, tokenizer
from transformers_for_tests import SIZES

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.tasks.opening import opened, other_batches
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions

SENTENCES: dict[str, Any] = {"task": "text-classification", "length": 24, "calibration": 24}


def pairs(rows: int = 160) -> list[tuple[str, str, int]]:
    """Return pairs of sentences and whether the first begins with a certain word."""
    made = []
    for row in range(rows):
        words = text(12, seed=row).split()
        made.append(
            (" ".join([("cat", "red")[row % 2], *words[: 2 + row % 3]]), " ".join(words[6 : 9 + row % 3]), row % 2)
        )
    return made


def pair_classifier(place: Path) -> Path:
    """Write a BERT that tells `pairs` apart, by both of their texts."""
    from transformers import BertConfig, BertForSequenceClassification

    shape = {**SIZES, "max_position_embeddings": 64, "pad_token_id": SPECIAL.index("<pad>"), "num_labels": 2}
    model, rows = drawn(BertForSequenceClassification, BertConfig(**shape)), pairs()
    own = tokenizer()
    own.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    batch = own([one for one, _, _ in rows], [two for _, two, _ in rows], return_tensors="pt", padding=True)
    fitted_head(model, batch, torch.tensor([label for _, _, label in rows]))
    saved(place, model)
    said = json.loads((place / "tokenizer_config.json").read_text())
    (place / "tokenizer_config.json").write_text(json.dumps({**said, "model_input_names": own.model_input_names}))
    return place


def written(path: Path, columns: str = "premise\thypothesis\tlabel") -> Path:
    lines = [columns, *(f"{one}\t{two}\t{label}" for one, two, label in pairs())]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_classifier_of_pairs_gets_both_texts_as_its_tokenizer_joins_them(tmp_path: Path) -> None:
    model, data = pair_classifier(tmp_path / "model"), written(tmp_path / "rows.tsv")
    options = TransformerOptions(model=str(model), data=str(data), **SENTENCES)
    found = opened(options)
    assert found.task.tried(found.task.parts["test"]).error == 0.0
    assert found.notes == ()
    (batch, *_) = other_batches(found, options, str(data))
    assert set(batch.inputs) == {"input_ids", "attention_mask", "token_type_ids"}
    assert batch.inputs["token_type_ids"].sum(dim=1).min() > 0  # the second text's tokens are known from the first's


def test_one_of_two_texts_can_be_asked_for_and_the_other_is_said_to_be_left_out(tmp_path: Path) -> None:
    model, data = pair_classifier(tmp_path / "model"), written(tmp_path / "rows.tsv", "question\tsentence\tlabel")
    one = opened(TransformerOptions(model=str(model), data=str(data), **SENTENCES))
    assert "more columns with texts, which are not read: question." in one.notes[0]
    assert one.task.tried(one.task.parts["test"]).error > 0.2
    both = opened(TransformerOptions(model=str(model), data=str(data), texts=["question", "sentence"], **SENTENCES))
    assert both.task.tried(both.task.parts["test"]).error == 0.0


def test_pairs_that_are_cut_are_counted(tmp_path: Path) -> None:
    model, data = pair_classifier(tmp_path / "model"), written(tmp_path / "rows.tsv")
    found = opened(TransformerOptions(model=str(model), data=str(data), **{**SENTENCES, "length": 7}))
    assert "of 160 texts are longer than length: 7 tokens" in found.notes[0]


@pytest.mark.parametrize("more", [{"texts": ["a", "b", "c"]}, {"texts": ["a"], "task": "language-modelling"}])
def test_texts_that_no_classifier_of_sentences_has_are_refused(more: dict[str, Any]) -> None:
    expected = "texts: expected one or two columns for text-classification, two for sequence-to-sequence, found"
    with pytest.raises(ConfigError, match=expected):
        TransformerOptions(**{**SENTENCES, **more})
