"""Answers that are stretches of a text: found in their tokens, told alone as in a batch, lost behind the length."""

from __future__ import annotations

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
from emoprune.problems.networks.transformers.data.spans import AskedText, asked_texts
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.tasks.opening import opened, other_batches
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.records import Split
from emoprune.testing import ProblemConformance

ROWS = 60


def asked(row: int) -> AskedText:
    context, words = text(12, seed=row), text(12, seed=row).split()
    start = len(" ".join(words[: 3 + row % 4])) + 1
    answer = " ".join(words[3 + row % 4 : 5 + row % 4])
    return AskedText(f"{words[1]} is", context, start, start + len(answer))


def squad(path: Path) -> Path:
    """Write questions in SQuAD's form, one of them without an answer."""
    paragraphs = []
    for own in map(asked, range(ROWS)):
        answers = [{"text": own.context[own.start : own.end], "answer_start": own.start}]
        paragraphs.append({"context": own.context, "qas": [{"question": own.question, "answers": answers}]})
    paragraphs[0]["qas"].append({"question": "is it", "answers": []})
    path.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    return path


def names_of(place: Path) -> dict[str, str]:
    import transformers

    shape = {**SIZES, "max_position_embeddings": 64, "pad_token_id": SPECIAL.index("<pad>")}
    saved(place / "model", drawn(transformers.BertForQuestionAnswering, transformers.BertConfig(**shape)))
    return {"model": str(place / "model"), "data": str(squad(place / "rows.json"))}


def test_squad_s_form_and_objects_with_lists_are_read_alike(tmp_path: Path) -> None:
    rows = [asked(row) for row in range(ROWS)]
    lines = [
        {
            "question": own.question,
            "context": own.context,
            "answers": {"text": [own.context[own.start : own.end]], "answer_start": [own.start]},
        }
        for own in rows
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert asked_texts(str(tmp_path / "rows.jsonl")) == tuple(rows) == asked_texts(str(squad(tmp_path / "rows.json")))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"question": "who"}', r"cannot be read \(KeyError: 'answers'\); expected SQuAD's form"),
        ("nothing", r"rows\.jsonl cannot be read \(JSONDecodeError"),
        ('{"question": "who", "context": "it is", "answers": []}', "holds no question with an answer"),
        (
            '{"question": "who", "context": "it is", "answers": [{"text": "is", "answer_start": 1}]}',
            "expected the answer 'is' at character 1 of its context, found 't '",
        ),
    ],
)
def test_a_file_of_another_form_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        asked_texts(str(tmp_path / "rows.jsonl"))


def test_the_labels_are_the_tokens_of_the_answer_and_each_text_is_judged_as_by_itself(tmp_path: Path) -> None:
    names, own = names_of(tmp_path), tokenizer()
    found = opened(TransformerOptions(**names, task="question-answering", length=24, calibration=8))
    answers = {own.decode(own(each.context[each.start : each.end]).input_ids) for each in map(asked, range(ROWS))}
    (batch, *_) = other_batches(found, _options(names), names["data"])
    for ids, (first, last) in zip(batch.inputs["input_ids"], batch.labels.tolist(), strict=True):
        assert own.decode(ids[first : last + 1]) in answers
    with torch.no_grad():
        together, _ = found.task.examples(found.task.read(found.task.model(**batch.inputs)), batch)  # type: ignore[attr-defined]  # a SpanTask's
        row = int(batch.inputs["attention_mask"].sum(dim=1).argmin())
        alone = batch.inputs["input_ids"][row][batch.inputs["attention_mask"][row] == 1][None]
        outputs = found.task.model(input_ids=alone, attention_mask=torch.ones_like(alone))
    assert together.shape == (2 * len(batch.labels), 24)
    assert torch.allclose(together[2 * row][: alone.shape[1]], outputs.start_logits[0], atol=1e-4)
    assert torch.allclose(together[2 * row + 1][: alone.shape[1]], outputs.end_logits[0], atol=1e-4)


def _options(names: dict[str, str], length: int = 24) -> TransformerOptions:
    return TransformerOptions(**names, task="question-answering", length=length, calibration=8)


def test_answers_behind_the_length_are_left_out_and_counted(tmp_path: Path) -> None:
    names = names_of(tmp_path)
    found = opened(_options(names, length=8))
    lost = sum(5 + row % 4 > 6 for row in range(ROWS))  # two tokens of the question come first
    assert found.notes == (f"{lost} of {ROWS} answers lie behind length: 8 tokens, and are left out.",)
    with pytest.raises(ConfigError, match="length: every answer of the train part lies behind 4 tokens"):
        opened(_options(names, length=4))


@pytest.mark.usefixtures("unverified")
def test_a_model_that_finds_answers_is_pruned_measured_and_written(tmp_path: Path) -> None:
    options: dict[str, Any] = {"task": "question-answering", "length": 24, "calibration": 8, "levels": 3}
    objectives = ["loss", "kl", "macs"]
    problem = HeadsAndNeurons(**names_of(tmp_path), **options, references=["uniform"], objectives=objectives)
    problem.prepare(tmp_path / "run", 1)
    problem.setup("cpu", 1)
    genomes = np.stack([reference.genome for reference in problem.references()])
    rows = np.array(problem.evaluate(genomes, np.zeros(len(genomes), dtype=np.uint64), Split.SEARCH))
    assert rows[0, 1] == pytest.approx(0.0, abs=1e-6)
    assert (rows[1:, 1] > 0).all()
    task = problem.open().task
    losses = [float(task.loss(task.model, batch)) for batch in task.parts["search"]]
    assert rows[0, 0] == pytest.approx(sum(losses) / sum(map(task.numbers, task.parts["search"])), rel=1e-4)
    (tmp_path / "out").mkdir()
    problem.export(genomes[1], tmp_path / "out")
    plan = json.loads((tmp_path / "out" / "pruning.json").read_text())
    assert plan["factory"] == "AutoModelForQuestionAnswering"


@pytest.mark.slow
class TestSpans(ProblemConformance):
    genomes: ClassVar[int] = 3
    names: ClassVar[dict[str, str]]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.names = names_of(tmp_path_factory.mktemp("model"))

    def problem(self) -> Problem:
        return HeadsAndNeurons(**self.names, task="question-answering", length=24, calibration=8, levels=3)
