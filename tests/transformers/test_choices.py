"""Questions with a few answers: read in the forms that are about, and the right answer is told by the whole pair."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from language_for_tests import SPECIAL, drawn, saved, text, tokenizer
from transformers_for_tests import SIZES

from emoprune.contracts import Problem
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.choices import Question, questions
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.tasks.opening import opened, other_batches
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.records import Split
from emoprune.testing import ProblemConformance

ASKED = Question("the cat", ("sees it", "eats it", "likes it"), 1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", json.dumps({"question": "the cat", "choices": list(ASKED.choices), "answer": 1})),
        (
            "b.jsonl",
            json.dumps(
                {
                    "question": "the cat",
                    "choices": {"text": list(ASKED.choices), "label": ["A", "B", "C"]},
                    "answerKey": "B",
                }
            ),
        ),
        ("c.csv", "sent1,ending0,ending1,ending2,label\nthe cat,sees it,eats it,likes it,1\n"),
        ("d.tsv", "context\tchoice_0\tchoice_1\tchoice_2\tgold\nthe cat\tsees it\teats it\tlikes it\t1\n"),
    ],
)
def test_questions_are_read_in_the_forms_that_are_about(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    assert questions(str(tmp_path / name)) == (ASKED,)


def test_answers_that_begin_alike_are_given_their_beginning(tmp_path: Path) -> None:
    (tmp_path / "swag.csv").write_text("sent1,sent2,ending0,ending1,label\nit is old,the cat,sees it,eats it,0\n")
    assert questions(str(tmp_path / "swag.csv")) == (Question("it is old", ("the cat sees it", "the cat eats it"), 0),)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            {"question": "a", "choices": ["b", "c"], "answer": 2},
            "question 1: expected a text .* one of 0, 1; .* and '2'",
        ),
        ({"question": "a", "choices": ["b", "c"]}, "question 1: expected a text .* found question, choices"),
        ({"question": "a", "choices": ["b"], "answer": 0}, "the same number of choices for every question, .* found 1"),
    ],
)
def test_a_question_of_another_form_is_refused(content: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=complaint):
        questions(str(tmp_path / "rows.jsonl"))


def chooser(place: Path) -> dict[str, str]:
    """Write a BERT with scores for answers, drawn at random, and questions of unequal lengths."""
    import transformers

    shape = {**SIZES, "max_position_embeddings": 64, "pad_token_id": SPECIAL.index("<pad>")}
    saved(place / "model", drawn(transformers.BertForMultipleChoice, transformers.BertConfig(**shape)))
    with (place / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "option1", "option2", "option3", "label"])
        for row in range(60):
            words = text(20, seed=row).split()
            answers = [" ".join(words[start : start + 2 + row % 3]) for start in (8, 12, 16)]
            writer.writerow([" ".join(words[: 3 + row % 5]), *answers, row % 3])
    return {"model": str(place / "model"), "data": str(place / "rows.csv")}


def test_each_answer_is_scored_with_its_question_as_it_is_by_itself(tmp_path: Path) -> None:
    names = chooser(tmp_path)
    options = TransformerOptions(**names, task="multiple-choice", length=24, calibration=8)
    found = opened(options)
    asked, own = questions(names["data"]), tokenizer()
    (batch,) = other_batches(found, options, names["data"])[:1]
    logits = found.task.outputs(found.task.model, batch).detach()
    for row in (0, 7):
        for number, choice in enumerate(asked[row].choices):
            pair = own(asked[row].text, choice, return_tensors="pt")
            ids = {"input_ids": pair["input_ids"][None], "attention_mask": pair["attention_mask"][None]}
            with torch.no_grad():
                alone = found.task.model(**ids).logits
            assert alone.item() == pytest.approx(logits[row, number].item(), abs=1e-4)
    assert batch.labels.tolist() == [each.right for each in asked[: len(batch.labels)]]


def test_questions_that_are_cut_are_counted(tmp_path: Path) -> None:
    names = chooser(tmp_path)
    sizes = [max(len(f"{each.text} {own}".split()) for own in each.choices) for each in questions(names["data"])]
    whole = opened(TransformerOptions(**names, task="multiple-choice", length=max(sizes), calibration=8))
    assert whole.notes == ()
    (said,) = opened(TransformerOptions(**names, task="multiple-choice", length=8, calibration=8)).notes
    cut = sum(size > 8 for size in sizes)
    assert said.startswith(f"{cut} of 60 questions with one of their choices are longer than length: 8 tokens and are")
    assert 0 < cut < 60


@pytest.mark.usefixtures("unverified")
def test_a_model_that_chooses_is_pruned_measured_and_written(tmp_path: Path) -> None:
    options: dict[str, Any] = {"task": "multiple-choice", "length": 24, "calibration": 8, "levels": 3}
    problem = HeadsAndNeurons(**chooser(tmp_path), **options, references=["uniform"], objectives=["loss", "macs"])
    problem.prepare(tmp_path / "run", 1)
    problem.setup("cpu", 1)
    genomes = np.stack([reference.genome for reference in problem.references()])
    rows = np.array(problem.evaluate(genomes, np.zeros(len(genomes), dtype=np.uint64), Split.SEARCH))
    assert np.isfinite(rows).all()
    assert (rows[1:, 1] < rows[0, 1]).all()
    (tmp_path / "out").mkdir()
    problem.export(genomes[1], tmp_path / "out")
    assert json.loads((tmp_path / "out" / "pruning.json").read_text())["factory"] == "AutoModelForMultipleChoice"


@pytest.mark.slow
class TestChoices(ProblemConformance):
    genomes: ClassVar[int] = 3
    names: ClassVar[dict[str, str]]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.names = chooser(tmp_path_factory.mktemp("model"))

    def problem(self) -> Problem:
        return HeadsAndNeurons(**self.names, task="multiple-choice", length=24, calibration=8, levels=3)
