"""Tokens that are told apart: tags of words, and words that were masked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from classifiers_for_tests import fitted_head
from language_for_tests import SPECIAL, VOCABULARY, WORDS, drawn, saved, text, tokenizer
from transformers_for_tests import SIZES

from emoprune.contracts import Problem
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.tagged import (
    IGNORED,
    TaggedSentence,
    tagged_sentences,
    tagged_tokens,
)
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.tasks.opening import opened, other_batches
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.networks.transformers.tasks.trying import try_unpruned
from emoprune.testing import ProblemConformance

NAMES = {0: "B-PET", 1: "O", 2: "B-HOME"}
TAGS = {"cat": "B-PET", "dog": "B-PET", "house": "B-HOME", "tree": "B-HOME"}


def rows(count: int = 80) -> list[tuple[list[str], list[str]]]:
    made = []
    for row in range(count):
        words = text(8, seed=row).split()[: 4 + row % 5]
        made.append((words, [TAGS.get(word, "O") for word in words]))
    return made


def conll(path: Path, count: int = 80) -> Path:
    lines = ["-DOCSTART- -X- O", ""]
    for words, tags in rows(count):
        lines += [*(f"{word} NN {tag}" for word, tag in zip(words, tags, strict=True)), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def tagger(place: Path) -> Path:
    """Write a BERT that knows the tags of all words, from the words alone."""
    import transformers

    shape = {**SIZES, "max_position_embeddings": 64, "pad_token_id": SPECIAL.index("<pad>")}
    labels = {"id2label": NAMES, "label2id": {name: number for number, name in NAMES.items()}}
    model = drawn(transformers.BertForTokenClassification, transformers.BertConfig(**shape, **labels))
    with torch.no_grad():  # what is told of a token depends on the token alone
        model.bert.embeddings.position_embeddings.weight.zero_()
        for layer in model.bert.encoder.layer:
            layer.attention.output.dense.weight.zero_()
            layer.output.dense.weight.zero_()
    number = {name: own for own, name in NAMES.items()}
    known = rows(200)
    batch = tokenizer()([words for words, _ in known], is_split_into_words=True, return_tensors="pt", padding=True)
    wanted = torch.full(batch["input_ids"].shape, number["O"])
    for row, (_, tags) in enumerate(known):
        wanted[row, : len(tags)] = torch.tensor([number[tag] for tag in tags])
    fitted_head(model, batch, wanted)
    return saved(place, model)


def options_of(model: Path, data: Path | str, **more: Any) -> TransformerOptions:
    return TransformerOptions(
        **{
            "model": str(model),
            "data": str(data),
            "task": "token-classification",
            "length": 16,
            "calibration": 8,
            **more,
        }
    )


def test_conll_s_columns_and_lists_in_objects_are_read_alike(tmp_path: Path) -> None:
    lines = [json.dumps({"tokens": words, "ner_tags": tags}) for words, tags in rows(12)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    found = tagged_sentences(str(conll(tmp_path / "rows.conll", 12)))
    assert found == tagged_sentences(str(tmp_path / "rows.jsonl"))
    assert [(list(own.words), list(own.tags)) for own in found] == rows(12)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("rows.conll", "cat NN B\ndog\n", r"rows\.conll, row 2: expected a word and its tag, found 'dog'"),
        ("rows.jsonl", '{"tokens": ["cat"], "tags": []}', r"row 1: expected a list in one of tokens, words and one as"),
        ("rows.jsonl", "{", r"row 1: expected a JSON object"),
        ("rows.conll", "\n\n", r"rows\.conll holds no sentence"),
    ],
)
def test_a_file_of_another_form_is_refused(name: str, content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        tagged_sentences(str(tmp_path / name))


def test_the_first_token_of_a_word_has_its_tag_and_no_other_one_has() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"[UNK]": 0, "c": 1, "##a": 2, "##t": 3, "see": 4, "##s": 5}
    pieces = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106  # a token of a vocabulary, no secret
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    own = PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="[UNK]")  # noqa: S106  # as above
    sentence = TaggedSentence(("cat", "sees"), ("B", "O"))
    ids, labels = tagged_tokens(own, [sentence], {"B": 1, "O": 0}, 16)
    assert ids == [[1, 2, 3, 4, 5]]
    assert labels[0].tolist() == [1, IGNORED, IGNORED, 0, IGNORED]


def test_a_tagger_that_knows_all_tags_errs_on_none_whatever_their_order(tmp_path: Path) -> None:
    options = options_of(tagger(tmp_path / "model"), conll(tmp_path / "rows.conll"))
    found = opened(options)
    tried = found.task.tried(found.task.parts["search"])
    words = sum(len(own) for own, _ in rows())
    assert (
        sum(found.task.numbers(batch) for part in ("search", "select", "test") for batch in found.task.parts[part])
        + (sum(found.task.numbers(batch) for batch in found.train))
        == words
    )
    assert tried.error == 0.0
    assert found.task.about["labels"] == list(NAMES.values())
    try_unpruned(found, options)
    other = other_batches(found, options, options.data if isinstance(options.data, str) else "")
    assert sum(found.task.numbers(batch) for batch in other) == words


def test_words_behind_the_length_are_counted(tmp_path: Path) -> None:
    found = opened(options_of(tagger(tmp_path / "model"), conll(tmp_path / "rows.conll"), length=4))
    words = sum(len(own) for own, _ in rows())
    assert found.notes == (f"{words - 320} of {words} words stand behind length: 4 tokens and are cut off.",)


def test_a_model_without_a_head_for_tags_is_refused(tmp_path: Path) -> None:
    import transformers

    model = drawn(transformers.BertForSequenceClassification, transformers.BertConfig(**SIZES, num_labels=3))
    with pytest.raises(
        ConfigError, match="saved as BertForSequenceClassification, expected a model that was trained as"
    ):
        opened(options_of(saved(tmp_path / "model", model), conll(tmp_path / "rows.conll")))


def mask_tokenizer() -> Any:
    own = tokenizer()
    own.add_special_tokens({"mask_token": "<unk>"})
    return own


def masked_model(place: Path) -> dict[str, str]:
    import transformers

    config = transformers.BertConfig(**{**SIZES, "vocab_size": VOCABULARY}, max_position_embeddings=64, pad_token_id=3)
    saved(place / "masked", drawn(transformers.BertForMaskedLM, config), with_tokenizer=False)
    mask_tokenizer().save_pretrained(place / "masked")
    (place / "words.txt").write_text(text(1200), encoding="utf-8")
    return {"model": str(place / "masked"), "data": str(place / "words.txt")}


def test_some_tokens_of_every_window_are_masked_always_the_same_and_only_they_are_told(tmp_path: Path) -> None:
    names = masked_model(tmp_path)
    sizes = {"length": 16, "calibration": 4, "search": 8, "select": 8, "test": 8}
    options = TransformerOptions(**names, task="masked-language-modelling", **sizes)
    found, again = opened(options), opened(options)
    mask, plain = mask_tokenizer().mask_token_id, text(1200).split()
    shares = []
    for part, batches in found.task.parts.items():
        for batch, same in zip(batches, again.task.parts[part], strict=True):
            assert torch.equal(batch.inputs["input_ids"], same.inputs["input_ids"])
            told = batch.labels != IGNORED
            assert told.any(dim=1).all()
            assert (batch.inputs["input_ids"][told] == mask).all()
            whole = torch.where(told, batch.labels, batch.inputs["input_ids"])
            words = [WORDS[number - len(SPECIAL)] for number in whole[0].tolist()]
            assert " ".join(words) in " ".join(plain)
            shares.append(float(told.float().mean()))
    assert 0.08 < np.mean(shares) < 0.25


class Conformance(ProblemConformance):
    genomes: ClassVar[int] = 3
    names: ClassVar[dict[str, str]]
    task: ClassVar[str]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.names = cls.written(tmp_path_factory.mktemp("model"))

    @classmethod
    def written(cls, place: Path) -> dict[str, str]:
        raise NotImplementedError

    def problem(self) -> Problem:
        sizes = {"length": 16, "calibration": 8, "search": 8, "select": 8, "test": 8, "levels": 3}
        return HeadsAndNeurons(**self.names, task=self.task, objectives=["error", "kl", "macs"], **sizes)


@pytest.mark.slow
class TestTagger(Conformance):
    task = "token-classification"

    @classmethod
    def written(cls, place: Path) -> dict[str, str]:
        return {"model": str(tagger(place / "model")), "data": str(conll(place / "rows.conll"))}


@pytest.mark.slow
class TestMasked(Conformance):
    task = "masked-language-modelling"

    @classmethod
    def written(cls, place: Path) -> dict[str, str]:
        return masked_model(place)


@pytest.mark.parametrize("task", ["token-classification", "masked-language-modelling"])
@pytest.mark.usefixtures("unverified")
def test_a_pruned_model_of_a_token_task_is_measured_and_written(task: str, tmp_path: Path) -> None:
    tagging = task == "token-classification"
    names = {"model": str(tagger(tmp_path / "model")), "data": str(conll(tmp_path / "rows.conll"))}
    names = names if tagging else masked_model(tmp_path)
    sizes = {"length": 16, "calibration": 8, "search": 8, "select": 8, "test": 8, "levels": 3}
    problem = HeadsAndNeurons(**names, task=task, references=["uniform"], **sizes)
    problem.prepare(tmp_path / "run", 1)
    problem.setup("cpu", 1)
    (tmp_path / "out").mkdir()
    problem.export(problem.references()[1].genome, tmp_path / "out")
    plan = json.loads((tmp_path / "out" / "pruning.json").read_text())
    assert plan["factory"] == ("AutoModelForTokenClassification" if tagging else "AutoModelForMaskedLM")
    assert plan["measured"]["test error"]["unpruned"] == 0.0 or not tagging
