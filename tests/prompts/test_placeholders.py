"""How placeholders are written: in braces that can be escaped, or between other signs; and how they are read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompts_for_tests import parts, prompt_tokens

from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.few_shot import FewShot
from emoprune.problems.prompts.earlier import of_earlier_prompt
from emoprune.problems.prompts.marker import BRACES, Marker
from emoprune.problems.prompts.options import TokenOptions
from emoprune.problems.prompts.template import Template

KNOWN = {"sentence"}
SIGNS = st.text(st.sampled_from("{}<>[]ab x\\\n"), max_size=12)


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("about {sentence} is", ("about ", " is")),
        ("def f({{x}}): {sentence}", ("def f({x}): ", "")),
        (r"\frac{{a}}{{b}} of {sentence}", (r"\frac{a}{b} of ", "")),
        ('{"text": "{sentence}", "label": "', ('{"text": "', '", "label": "')),
        ('{"a": {"b": "{sentence}"}}', ('{"a": {"b": "', '"}}')),
        ('{{"a": {{"b": "{sentence}"}}}}', ('{"a": {"b": "', '"}}')),
        ("{{{sentence}}}", ("{", "}")),
        ("{{sentence}} or {sentence}", ("{sentence} or ", "")),
    ],
)
def test_two_braces_are_one_of_the_text_and_a_single_one_is_itself(text: str, texts: tuple[str, ...]) -> None:
    found = Template.of(text, KNOWN)
    assert (found.texts, found.slots) == (texts, ("sentence",))


@pytest.mark.parametrize(
    ("marker", "text", "texts"),
    [
        ("<<{}>>", "{x} <<sentence>> {{y}} {sentence}", ("{x} ", " {{y}} {sentence}")),
        ("[[{}]]", r"\frac{a}{b} [[sentence]]", (r"\frac{a}{b} ", "")),
        ("{}", "{{sentence}} is", ("{", "} is")),
    ],
)
def test_placeholders_may_be_written_between_other_signs_and_nothing_is_an_escape_then(
    marker: str, text: str, texts: tuple[str, ...]
) -> None:
    found = Template.of(text, KNOWN, Marker.of(marker))
    assert (found.texts, found.slots) == (texts, ("sentence",))
    assert found.text == found.source == text


@pytest.mark.parametrize("given", ["", "<<>>", "<<{}", "{}>>", "<<{}>>{}"])
def test_a_marker_that_does_not_say_what_stands_around_a_name_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match=r"placeholder: expected what stands before .*, as in <<\{\}>>, found"):
        Marker.of(given)


def test_a_name_that_nothing_fills_is_refused_with_both_ways_out() -> None:
    with pytest.raises(ConfigError, match=r"write \{\{x\}\}, or choose another `placeholder`, as <<\{\}>>"):
        Template.written("f({x}) {sentence}", KNOWN)
    with pytest.raises(ConfigError, match=r"nothing for the placeholder <<x>>.*choose another `placeholder`"):
        Template.written("<<x>> <<sentence>>", KNOWN, Marker.of("<<{}>>"))
    with pytest.raises(ConfigError, match=r"found none in .* \(\{\{ and \}\} stand for braces of the text\)"):
        Template.of("about {{sentence}}", KNOWN)


@given(SIGNS, SIGNS, st.sampled_from(["{}", "<<{}>>", None]))
def test_what_is_written_out_is_read_back(before: str, after: str, given_marker: str | None) -> None:
    marker = Marker.of(given_marker)
    template = Template((before, after), ("sentence",), marker)
    if template.alike is None:
        read = Template._cut(template.source, KNOWN, marker)
        assert (read.texts, read.slots) == (template.texts, template.slots)
    else:
        assert not marker.escapes, "braces can always be doubled"


def test_a_prompt_with_code_is_searched_and_written_with_its_braces(model: Path, tmp_path: Path) -> None:
    problem = prompt_tokens(model, parts(tmp_path), prompt="the {{cat}} sees {{{{a}} {sentence} is")
    assert problem.describe(problem.space.full)["prompt"] == "the {cat} sees {{a} {sentence} is"
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    said = problem.export_as(problem.space.full, tmp_path, ("text", "json"), verify=True)
    assert said["answers_compared"] == 10
    written = (tmp_path / "prompt.txt").read_text().removesuffix("\n")
    assert written == "the {{cat}} sees {{{{a}} {sentence} is"
    assert written.format(sentence="it") == "the {cat} sees {{a} it is"


def test_a_prompt_with_another_marker_is_written_with_it(model: Path, tmp_path: Path) -> None:
    problem = prompt_tokens(model, parts(tmp_path), prompt="the {cat} sees <<sentence>> is", placeholder="<<{}>>")
    assert [gene.name for gene in problem.space.genes if gene.locked == 1] == ["5 <<sentence>>"]
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    assert problem.export_as(problem.space.full, tmp_path, ("text",), verify=True)["answers_compared"] == 10
    assert (tmp_path / "prompt.txt").read_text() == "the {cat} sees <<sentence>> is\n"


def test_demonstrations_are_written_as_their_template_has_it(model: Path, tmp_path: Path) -> None:
    shots = FewShot(1, '{{"text": "{sentence}", "label": "{answer}"}}', separator="\n")
    text = prompt_tokens(model, parts(tmp_path), prompt=shots)._task.data.template.text
    first, second, query = text.split("\n")
    assert first.endswith('"label": "red"}')
    assert second.endswith('"label": "blue"}')
    assert query == '{"text": "{sentence}", "label": "'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"prompt": "{{sentence}} is"}, {"prompt": "{{sentence}} is"}),
        ({"prompt": {"shots": 1, "template": "{sentence}:{answer}"}},
         {"prompt": {"shots": 1, "template": "{sentence}: {answer}"}}),
        ({"prompt": {"shots": 1, "template": "{sentence} {answer}."}},
         {"prompt": {"shots": 1, "template": "{sentence} {answer}."}}),
    ],
)  # fmt: skip
def test_a_run_of_before_there_were_escapes_goes_on_with_a_space_and_plain_braces(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    earlier = of_earlier_prompt({"name": "prompt-tokens", **given})
    then = {"reading": "words", "blocks": None, "between": "ending", "placeholder": "{}"}
    assert earlier == {"name": "prompt-tokens", **then, **expected}
    assert TokenOptions.of_earlier(earlier, ["accuracy"]) == earlier, "once only"
    assert Marker.of("{}") != BRACES
