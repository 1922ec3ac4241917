"""What is deleted at once: words, sentences, demonstrations; each stays whole, and the tokens are still counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompts_for_tests import parts, prompt_tokens, rows, written

from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.few_shot import FewShot
from emoprune.problems.prompts.units import BySentence
from emoprune.records import Split

PROMPT = "the cat sees. it likes (a dog!) and\nthe house is old\n\n{sentence} is"


def test_sentences_and_lines_end_where_a_reader_ends_them() -> None:
    text = 'He said "no." Then 3.5 e. Really?!  Yes...\nA line\n\n好。很好。 '
    assert BySentence().split(text) == [
        'He said "no."', " Then 3.5 e.", " Really?!", "  Yes...", "\nA line", "\n\n好。", "很好。", " "
    ]  # fmt: skip


@given(st.text(st.sampled_from('ab .!?\n")。'), max_size=30))
def test_sentences_make_the_text_when_they_are_joined(text: str) -> None:
    spans = BySentence().split(text)
    assert "".join(spans) == text
    assert all(spans)


@pytest.mark.parametrize(
    ("unit", "genes"),
    [
        ("word", ["the", "cat", "sees.", "it", "likes", "(a", "dog!)", "and", "the", "house", "is", "old", r"\n\n",
                  "{sentence}", "is"]),
        ("sentence", ["the cat sees.", "it likes (a dog!) and", "the house is old", r"\n\n", "{sentence}", "is"]),
        ("demonstration", ["the cat sees. it likes (a dog!) and the house is old", "{sentence}", "is"]),
    ],
)  # fmt: skip
def test_each_unit_has_a_gene(model: Path, tmp_path: Path, unit: str, genes: list[str]) -> None:
    problem = prompt_tokens(model, parts(tmp_path), prompt=PROMPT, unit=unit)
    assert [gene.name.partition(" ")[2] for gene in problem.space.genes] == genes
    whole = problem.describe(problem.space.full)
    assert whole["prompt"] == PROMPT
    first = problem.space.full.copy()
    first[0] = 0
    left = problem.describe(first)
    assert left["prompt"] == PROMPT.removeprefix(problem._spans.texts[0])
    removed = problem._task.splitter.count(problem._spans.texts[0])
    assert left["tokens"] == whole["tokens"] - removed
    assert problem.space.costs[0] == removed
    assert problem.inspect().tables["prompt"][0][unit] == 0


def test_the_block_that_holds_the_input_stays_and_the_others_are_deleted_whole(model: Path, tmp_path: Path) -> None:
    prompt = "the cat\n\nit sees\nred\n\nit eats\nblue\n\nthe {sentence}\nis"
    problem = prompt_tokens(model, parts(tmp_path), prompt=prompt, unit="demonstration")
    free = [gene.name.partition(" ")[2] for gene in problem.space.genes if gene.locked is None]
    assert free == ["the cat", "it sees red", "it eats blue"]
    least = np.where(problem.space.free, 0, 1)
    assert problem.describe(least)["prompt"] == "the {sentence}\nis"
    assert problem.space.legal(least)[0]


def test_examples_of_a_prompt_made_of_some_are_deleted_whole_whatever_parts_them(model: Path, tmp_path: Path) -> None:
    examples = str(written(tmp_path / "rows.tsv", rows(30)))
    shots = FewShot(1, "the {sentence}. it is {answer}", instruction="the cat", separator=" and ")
    problem = prompt_tokens(model, examples, prompt=shots, unit="demonstration")
    free = [text for text, is_free in zip(problem._spans.texts, problem.space.free.tolist(), strict=True) if is_free]
    assert free[0] == "the cat and "
    assert [text.endswith(f" it is {word} and ") for text, word in zip(free[1:], ("red", "blue"), strict=True)] == [
        True,
        True,
    ]
    least = np.where(problem.space.free, 0, 1)
    assert problem.describe(least)["prompt"] == "the {sentence}. it is"


def test_a_prompt_without_demonstrations_is_refused_where_they_are_to_be_deleted(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found none; give some, and demonstrations that blank lines part, or keep"):
        prompt_tokens(model, parts(tmp_path), prompt="the cat\n{sentence} is", unit="demonstration")


@pytest.mark.parametrize("unit", ["word", "sentence", "demonstration"])
def test_every_unit_has_references_and_can_be_measured(model: Path, tmp_path: Path, unit: str) -> None:
    names = ["perplexity", "random", "accepting-in-runs"]
    problem = prompt_tokens(model, parts(tmp_path), prompt=PROMPT, unit=unit, references=names, reference_prompts=4)
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    genomes = np.stack([reference.genome for reference in problem.references()])
    assert problem.space.legal(genomes).all()
    found = problem.evaluate(genomes[:1], np.zeros(1, dtype=np.uint64), Split.SEARCH)[0]
    assert found[1] == problem.describe(genomes[0])["tokens"]
