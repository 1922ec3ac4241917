"""Examples in blocks: classes are dealt evenly, prompts are given up after a few of them, and calls are saved by it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from endpoint_for_tests import serving
from hypothesis import given
from hypothesis import strategies as st
from prompts_for_tests import VERBALISERS, parts, prompt_tokens, rows

import emoprune
from emoprune.contracts import blocks_of
from emoprune.errors import ConfigError
from emoprune.problems.prompts.blocks import LEAST, ExampleBlocks
from emoprune.problems.prompts.data.examples import Example, Parts
from emoprune.problems.prompts.options import TokenOptions
from emoprune.records import Split
from emoprune.run import Run


def examples_of(answers: str) -> Parts:
    """Return three parts that are alike, with an example for each letter, which is its answer."""
    own = tuple(Example((f"text {row}",), answer, f"row {row}") for row, answer in enumerate(answers))
    return dict.fromkeys(Split, own)


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=70), st.integers(2, 40))
def test_every_example_is_in_one_block_and_every_class_is_seen_before_anybody_is_given_up(
    answers: list[str], count: int
) -> None:
    dealt = ExampleBlocks.of(examples_of("".join(answers)), count, classes=True)
    assert dealt is not None
    rows = [row for block in dealt.rows[Split.SEARCH] for row in block.tolist()]
    assert sorted(rows) == list(range(len(answers)))
    assert len(dealt.rows[Split.SEARCH]) == min(count, len(answers)) == dealt.grades[-1]
    assert list(dealt.grades) == sorted(set(dealt.grades))
    for grade in dealt.grades[:-1]:
        seen = [answers[row] for block in dealt.rows[Split.SEARCH][:grade] for row in block.tolist()]
        assert len(seen) >= LEAST
        assert set(seen) == set(answers)


def test_the_first_examples_have_the_shares_of_all_though_the_file_is_sorted_by_class() -> None:
    dealt = ExampleBlocks.of(examples_of("a" * 48 + "b" * 16), 32, classes=True)
    assert dealt is not None
    assert dealt.grades == (4, 8, 16, 32)
    for grade in dealt.grades:
        rows = np.concatenate(dealt.rows[Split.SEARCH][:grade])
        assert (rows >= 48).mean() == pytest.approx(0.25, abs=0.1)
    assert len(set(np.diff(np.concatenate(dealt.rows[Split.SEARCH]).tolist()))) > 4, "not in the order of the file"


def test_a_class_with_one_example_is_in_the_first_grade() -> None:
    dealt = ExampleBlocks.of(examples_of("a" * 31 + "b"), 32, classes=True)
    assert dealt is not None
    assert 31 in np.concatenate(dealt.rows[Split.SEARCH][: dealt.grades[0]])


@pytest.mark.parametrize(("answers", "grades"), [("ab", (2,)), ("ab" * 4, (8,)), ("ab" * 8, (8, 16))])
def test_few_examples_have_few_grades(answers: str, grades: tuple[int, ...]) -> None:
    dealt = ExampleBlocks.of(examples_of(answers), 32, classes=True)
    assert dealt is not None
    assert dealt.grades == grades


def test_one_example_alone_is_no_blocks_at_all() -> None:
    assert ExampleBlocks.of(examples_of("a"), 32, classes=False) is None


def test_what_is_written_freely_has_no_classes_to_be_seen() -> None:
    dealt = ExampleBlocks.of(examples_of("abcdefghijklmnopqrstuvwxyzABCDEF"), 32, classes=False)
    assert dealt is not None
    assert dealt.grades == (8, 16, 32)


@pytest.mark.parametrize(
    ("more", "noisy"),
    [
        ({}, ("accuracy",)),
        ({"objectives": ["reward", "tokens"], "at_least": {"accuracy": 0.1}}, ("reward", "accuracy-floor")),
        ({"objectives": ["tokens"]}, ()),
        ({"blocks": None}, ()),
        ({"objectives": ["prompts_for_tests:Together", "accuracy"]}, ()),
    ],
)
def test_what_is_a_mean_over_examples_varies_and_what_takes_all_answers_together_is_measured_at_once(
    model: Path, examples: dict[str, str], more: dict[str, Any], noisy: tuple[str, ...]
) -> None:
    problem = prompt_tokens(model, examples, **more)
    assert tuple(problem.noisy) == noisy
    assert (blocks_of(problem) is None) == (not noisy)


def test_a_prompt_is_not_given_up_in_two_ways_at_once() -> None:
    with pytest.raises(ConfigError, match=r"stop_early: prompts are given up block by block now.*`blocks: null`"):
        TokenOptions(prompt="{sentence}", stop_early=True)
    with pytest.raises(ConfigError, match=r"halving: prompts are given up block by block now"):
        TokenOptions(prompt="{sentence}", halving=0.5)
    with pytest.raises(ConfigError, match="blocks: expected 2 or more, or null for none, found 1"):
        TokenOptions(prompt="{sentence}", blocks=1)


def test_a_run_of_before_there_were_blocks_goes_on_as_it_was() -> None:
    earlier = {"between": "auto", "stop_early": True, "halving": 0.5}
    own = TokenOptions(prompt="{sentence}", **TokenOptions.of_earlier(earlier, []))
    assert (own.blocks, own.stop_early, own.halving) == (None, True, 0.5)


def test_blocks_are_the_same_numbers_as_all_examples_at_once(
    model: Path, examples: dict[str, str], tmp_path: Path
) -> None:
    found = []
    for blocks in (4, None):
        measured = {"objectives": ["cross-entropy", "balanced-accuracy", "tokens"], "at_most": {"entropy": 9.0}}
        problem = prompt_tokens(model, examples, **measured, blocks=blocks)
        (tmp_path / str(blocks)).mkdir()
        problem.prepare(tmp_path / str(blocks), 1)
        problem.setup("cpu", 1)
        fewer = np.where(problem.space.free & (np.arange(len(problem.space)) % 2 == 0), 0, 1)
        genomes = np.stack([problem.space.full, fewer])
        found.append([problem.evaluate(genomes, np.zeros(2, dtype=np.uint64), split) for split in Split])
    assert np.allclose(found[0], found[1], atol=1e-5)


PROMPT = "the cat sees a dog and it likes the house |{sentence}| so it is"


def searched(folder: Path, grades: str) -> tuple[Run, int]:
    """Search a prompt in which one word decides whether a server answers rightly; return the run and all calls."""
    right = dict(rows(32))

    def said(messages: list[dict[str, str]]) -> str:
        text = messages[-1]["content"]
        return VERBALISERS[right[text.split("|")[1]]] if "cat" in text else "red"

    with serving(said=said) as served:
        config = {
            "problem": {
                "name": "prompt-tokens",
                "prompt": PROMPT,
                "keep": ["|{sentence}|"],
                "verbalisers": VERBALISERS,
                "examples": parts(folder, 16, 8, 8),
                "references": [],
                "endpoint": {"url": served.url, "model": "small", "api": "chat", "retries": 0},
            },
            "search": {"population": 10, "generations": 8, "seed": 2, "grades": grades},
            "evaluation": {"backend": "serial"},
        }
        search = emoprune.search(config, runs=folder / "runs", name=grades)
        list(search)
        return search.run, len(served.calls)


def test_a_candidate_that_is_given_up_early_saves_calls(tmp_path: Path) -> None:
    whole, calls = searched(tmp_path, "none")
    graded, fewer = searched(tmp_path, "auto")
    measured = Counter(each.measured for each in graded.all_evaluations())
    assert set(measured) == {8, 16}
    assert measured[8] >= 15
    calls_of: Counter[str] = Counter()
    for line in (graded.path / "problem" / "calls.jsonl").read_text().splitlines():
        account, made, *_ = json.loads(line)
        calls_of[account] += made
    asked = Counter(made for account, made in calls_of.items() if account.startswith("search"))
    assert asked[8] == measured[8], "what is given up is asked about no more"
    assert fewer < 0.9 * calls, "of which generation 0 and the fronts are a good part"
    best = {run.pareto.loc[run.pareto["rank"] == 1, "test.accuracy"].max() for run in (whole, graded)}
    assert best == {1.0}
    front = graded.pareto[graded.pareto["rank"] == 1]
    assert front[["obj.accuracy.se", "select.accuracy.se", "test.accuracy.se"]].notna().all(axis=None)
    assert graded.progress.spent["calls"] == f"{fewer:,}"
