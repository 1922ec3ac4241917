"""Words and outputs: a class of the data is the output that the model's config calls so, or nothing is searched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classifiers_for_tests import sentence_classifier, sentences, written_rows

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.tasks.labels import classes_of
from emoprune.records import Split

STARS = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]
SMALL = {"task": "text-classification", "length": 16, "calibration": 24, "levels": 3, "references": ["uniform"]}


def config(names: Sequence[str]) -> Any:
    from transformers import BertConfig

    return BertConfig(id2label=dict(enumerate(names)), label2id={name: number for number, name in enumerate(names)})


def unpruned_error(problem: HeadsAndNeurons, folder: Path) -> float:
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    (row,) = problem.evaluate(problem.space.full[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)
    assert not isinstance(row, Exception)
    return float(np.asarray(row)[0])


@pytest.mark.parametrize(
    ("names", "words", "ids"),
    [
        (["positive", "negative"], ["negative", "positive"], [1, 0]),
        (["NEGATIVE", "POSITIVE"], ["negative", "positive"], [0, 1]),
        (["not_entailed", "entailed"], ["entailed", "not entailed"], [1, 0]),
        (["low", "middle", "high"], ["high", "low"], [2, 0]),
        (["low", "middle", "high"], ["0", "2"], [0, 2]),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["0", "2"], [0, 2]),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["LABEL_1", "LABEL_2"], [1, 2]),
        (["1", "2", "3"], ["1", "3"], [0, 2]),  # a name, before it is a number
        (["bad", "good"], ["0.0", "1.0"], [0, 1]),
        (STARS, ["1", "2", "3", "4", "5"], [0, 1, 2, 3, 4]),
        (STARS, ["5", "2"], [4, 1]),
        (STARS, ["0", "1", "2", "3", "4"], [0, 1, 2, 3, 4]),  # no star is called 0
        (["grade 0", "grade 1"], ["0", "1"], [0, 1]),
        (["crane", "tench, Tinca tinca", "crane"], ["tench", "2"], None),
        (["crane", "tench, Tinca tinca", "crane"], ["tench"], [1]),
    ],
)
def test_a_word_is_the_output_of_that_name_or_number(names: list[str], words: list[str], ids: list[int] | None) -> None:
    if ids is None:
        with pytest.raises(ConfigError, match="the data's classes are not those of the model"):
            classes_of(config(names), words)
        return
    found = classes_of(config(names), words)
    assert (found.ids.tolist(), found.names, found.assumed) == (ids, tuple(names), False)


def test_where_the_config_names_nothing_words_are_taken_in_their_order_and_that_is_known() -> None:
    found = classes_of(config(["LABEL_0", "LABEL_1"]), ["bad", "good"])
    assert (found.ids.tolist(), found.names, found.assumed) == ([0, 1], ("bad", "good"), True)
    numbers = classes_of(config(["LABEL_0", "LABEL_1"]), ["-1", "1"])
    assert (numbers.ids.tolist(), numbers.names, numbers.assumed) == ([0, 1], ("LABEL_0", "LABEL_1"), True)


def test_a_person_can_say_which_word_is_which_output() -> None:
    found = classes_of(config(["contradiction", "entailment"]), ["no", "yes"], ["no", "yes"])
    assert (found.ids.tolist(), found.names) == ([0, 1], ("contradiction", "entailment"))
    assert classes_of(config(["LABEL_0", "LABEL_1"]), ["bad", "good"], ["good", "bad"]).ids.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("names", "words", "given", "complaint"),
    [
        (["joy", "anger"], ["bad", "good"], [], r"the model's are \['joy', 'anger'\], the data's \['bad', 'good'\]"),
        (["joy", "anger"], ["1", "2"], [], r"the model's are \['joy', 'anger'\], the data's \['1', '2'\]"),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["bad", "good"], [], r"'LABEL_2'\], the data's \['bad', 'good'\]"),
        (["joy", "anger"], ["a", "b", "c"], [], r"knows 2 classes, the data has 3; the model's are \['joy', 'anger'\]"),
        (STARS, ["1", "2", "4"], [], r"may be those in the model's names .* '5 stars'\], the data's \['1', '2', '4'\]"),
        (["joy", "anger"], ["bad", "good"], ["good"], r"labels: expected 2 different words, .* found \['good'\]"),
    ],
)
def test_words_that_are_none_of_the_model_s_are_refused_with_both_lists(
    names: list[str], words: list[str], given: list[str], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        classes_of(config(names), words, given)


def test_a_config_that_contradicts_itself_is_refused() -> None:
    from transformers import BertConfig

    torn = BertConfig(id2label={0: "bad", 1: "good"}, label2id={"bad": 1, "good": 0})
    with pytest.raises(ConfigError, match=r"id2label and label2id in config\.json contradict each other"):
        classes_of(torn, ["bad", "good"])


@pytest.mark.usefixtures("unverified")
def test_a_classifier_whose_first_class_is_the_last_in_the_alphabet_errs_on_nothing_and_says_so_in_its_export(
    tmp_path: Path,
) -> None:
    names = {0: "positive", 1: "negative"}
    model = sentence_classifier(tmp_path / "model", (1, 0), id2label=names)
    data = written_rows(tmp_path / "rows.tsv", sentences(120), ["negative", "positive"])
    problem = HeadsAndNeurons(model=str(model), data=str(data), **SMALL)
    assert unpruned_error(problem, tmp_path / "run") == 0.0
    problem.try_unpruned(tmp_path / "run", 1)
    (tmp_path / "out").mkdir()
    problem.export(problem.space.full, tmp_path / "out")
    plan = json.loads((tmp_path / "out" / "pruning.json").read_text())
    written = json.loads((tmp_path / "out" / "config.json").read_text())["id2label"]
    assert plan["labels"] == ["positive", "negative"] == [written[str(number)] for number in range(2)]


@pytest.mark.usefixtures("unverified")
def test_a_classifier_of_three_classes_is_measured_on_data_that_hold_two_of_them(tmp_path: Path) -> None:
    names = {0: "none", 1: "good", 2: "bad"}
    model = sentence_classifier(tmp_path / "model", (2, 1), id2label=names)
    data = written_rows(tmp_path / "rows.tsv", sentences(120), ["bad", "good"])
    problem = HeadsAndNeurons(model=str(model), data=str(data), **SMALL)
    assert unpruned_error(problem, tmp_path / "run") == 0.0
    (tmp_path / "out").mkdir()
    problem.export(problem.space.full, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "pruning.json").read_text())["labels"] == ["none", "good", "bad"]


@pytest.mark.usefixtures("unverified")
def test_a_classifier_that_is_fitted_names_its_classes_in_its_config_as_in_its_plan(tmp_path: Path) -> None:
    from transformers import BertModel

    from emoprune.problems.language.sample import saved

    named = BertModel.from_pretrained(sentence_classifier(tmp_path / "whole"))
    data = written_rows(tmp_path / "rows.tsv", sentences(120), ["bad", "good"])
    problem = HeadsAndNeurons(model=str(saved(tmp_path / "encoder", named)), data=str(data), **SMALL)
    problem.prepare(tmp_path / "run", 1)
    problem.setup("cpu", 1)
    (tmp_path / "out").mkdir()
    problem.export(problem.space.full, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["id2label"] == {"0": "bad", "1": "good"}
    assert json.loads((tmp_path / "out" / "pruning.json").read_text())["labels"] == ["bad", "good"]


def test_what_an_earlier_run_meant_by_its_classes_stays(tmp_path: Path) -> None:
    model = sentence_classifier(tmp_path / "model", (1, 0), id2label={0: "positive", 1: "negative"})
    data = written_rows(tmp_path / "rows.tsv", sentences(120), ["negative", "positive"])
    own = {"model": str(model), "data": str(data), **SMALL}
    resolved = HeadsAndNeurons.options.of_earlier(own, ["error", "parameters"])
    assert resolved["own_conventions"] is False
    assert unpruned_error(HeadsAndNeurons(**resolved), tmp_path / "run") == 1.0
