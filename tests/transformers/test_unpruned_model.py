"""The unpruned model before a search: what it loses of its texts, which head it has, whether it knows anything."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from classifiers_for_tests import sentence_classifier, sentences, written_rows
from language_for_tests import SPECIAL, VOCABULARY, WORDS, drawn, llama, saved, tokenizer
from transformers_for_tests import SIZES, SMALL, language_folder

import emoprune
from emoprune.commands.dry_run import dry_run
from emoprune.config import load
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.cutting import said_of_cut_texts, telling_tokens
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.tasks.opening import opened
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.networks.transformers.tasks.trying import try_unpruned

CLASSIFIER: dict[str, Any] = {"task": "text-classification", "length": 16, "calibration": 24}


def options_of(model: Path, data: Path, **more: Any) -> TransformerOptions:
    return TransformerOptions(model=str(model), data=str(data), **{**CLASSIFIER, **more})


def test_tokens_that_tell_classes_apart_are_found_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    texts = [{100 + label, *rng.integers(0, 20, 6).tolist()} for label in labels.tolist()]
    assert list(telling_tokens(texts, labels)) == [100, 101]
    assert telling_tokens([set[int]()] * 4, np.array([0, 1, 0, 1])) == {}


def test_texts_that_are_cut_are_counted_and_the_loss_of_every_telling_word_is_said() -> None:
    own, rows = tokenizer(), sentences(80)
    before = [f"{'the ' * (20 if number < 30 else 2)}{sentence}" for number, (sentence, _) in enumerate(rows)]
    labels = np.array([label for _, label in rows])
    cut = own(before, truncation=True, max_length=16)["input_ids"]
    (said,) = said_of_cut_texts(own, before, labels, cut, 16)
    assert said.startswith("30 of 80 texts are longer than length: 16 tokens and are cut there; the longest has 28.")
    assert "None of the words that tell the classes apart ('red', 'cat') is left of 30 of them; give a larger" in said
    whole = own(before)["input_ids"]
    assert said_of_cut_texts(own, before, labels, whole, 64) == []


def test_where_the_telling_words_stand_before_the_cut_that_is_said_as_well() -> None:
    own, rows = tokenizer(), sentences(80)
    behind = [f"{sentence} {'the ' * 20}" for sentence, _ in rows]
    labels = np.array([label for _, label in rows])
    (said,) = said_of_cut_texts(own, behind, labels, own(behind, truncation=True, max_length=16)["input_ids"], 16)
    assert said.startswith("80 of 80 texts")
    assert said.endswith("is left of 0 of them.")


def test_a_search_says_that_texts_are_cut_and_so_does_the_pre_flight(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = sentence_classifier(tmp_path / "model")
    data = written_rows(tmp_path / "rows.tsv", [(f"{'the ' * 9}{own}", label) for own, label in sentences(80)], "01")
    with caplog.at_level(logging.WARNING, "emoprune"):
        problem = HeadsAndNeurons(model=str(model), data=str(data), **{**CLASSIFIER, "length": 8})
    assert "80 of 80 texts are longer than length: 8 tokens" in caplog.text
    assert "80 of 80 texts are longer than length: 8 tokens" in problem.inspect().notes[0]


@pytest.mark.parametrize("saved_as", ["BertForMaskedLM", "BertForTokenClassification", "BertModel"])
def test_a_new_classifier_on_a_model_with_a_head_for_another_task_is_said(saved_as: str, tmp_path: Path) -> None:
    import transformers

    config = transformers.BertConfig(**SIZES, max_position_embeddings=64, pad_token_id=3, num_labels=4)
    saved(tmp_path / "model", drawn(getattr(transformers, saved_as), config))
    data = written_rows(tmp_path / "rows.tsv", sentences(80), "01")
    found = opened(options_of(tmp_path / "model", data))
    assert found.unfitted
    said = [f"was saved as {saved_as}, whose head is for another task" in note for note in found.notes]
    assert said == ([] if saved_as == "BertModel" else [True])


def test_a_model_that_knows_its_classes_is_searched(tmp_path: Path) -> None:
    model = sentence_classifier(tmp_path / "model")
    data = written_rows(tmp_path / "rows.tsv", sentences(120), ["bad", "good"])
    options = options_of(model, data)
    try_unpruned(opened(options), options)


def test_classes_in_another_order_than_was_assumed_are_refused_with_the_order_that_fits(tmp_path: Path) -> None:
    model = sentence_classifier(tmp_path / "model", (0, 2, 1, 3))
    data = written_rows(tmp_path / "rows.tsv", sentences(240, 4), "abcd")
    options = options_of(model, data)
    with pytest.raises(ConfigError, match=r"errs on 5.*in another on 0\.0%; .* labels: \['a', 'c', 'b', 'd'\] for the"):
        try_unpruned(opened(options), options)
    said = options_of(model, data, labels=["a", "c", "b", "d"])
    assert opened(said).task.tried(opened(said).task.parts["search"]).error == 0.0


def test_a_model_that_guesses_stops_the_run_before_the_search_and_can_be_searched_all_the_same(tmp_path: Path) -> None:
    model = sentence_classifier(tmp_path / "model", (1, 0), id2label={0: "bad", 1: "good"})
    data = written_rows(tmp_path / "rows.tsv", sentences(120), ["bad", "good"])
    config = {
        "problem": {"name": "heads-and-neurons", "model": str(model), "data": str(data), "levels": 3, **CLASSIFIER},
        "search": {"population": 4, "generations": 1},
        "evaluation": {"backend": "serial"},
    }
    config["problem"]["references"] = ["uniform"]  # type: ignore[index]  # a mapping, as written above
    searching = emoprune.search(config, runs=tmp_path / "runs", name="reversed")
    with pytest.raises(
        ConfigError,
        match=r"errs on 100\.0% of \d+ examples.*\(1\) the classes are numbered otherwise .*\['bad', 'good'\], .* "
        r"0\.0% with labels: \['good', 'bad'\]; \(2\).*accept_guessing: true",
    ):
        list(searching)
    assert len(searching.run.history) == 0
    assert not list((searching.run.path / "problem").iterdir())  # no unit was ranked, no reference made
    with pytest.raises(ConfigError, match="it scores like guessing"):
        dry_run(load(config))
    accepting = emoprune.search(config, overrides=["problem.accept_guessing=true"], runs=tmp_path / "runs", name="all")
    assert len(list(accepting)) == 1
    (alarm,) = accepting.run.progress.alarms
    assert alarm.startswith("The unpruned network errs on 100.0% on the search part")


def test_a_language_model_that_guesses_is_refused_and_one_that_learnt_is_not(tmp_path: Path) -> None:
    names = language_folder(tmp_path, llama(layers=1))
    options = TransformerOptions(**{**names, **{key: own for key, own in SMALL.items() if key != "levels"}})
    with pytest.raises(ConfigError, match=r"errs on .* of \d+ examples.*another language or kind"):
        try_unpruned(opened(options), options)
    saved(tmp_path / "model", followed(llama(layers=1)))
    try_unpruned(opened(options), options)


def followed(model: Any) -> Any:
    """Return the model made to know which three words follow each word of `text`, from the word alone."""
    layer = model.model.layers[0]
    with torch.no_grad():
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        states = model.model.norm(model.model.embed_tokens.weight)
        wanted = torch.zeros(VOCABULARY, VOCABULARY)
        for word in range(len(WORDS)):
            for drawn_number in range(3):
                following = (3 * word + drawn_number) % len(WORDS)
                wanted[len(SPECIAL) + word, len(SPECIAL) + following] = 6.0
        model.lm_head.weight.copy_(torch.linalg.lstsq(states, wanted).solution.T)
    return model
