"""Prompts in spans: placeholders, the tokens between them, and one genome for each text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from language_for_tests import tokenizer

from emoprune.errors import ConfigError
from emoprune.problems.prompts.spans import ByToken, ByWord, Spans
from emoprune.problems.prompts.template import Template

KNOWN = {"sentence", "other"}
texts = st.text(st.sampled_from("ab \n.é"), max_size=12)
NOTHING_LOCKED = np.zeros(0, dtype=np.bool_)


def cut(text: str) -> Spans:
    return Spans.of(Template.of(text, KNOWN), ByWord())


def test_a_prompt_is_texts_with_placeholders_between_them() -> None:
    template = Template.of("Say {sentence} or\n{other}", KNOWN)
    assert template.texts == ("Say ", " or\n", "")
    assert template.inputs == ("sentence", "other")
    assert template.text == "Say {sentence} or\n{other}"
    assert template.about(["this", "that"]) == "Say this or\nthat"


def test_what_fills_a_placeholder_is_never_taken_for_one() -> None:
    assert Template.of("{sentence}, {other}", KNOWN).about(["{other}", "x"]) == "{other}, x"


def test_braces_around_anything_but_a_word_are_plain_text() -> None:
    assert Template.of('{"a": {sentence}}', KNOWN).about(["1"]) == '{"a": 1}'


def test_a_mask_is_filled_in_by_the_model_and_not_by_an_example() -> None:
    template = Template.of("{sentence} It was {mask_token}.", KNOWN)
    assert template.masked
    assert template.inputs == ("sentence",)
    assert template.about(["Good."], "<mask>") == "Good. It was <mask>."


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Say something.", "expected a placeholder such as .* found none in 'Say something.'"),
        ("It was {mask_token}.", "expected a placeholder such as"),
        ("{sentense}", r"nothing for the placeholder \{sentense\}; expected some of .* did you mean 'sentence'"),
        ("{sentence} {mask_token} {mask_token}", "at most once, found it 2 times"),
    ],
)
def test_a_prompt_that_cannot_be_filled_in_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Template.written(text, KNOWN).check(KNOWN)


def test_of_what_is_read_again_only_the_known_names_are_placeholders() -> None:
    template = Template.of("a {cat} and {sentence}", {"sentence"})
    assert template == Template(("a {cat} and ", ""), ("sentence",))


def test_parts_are_joined_without_being_read_again() -> None:
    shown, query = Template(("see {sentence}",), ()), Template.of("about {sentence} is", KNOWN)
    joined = Template.joined([shown, query], "\n")
    assert joined == Template(("see {sentence}\nabout ", " is"), ("sentence",))
    assert joined.about(["x"]) == "see {sentence}\nabout x is"
    assert joined.source == "see {{sentence}}\nabout {sentence} is"
    assert query.source == query.text


@given(texts, texts)
def test_spans_joined_are_the_prompt_and_all_of_them_kept_is_the_whole(before: str, after: str) -> None:
    template = Template((before, after), ("sentence",))
    spans = Spans.of(template, ByWord())
    assert "".join(spans.texts) == template.text
    assert spans.template(np.ones(len(spans), dtype=np.bool_)) == template
    assert spans.slots.sum() == 1


@given(texts, texts, st.integers(0, 2**32 - 1))
def test_the_canonical_genome_keeps_the_same_text_and_every_text_has_one(before: str, after: str, seed: int) -> None:
    spans = Spans.of(Template((before, after), ("sentence",)), ByWord())
    rng = np.random.default_rng(seed)
    genomes = (rng.random((6, len(spans))) < rng.random((6, 1))).astype(np.int64) | spans.slots
    fixed = spans.canonical(genomes, spans.fixed)
    kept = [spans.template(genome > 0) for genome in genomes]
    assert [spans.template(genome > 0) for genome in fixed] == kept
    by_text = {template.text: tuple(genome) for template, genome in zip(kept, fixed.tolist(), strict=True)}
    assert all(by_text[template.text] == tuple(own) for template, own in zip(kept, fixed.tolist(), strict=True))
    assert np.array_equal(spans.canonical(fixed, spans.fixed), fixed)


def test_of_equal_words_the_first_ones_stay() -> None:
    spans = cut("very very very {sentence}")
    genomes = np.array([[0, 0, 1, 1, 1], [0, 1, 0, 1, 1]])
    # The first word has no space before it, so it is another span than the second.
    assert spans.texts[:3] == ("very", " very", " very")
    assert spans.canonical(genomes, spans.fixed).tolist() == [[0, 1, 0, 1, 1], [0, 1, 0, 1, 1]]


def test_a_text_that_can_be_kept_as_one_span_or_as_two_has_one_genome() -> None:
    spans = Spans(("a", "b", "ab", "{sentence}"), np.array([False, False, False, True]), ("sentence",))
    genomes = np.array([[0, 0, 1, 1], [1, 1, 0, 1]])
    assert spans.canonical(genomes, spans.fixed).tolist() == [[1, 1, 0, 1], [1, 1, 0, 1]]


def test_no_text_moves_over_a_placeholder_or_a_span_that_stays() -> None:
    spans = cut("a {sentence} a")
    assert spans.canonical(np.array([[0, 1, 1, 1]]), spans.fixed).tolist() == [[0, 1, 1, 1]]
    words = cut("x a b a {sentence}")
    locked = words.fixed | words.overlapping([" b"])
    genome = np.array([[0, 0, 1, 1, 1, 1]])
    assert words.canonical(genome, locked).tolist() == genome.tolist()


def test_spaces_before_a_placeholder_stay_with_it() -> None:
    spans = cut("Review: {sentence} end")
    assert spans.texts == ("Review:", " ", "{sentence}", " end")
    assert spans.fixed.tolist() == [False, True, True, False]


def test_spans_of_a_kept_text_are_found_wherever_it_stands() -> None:
    spans = cut("the cat the dog {sentence}")
    assert spans.overlapping(["the d", "og"]).tolist() == [False, False, True, True, False, False]
    assert not spans.overlapping(["bird", ""]).any()


def test_what_lies_between_two_tokens_belongs_to_the_second() -> None:
    assert ByToken(tokenizer()).split("the cat  likes it") == ["the", " cat", "  likes", " it"]
    assert ByToken(tokenizer()).split("") == []
    assert ByToken(tokenizer()).count("the cat  likes it") == 4


@given(st.text(max_size=20))
def test_tokens_never_lose_a_character(text: str) -> None:
    assert "".join(ByToken(tokenizer()).split(text)) == text
    assert "".join(ByWord().split(text)) == text


def test_tokens_that_share_a_character_are_one_piece() -> None:
    class Halves:
        def __call__(self, text: str, **options: object) -> dict[str, object]:
            return {"offset_mapping": [(0, 1), (1, 3), (2, 3), (3, 4)]}

    assert ByToken(Halves()).split("a é.") == ["a", " é", "."]
