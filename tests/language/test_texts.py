"""Texts and labelled sentences from files, and what is said of files that are of another form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emoprune.errors import ConfigError
from emoprune.problems.language.labelled import labelled_texts
from emoprune.problems.language.tabular import tabular_file
from emoprune.problems.language.texts import text_named


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_text_that_comes_with_python_is_long_english() -> None:
    text = text_named("python-topics")
    assert len(text) > 300_000
    assert text.count(" the ") > 1000


def test_a_text_is_a_file_a_folder_of_files_or_the_sentences_of_a_table(here: Path) -> None:
    (here / "one.txt").write_text("one\n")
    (here / "two.txt").write_text("two\n")
    (here / "rows.tsv").write_text('sentence\tlabel\nsaid "so\t1\nyes\t0\n')
    assert text_named("one.txt") == "one\n"
    assert text_named(str(here)) == "one\n\n\ntwo\n"
    assert text_named("rows.tsv") == 'said "so\nyes'


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("none.txt", None, "there is no file or folder 'none.txt'"),
        ("latin.txt", b"caf\xe9", "latin.txt cannot be read as UTF-8"),
        ("python-topic", None, "did you mean 'python-topics'"),
    ],
)
def test_a_text_that_cannot_be_read_says_why(here: Path, name: str, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (here / name).write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        text_named(name)


def test_a_folder_without_texts_says_so(here: Path) -> None:
    (here / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"'empty' has no \*\.txt files"):
        text_named("empty")


def test_a_tsv_file_knows_no_quotes_and_a_csv_file_does(here: Path) -> None:
    (here / "rows.tsv").write_text('sentence\tlabel\n"odd\t1\nfine, really\t0\n')
    (here / "rows.csv").write_text('text,class\n"fine, ""really""",good\nbad one,bad\n')
    tabs, commas = labelled_texts("rows.tsv"), labelled_texts("rows.csv")
    assert (tabs.texts, tabs.names, tabs.labels.tolist()) == (('"odd', "fine, really"), ("0", "1"), [1, 0])
    assert (commas.texts, commas.names) == (('fine, "really"', "bad one"), ("bad", "good"))
    assert commas.labels.tolist() == [1, 0]
    assert commas.rows(np.array([1])).texts == ("bad one",)


def test_labels_that_are_numbers_keep_their_own_order(here: Path) -> None:
    (here / "rows.csv").write_text("text,label\na,10\nb,9\nc,-1\n")
    assert labelled_texts("rows.csv").names == ("-1", "9", "10")


@pytest.mark.parametrize(
    ("header", "asked", "texts", "unread"),
    [
        ("premise,hypothesis,label", (), ("a b", "c d"), ()),
        ("question1,question2,label", (), ("a b", "c d"), ()),
        ("question,sentence,label", (), "c d", ("question",)),
        ("question,sentence,label", ("Question", "sentence"), ("a b", "c d"), ()),
        ("context,claim,label", ("claim",), "c d", ()),
    ],
)
def test_two_texts_of_a_row_are_a_pair_if_their_columns_say_so_and_else_one_is_named_as_unread(
    header: str, asked: tuple[str, ...], texts: object, unread: tuple[str, ...], here: Path
) -> None:
    (here / "rows.csv").write_text(f"{header}\na b,c d,0\na b,c d,1\n")
    found = labelled_texts("rows.csv", asked)
    assert (found.texts[0], found.unread) == (texts, unread)
    assert found.rows([1]).texts == (texts,)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "rows.csv is empty"),
        ("text,label\n", "has a header and no rows"),
        ("words,label\na,1\n", "expected a column called sentence, text, review or title, found 'words', 'label'"),
        ("text,mark\na,1\n", "expected a column called label, labels, class or target"),
        ("text,label\na,1\nb\n", "row 3: expected 2 columns"),
        ("text,label\na,1\nb,\n", "row 3: expected a label, found nothing"),
        ("text,label\na,1\nb,1\n", "expected at least 2 classes, found only '1'"),
        (b"text,label\ncaf\xe9,1\n", "cannot be read"),
    ],
)
def test_a_table_of_another_form_says_where(here: Path, content: str | bytes, complaint: str) -> None:
    (here / "rows.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError, match=complaint):
        labelled_texts("rows.csv")


def test_a_table_that_is_not_there_says_what_was_expected() -> None:
    with pytest.raises(ConfigError, match="expected a CSV or TSV file with the columns sentence and label"):
        labelled_texts("none.csv")


def test_rows_of_json_lines_are_read_as_texts_by_column(here: Path) -> None:
    (here / "rows.jsonl").write_text('{"Sentence": "a\u2028b", "label": 1}\n\n{"label": null, "Sentence": "c"}\n')
    found = tabular_file(here / "rows.jsonl")
    assert found.as_mappings() == [{"sentence": "a\u2028b", "label": "1"}, {"sentence": "c", "label": ""}]
    assert found.lines == (1, 3)


def test_a_sentence_may_go_over_lines_in_a_csv_file_and_hold_what_others_take_for_line_ends(here: Path) -> None:
    (here / "rows.csv").write_text('text,label\n"over\ntwo lines",1\nnext\x85one,0\n')
    found = tabular_file(here / "rows.csv")
    assert [row[0] for row in found.rows] == ["over\ntwo lines", "next\x85one"]
    assert found.lines == (2, 4)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("\n", "rows.jsonl is empty; expected one JSON object per line"),
        ('{"a": 1}\n{"a": 1\n', "row 2: expected a JSON object, found .* mend it"),
        ('{"a": 1}\n[1]\n', r"row 2: expected a JSON object of texts and numbers, found '\[1\]'"),
        ('{"a": {"b": 1}}\n', "row 1: expected a JSON object of texts and numbers"),
        ('{"a": 1}\n{"b": 1}\n', "row 2: expected the members of the first row, found a difference in a, b"),
    ],
)
def test_json_lines_of_another_form_say_where(here: Path, content: str, complaint: str) -> None:
    (here / "rows.jsonl").write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        tabular_file(here / "rows.jsonl")
