"""Examples: read by name, kept apart by hash, cut from one file; and what is said of those that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from language_for_tests import tokenizer

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.data.few_shot import FewShot
from emoprune.problems.prompts.data.splitting import Sizes, check_disjoint, cut, kept_apart
from emoprune.problems.prompts.marker import Marker
from emoprune.problems.prompts.prompt_data import Asked, PromptData, prompt_data_of
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.template import Template
from emoprune.records import Split

WORDS = {"0": "red", "1": "blue"}
ENOUGH = "sentence\tlabel\n" + "".join(f"a {row}\t{row % 2}\n" for row in range(9))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(text: str, answer: str = "0") -> Example:
    return Example((text,), answer, f"row {text}")


def table(name: str, count: int, start: int = 0, columns: str = "sentence\tlabel") -> None:
    body = "".join(f"sentence number {start + row}\t{row % 2}\n" for row in range(count))
    Path(name).write_text(f"{columns}\n{body}")


def prompt_data(**more: Any) -> PromptData:
    options = {"prompt": "about {sentence} is", "examples": "rows.tsv", "verbalisers": WORDS, **more}
    return prompt_data_of(Asked(**options), tokenizer())


def test_one_file_is_cut_into_three_parts_with_all_classes_in_each(here: Path) -> None:
    table("rows.tsv", 60)
    found = prompt_data(sizes=Sizes(16, 20, None))
    assert {split: len(own) for split, own in found.parts.items()} == {
        Split.SEARCH: 16,
        Split.SELECT: 20,
        Split.TEST: 24,
    }
    for own in found.parts.values():
        assert abs(sum(int(each.answer) for each in own) - len(own) / 2) <= 1


def test_a_rare_class_is_in_every_part_and_the_search_part_has_more_of_it_than_its_share(here: Path) -> None:
    body = "".join(f"sentence number {row}\t{int(row % 6 == 0)}\n" for row in range(120))
    Path("rows.tsv").write_text(f"sentence\tlabel\n{body}")
    found = prompt_data(sizes=Sizes(16, 40, None))
    rare = {split: sum(each.answer == "1" for each in own) for split, own in found.parts.items()}
    assert rare[Split.SEARCH] == 6, "a third of all twenty"
    assert rare[Split.SELECT] / 40 == pytest.approx(rare[Split.TEST] / len(found.parts[Split.TEST]), abs=0.02)


def test_the_order_of_a_file_does_not_matter_for_how_it_is_cut(here: Path) -> None:
    table("rows.tsv", 40)
    one = prompt_data()
    lines = Path("rows.tsv").read_text().splitlines()
    Path("rows.tsv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    other = prompt_data()
    assert [each.inputs for own in one.parts.values() for each in own] == [
        each.inputs for own in other.parts.values() for each in own
    ]


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.sampled_from("01")), min_size=1, max_size=60))
def test_cut_parts_never_share_an_example(drawn: list[tuple[str, str]]) -> None:
    examples = [example(text, answer) for text, answer in drawn]
    try:
        parts = cut(examples, Sizes(8, 8, None))
    except ConfigError:
        assert len({text for text, _ in drawn}) < 6
        return
    check_disjoint(parts)
    assert sum(map(len, parts.values())) == len({text for text, _ in drawn})


def test_what_stands_in_an_earlier_part_is_left_out_of_a_later_one_and_said(here: Path) -> None:
    given_parts = {
        Split.SEARCH: [example("One two."), example("three", "1"), example("one  TWO.")],
        Split.SELECT: [example("four"), example("THREE", "1")],
        Split.TEST: [example("five"), example("four")],
    }
    parts, notes = kept_apart(given_parts, "a prompt", Sizes())
    assert [len(parts[split]) for split in Split] == [2, 1, 1]
    assert notes == [
        "1 rows of the search part stand elsewhere already; they are left out.",
        "1 rows of the select part stand elsewhere already; they are left out.",
        "1 rows of the test part stand elsewhere already; they are left out.",
    ]


def test_an_example_that_the_prompt_shows_is_in_no_part(here: Path) -> None:
    shown = "a film of four words"
    everywhere = {split: [example(f"{split.value} {n}", str(n % 2)) for n in range(4)] for split in Split}
    everywhere[Split.TEST].append(example(shown))
    parts, notes = kept_apart(everywhere, "Review: A film of  four words\n{sentence}", Sizes())
    assert shown not in [each.inputs[0] for each in parts[Split.TEST]]
    assert notes == ["1 rows of the test part stand in the prompt itself; they are left out."]


def test_parts_that_share_an_example_are_never_accepted() -> None:
    with pytest.raises(ContractError, match="stands in the search part and in the test part"):
        check_disjoint({Split.SEARCH: (example("one"),), Split.TEST: (example("ONE"),)})


def test_the_search_part_takes_its_examples_from_all_classes_in_turn(here: Path) -> None:
    uneven = {split: [example(f"{split.value} {n}", "1" if n > 20 else "0") for n in range(30)] for split in Split}
    parts, _ = kept_apart(uneven, "", Sizes(search=10))
    assert [each.answer for each in parts[Split.SEARCH]] == ["0", "1"] * 5


def test_a_placeholder_may_be_called_as_its_column_with_a_number(here: Path) -> None:
    table("rows.tsv", 20)
    assert prompt_data(prompt="about {sentence_1} is").template.inputs == ("sentence_1",)


def test_a_prompt_is_made_of_demonstrations_that_are_in_no_part(here: Path) -> None:
    table("rows.tsv", 30)
    shots = FewShot(2, "Input: {sentence} Answer: {answer}", instruction="Say it.", separator="\n")
    found = prompt_data(prompt=shots, examples="rows.tsv")
    lines = found.template.text.split("\n")
    assert lines[0] == "Say it."
    assert [line.rpartition(" ")[2] for line in lines[1:5]] == ["red", "blue", "red", "blue"]
    assert lines[5] == "Input: {sentence} Answer:"
    everything = [each.inputs[0] for own in found.parts.values() for each in own]
    assert len(everything) == 26
    assert not [text for text in everything if f"Input: {text} " in found.template.text]


@pytest.mark.parametrize("braces", ["{sentence}", "{cat}", "{mask_token}", "{0}", "{"])
def test_braces_in_a_demonstration_are_text(here: Path, braces: str) -> None:
    body = "".join(f"row {row} of {braces} here\t{row % 2}\n" for row in range(30))
    Path("rows.tsv").write_text(f"sentence\tlabel\n{body}")
    found = prompt_data(prompt=FewShot(1, "Input: {sentence} Answer: {answer}", separator="\n"))
    assert found.template.slots == ("sentence",)
    shown, _, query = found.template.texts[0].rpartition("\n")
    assert shown.count(f"of {braces} here Answer:") == 2
    assert (query, found.template.texts[1]) == ("Input: ", " Answer:")
    assert Template.of(found.template.source, {"sentence"}) == found.template, "written out, they are escaped"


@pytest.mark.parametrize("braces", ["{sentence}", "{cat}"])
def test_a_demonstration_that_reads_as_a_placeholder_is_told_of_where_nothing_escapes(here: Path, braces: str) -> None:
    body = "".join(f"row {row} of {braces} here\t{row % 2}\n" for row in range(30))
    Path("rows.tsv").write_text(f"sentence\tlabel\n{body}")
    shots = FewShot(1, "Input: {sentence} Answer: {answer}", separator="\n")
    found = prompt_data(prompt=shots, marker=Marker.of("{}"))
    reads_as_one = braces == "{sentence}"
    assert found.template.alike == ("sentence" if reads_as_one else None)
    said = [note for note in found.notes if f"holds {braces}, as a placeholder is written" in note]
    assert len(said) == int(reads_as_one)


def test_an_instruction_may_hold_a_placeholder(here: Path) -> None:
    table("rows.tsv", 30)
    shots = FewShot(1, "Input: {sentence} Answer: {answer}", instruction="About {sentence}:", separator="\n")
    assert prompt_data(prompt=shots).template.inputs == ("sentence", "sentence")


@pytest.mark.parametrize(
    ("shots", "complaint"),
    [
        ({"shots": 40, "template": "{sentence} {answer}"}, "expected 40 examples with the answer '0' to show"),
        ({"shots": -1, "template": "{sentence} {answer}"}, "expected 0 or more, found -1"),
        ({"shots": 1, "template": "{sentence}"}, r"expected \{answer\} once, .* found it 0 times"),
        ({"shots": 1, "template": "{sentense} {answer}"}, r"nothing for the placeholder \{sentense\}; .* 'sentence'"),
        ({"shots": 1, "template": "Say {answer}"}, "expected a placeholder such as"),
        ({"shots": 1, "template": "{sentence} {answer} {sentence_1}"}, r"before \{answer\}, .* found \{sentence_1\}"),
        ({"shots": 1, "template": "{sentence} {answer}", "instruction": "{x}"}, r"nothing for the placeholder \{x\}"),
    ],
)
def test_demonstrations_that_cannot_be_are_refused(here: Path, shots: dict[str, Any], complaint: str) -> None:
    table("rows.tsv", 30)
    with pytest.raises(ConfigError, match=complaint):
        prompt_data(prompt=FewShot(**shots))


def test_a_prompt_is_read_from_a_file(here: Path) -> None:
    table("rows.tsv", 30)
    Path("prompt.txt").write_text("about {sentence} is\n")
    assert prompt_data(prompt="prompt.txt").template.text == "about {sentence} is"
    with pytest.raises(ConfigError, match=r"there is no file 'prompts\.txt'"):
        prompt_data(prompt="prompts.txt")


def test_classes_that_are_uneven_are_named(here: Path) -> None:
    body = "".join(f"sentence number {row}\t{int(row % 5 == 0)}\n" for row in range(100))
    Path("rows.tsv").write_text(f"sentence\tlabel\n{body}")
    notes = prompt_data(sizes=Sizes(32, 30, None)).notes
    assert any("The classes of the test part are uneven (0: " in note for note in notes)


def test_options_of_a_multiple_choice_are_letters_and_may_be_fewer(here: Path) -> None:
    rows = [{"q": n, "option_1": "x", "option_2": "y", "option_3": "" if n % 2 else "z", "a": n % 2} for n in range(12)]
    lines = "".join("\t".join(str(value) for value in row.values()) + "\n" for row in rows)
    Path("rows.tsv").write_text("question\toption_1\toption_2\toption_3\tanswer\n" + lines)
    found = prompt_data_of(
        Asked("{question} {option_1} {option_2} {option_3} is", "rows.tsv", "multiple-choice"), letters_tokenizer()
    )
    assert isinstance(found.task, Choosing)
    assert found.task.labels == ("A", "B", "C")
    assert {each.options for each in found.parts[Split.SEARCH]} == {2, 3}
    assert {each.answer for each in found.parts[Split.SEARCH]} == {"A", "B"}


def letters_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["<unk>", "A", "B", "C", "x", "y", "z", "is"])}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))  # noqa: S106  # a token of text
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")  # noqa: S106  # a token of text


@pytest.mark.parametrize(
    ("content", "more", "complaint"),
    [
        ("sentence\tlabel\na\t0\nb\t2\nc\t1\nd\t0\ne\t1\nf\t0\n", {}, "the answer is '2', which has no verbaliser"),
        ("sentence\tlabel\na\t0\nb\t0\nc\t0\nd\t0\ne\t0\nf\t0\n", {}, "all 2 rows of the search part .* answer '0'"),
        ("sentence\tlabel\na\t0\n \t1\n", {}, "row 3: expected a text in 'sentence', found nothing"),
        ("sentence\tlabel\na\t0\nb\t\n", {}, "row 3: expected a text in 'label', found nothing"),
        ("sentence\tmark\na\t0\n", {}, "expected a column called label, .* or gold, found sentence, mark"),
        ("sentence\tlabel\na\t0\nb\t1\n", {}, "at least 6 different rows to make three parts of, found 2"),
        ("sentence\tlabel\na\t0\n", {"answer": "lable"}, "no column 'lable'; .* did you mean 'label'"),
        ("sentence\tlabel\na\t0\n", {"verbalisers": None}, "expected a word for each answer of the examples .'0'"),
        ("sentence\tlabel\na\t0\n", {"verbalisers": {"0": "red"}}, "a word for each of two or more answers, found 1"),
        ("sentence\tlabel\na\t0\n", {"task": "generation"}, "answers are written freely in a generation task"),
        (ENOUGH, {"prompt": "{sentence} {mask_token}", "task": "generation", "verbalisers": None},
         r"a generation task cannot be answered in place of \{mask_token\}"),
        ("sentence\tlabel\na\t0\n", {"examples": {"search": "rows.tsv"}}, "a file for each of search, select and test"),
        ("sentence\tlabel\na\t0\n", {"examples": "film-review"}, "no file 'film-review' .* mean 'film-reviews'"),
    ],
)  # fmt: skip
def test_examples_that_cannot_be_used_are_refused(
    here: Path, content: str, more: dict[str, Any], complaint: str
) -> None:
    Path("rows.tsv").write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        prompt_data(**more)


def test_parts_of_different_forms_are_refused(here: Path) -> None:
    table("a.tsv", 6)
    table("b.tsv", 6, 10, "text\tlabel")
    with pytest.raises(ConfigError, match=r"b\.tsv has the columns text, label, the search part has sentence, label"):
        prompt_data(examples={"search": "a.tsv", "select": "b.tsv", "test": "a.tsv"})


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("q\tx\ty\tz\t5", "the answer is .*, and there are only 3 options|as a letter or as a number"),
        ("q\tx\t\t\t0", "expected two or more options, the last ones empty"),
        ("q\tx\t\tz\t0", "expected two or more options, the last ones empty"),
        ("q\tx\ty\tz\tmaybe", "expected the answer as a letter or as a number from 0, found 'maybe'"),
    ],
)
def test_multiple_choices_that_cannot_be_are_refused(here: Path, row: str, complaint: str) -> None:
    Path("rows.tsv").write_text(f"question\toption_1\toption_2\toption_3\tanswer\n{row}\n")
    asked = Asked("{question} {option_1} {option_2} {option_3} is", "rows.tsv", "multiple-choice")
    with pytest.raises(ConfigError, match=complaint):
        prompt_data_of(asked, letters_tokenizer())


@pytest.mark.parametrize("size", [0, 1, -3])
def test_a_part_of_less_than_two_examples_is_refused(size: int) -> None:
    with pytest.raises(ConfigError, match=f"search_examples: expected 2 or more, found {size}"):
        Sizes(search=size)


def test_the_built_in_reviews_are_even_and_share_nothing() -> None:
    asked = Asked("Review: {sentence} is", "film-reviews", verbalisers={"negative": "red", "positive": "blue"})
    found = prompt_data_of(asked, tokenizer())
    assert [len(found.parts[split]) for split in Split] == [32, 80, 120]
    assert found.notes == []
    for own in found.parts.values():
        assert sum(each.answer == "positive" for each in own) * 2 == len(own)
