"""When an answer is right, and what a measure is worth: checked against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from language_for_tests import tokenizer
from numpy.typing import NDArray
from prompts_for_tests import Letters

from emoprune.contracts import Direction, Sense
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.measures import Measures, measures_of
from emoprune.problems.prompts.objectives.contract import Answers, Seen
from emoprune.problems.prompts.options import TokenOptions
from emoprune.problems.prompts.scorers.contract import Choices
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.contract import Task
from emoprune.problems.prompts.tasks.words import choices_after
from emoprune.problems.prompts.tasks.writing import Writing, last_number

TWO = Choosing(("no", "yes"), Choices.one_each((" no", " yes"), (1, 2)))


class Said:
    """A prompt whose answers are known."""

    def __init__(self, logits: Sequence[Sequence[float]] = (), texts: Sequence[str] = ()) -> None:
        self._logits, self._texts = np.array(logits, dtype=np.float64), texts

    def choices(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._logits[rows]

    def refusal(self, answer_tokens: int) -> str | None:
        return None

    def continuations(self, rows: NDArray[np.int64], limit: int, stop: str) -> list[str]:
        return [self._texts[row] for row in rows.tolist()]


def examples(*answers: str, options: int | None = None) -> list[Example]:
    return [Example((f"text {row}",), answer, f"row {row}", options) for row, answer in enumerate(answers)]


def judged_by(
    task: Task, said: Said, asked: Sequence[Example], rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return what is measured of some of the examples, each by itself."""
    return measures(["accuracy"], task=task).of_examples(Seen("a prompt", 2, task.answers(said, asked, rows)))


def measures(
    names: Sequence[Any], at_most: Any = None, at_least: Any = None, *, task: Task = TWO, tokens: int = 55
) -> Measures:
    options = TokenOptions(prompt="", objectives=names, at_most=at_most, at_least=at_least)
    unpruned = Seen("a whole prompt", tokens, Answers.none())
    return measures_of(options, "prompt-tokens", known=task.known, unpruned=unpruned)


def test_the_measures_of_chosen_answers_are_what_they_say() -> None:
    # Probabilities of yes: 0.8, 0.25, 0.5.
    said = Said([[0.0, math.log(4)], [math.log(3), 0.0], [1.0, 1.0]])
    judged = judged_by(TWO, said, examples("yes", "yes", "no"), np.arange(3))
    assert judged["accuracy"].tolist() == [1.0, 0.0, 0.0], "a tie is no answer"
    assert judged["reward"] == pytest.approx([200 * 0.6, 180 * -0.5, 0.0])
    assert judged["cross-entropy"] == pytest.approx([-math.log(0.8), -math.log(0.25), math.log(2)])
    assert judged["entropy"][2] == pytest.approx(math.log(2))
    # The mean of both classes' accuracies: 1/2 of yes and 0 of no.
    assert judged["balanced-accuracy"].mean() == pytest.approx(0.25)


def test_only_some_of_the_examples_are_judged_by_their_own_answers() -> None:
    said = Said([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    judged = judged_by(TWO, said, examples("yes", "no", "no"), np.array([2, 0]))
    assert judged["accuracy"].tolist() == [1.0, 0.0]


def test_an_option_that_a_question_does_not_have_is_never_chosen() -> None:
    letters = Choosing(("A", "B", "C"), Choices.one_each((" A", " B", " C"), (1, 2, 3)))
    said = Said([[1.0, 0.0, 9.0], [1.0, 0.0, 9.0]])
    questions = [*examples("A", options=2), *examples("C", options=3)]
    judged = judged_by(letters, said, questions, np.arange(2))
    assert judged["accuracy"].tolist() == [1.0, 1.0]
    assert judged["cross-entropy"][0] == pytest.approx(math.log(1 + math.exp(-1)))
    assert np.isfinite(np.concatenate(list(judged.values()))).all()


@given(st.lists(st.lists(st.floats(-30, 30), min_size=2, max_size=2), min_size=1, max_size=12))
def test_measures_are_finite_and_within_their_bounds(logits: list[list[float]]) -> None:
    answers = ["yes" if row % 2 else "no" for row in range(len(logits))]
    judged = judged_by(TWO, Said(logits), examples(*answers), np.arange(len(logits)))
    assert ((judged["reward"] >= -180) & (judged["reward"] <= 200)).all()
    assert (judged["cross-entropy"] >= 0).all()
    assert ((judged["entropy"] >= -1e-12) & (judged["entropy"] <= math.log(2) + 1e-12)).all()
    assert all(np.isfinite(values).all() for values in judged.values())
    # Where two answers differ by less than rounding, the likelier one is right and the gap is none.
    clear = np.abs(np.subtract(*np.transpose(logits))) > 1e-6
    signs = np.where(judged["accuracy"] > 0, 1.0, -1.0)
    assert (np.sign(judged["reward"]) == signs)[clear].all()
    assert np.allclose(judged["reward"][~clear], 0, atol=1e-3)


def test_answers_that_are_not_numbers_are_no_answers() -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        TWO.answers(Said([[math.nan, 1.0]]), examples("yes"), np.arange(1))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 42.", "42"),
        ("3 + 4 = 7, so 1,234.50", "1234.50"),
        ("#### -12", "-12"),
        ("none at all", None),
        ("", None),
        ("7 apples and .5 pears", "0.5"),
    ],
)
def test_the_last_number_of_a_text_is_found(text: str, number: str | None) -> None:
    assert last_number(text) == (None if number is None else Decimal(number))


def test_a_written_answer_is_right_if_its_last_number_or_all_of_its_text_matches() -> None:
    wanted = examples("2 + 2 is #### 4", "10")
    by_number = Writing().answers(Said(texts=["I say 4.0", "9 or 1"]), wanted, np.arange(2))
    assert by_number.right.tolist() == [1.0, 0.0]
    by_text = Writing(match="text").answers(Said(texts=["  Paris ", "Rome"]), examples("paris", "Oslo"), np.arange(2))
    assert by_text.right.tolist() == [1.0, 0.0]
    assert by_text.written == ("  Paris ", "Rome")


def test_written_answers_that_cannot_be_judged_are_refused() -> None:
    with pytest.raises(ConfigError, match="row 0: expected a number in the answer, found 'four'"):
        Writing().check_answers(examples("four"), "search")
    with pytest.raises(ConfigError, match="all 2 rows of the search part have the answer '4'"):
        Writing().check_variety(examples("4", "4.0"), "search")
    with pytest.raises(ConfigError, match="answer_tokens: expected 1 or more, found 0"):
        Writing(0)


def test_words_follow_the_prompt_with_a_space_where_there_is_none() -> None:
    def words(given: list[str], ending: str, tokens: Any = None) -> dict[str, tuple[str, ...]]:
        found = choices_after([[word] for word in given], ending, tokens)
        return {name: choices.words for name, choices in found.items()}

    assert words(["red", "blue"], "it is", tokenizer()) == {"space": (" red", " blue")}, "isred is no word"
    assert words(["red", " blue"], "it is\n", tokenizer()) == {"nothing": ("red", " blue")}
    assert words(["red", "blue"], "", tokenizer()) == {"space": (" red", " blue")}
    assert words(["red", "blue"], "it is (", tokenizer()) == {"space": (" red", " blue")}, "the same tokens without"
    told_by_text = {"space": (" red", " all"), "nothing": ("red", "all")}
    assert words(["red", "all"], "it is", None) == told_by_text
    (ending,) = choices_after([["red"], ["blue"]], "it is", None, between="ending").values()
    assert ending == Choices.one_each((" red", " blue"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["red", "unheardof"], "' unheardof' is not known to this model, to which it is '<unk>'"),
        (["red", "red"], "expected a different word for each class, found ' red' twice"),
        (["red", "red "], "are the same token 17 to this model"),
        (["red", ""], "expected a word, found ' ', which is no token to this model"),
    ],
)
def test_words_that_are_not_one_token_of_their_own_are_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        choices_after([[word] for word in words], "it is", tokenizer())


def test_a_mask_is_filled_with_one_token() -> None:
    with pytest.raises(
        ConfigError, match=r"one token, which is all that a mask .* found 2 for ' blue cat': 'blue', 'cat'"
    ):
        choices_after([["red"], ["blue cat"]], "", tokenizer(), masked=True)


def test_a_word_that_grows_together_with_the_prompt_is_refused() -> None:
    class Greedy:
        unk_token_id = None

        def __call__(self, text: str, **options: object) -> dict[str, list[int]]:
            return {"input_ids": [len(part) for part in text.split(":")] if " " in text else [0]}

    with pytest.raises(ConfigError, match="grows together with the end of the prompt"):
        choices_after([["a"], ["b"]], "x:", Greedy())


def test_measures_become_objectives_and_bounds() -> None:
    found = measures(["accuracy", "tokens"], {"tokens": 40.0}, {"reward": 10.0})
    assert [(each.name, each.direction, each.worst) for each in found.objectives] == [
        ("accuracy", Direction.MAXIMISE, 0.0),
        ("tokens", Direction.MINIMISE, 55),
    ]
    assert [(each.name, each.bound, each.sense) for each in found.constraints] == [
        ("tokens-bound", 40.0, Sense.AT_MOST),
        ("reward-floor", 10.0, Sense.AT_LEAST),
    ]
    assert found.row({"accuracy": 0.5, "tokens": 30.0, "reward": -3.0}) == [0.5, 30.0, 30.0, -3.0]
    assert found.quality == measures(["tokens", "accuracy"]).quality == measures(["tokens"]).quality == "accuracy"


@dataclass(frozen=True)
class Spread:
    """How much what answers are worth differs, in all examples together."""

    power: float = 1.0
    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        return float(np.ptp(seen.answers.right) ** self.power)


@dataclass(frozen=True)
class Hits:
    """Right answers, in hundreds."""

    unit: ClassVar[str] = "%"
    direction: ClassVar[Direction] = Direction.MAXIMISE
    best: ClassVar[float] = 100.0
    worst: ClassVar[float | None] = 0.0
    many: bool = False

    def __call__(self, seen: Seen) -> NDArray[np.float64]:
        return 100 * (seen.answers.right[:, None] if self.many else seen.answers.right)


def seen(*right: float) -> Seen:
    """Return a prompt with answers of which some are right, to examples of one class of two."""
    gold = np.zeros(len(right), dtype=np.int64)
    return Seen("a prompt", 2, Answers(np.array(right), np.zeros((len(right), 2)), gold, np.array([3, 1])))


def test_measures_of_a_stranger_are_of_the_prompt_of_each_example_or_of_all_answers_together() -> None:
    given = [f"{__name__}:Letters", {"name": f"{__name__}:Spread", "power": 2}, f"{__name__}:Hits"]
    found = measures(given, {"Letters": 9.0, f"{__name__}:Spread": 1.0})
    assert [(each.name, each.unit, each.worst) for each in found.objectives] == [
        ("Letters", "letters", 14.0),
        ("Spread", "", None),
        ("Hits", "%", 0.0),
    ]
    assert [each.name for each in found.constraints] == ["Letters-bound", "Spread-bound"]
    assert found.quality == "Spread"
    parts = [seen(1.0, 1.0), seen(0.0)]
    assert found.of_examples(parts[0])["Hits"].tolist() == [100.0, 100.0]
    assert found.of_prompt(parts[0])["Letters"] == 8.0
    assert found.of_answers(parts[:1]) == {"Spread": 0.0}
    assert found.of_answers(parts) == {"Spread": 1.0}


def test_a_number_per_example_that_is_none_is_refused() -> None:
    found = measures([{"name": f"{__name__}:Hits", "many": True}])
    with pytest.raises(ContractError, match=r"objective 'Hits': expected a number per example, shape \(2,\), found"):
        found.of_examples(seen(1.0, 1.0))


accuracy = Letters  # called as one that there is


@pytest.mark.parametrize(
    ("names", "bounds", "complaint"),
    [
        ([], {}, r"objectives: expected one or more, each once, found \[\]"),
        (["tokens", "tokens"], {}, "objectives: expected one or more, each once"),
        (["acuracy"], {}, "objectives: no objective is called 'acuracy'; did you mean 'accuracy'"),
        (["accuracy"], {"speed": 1.0}, "at_most: no objective is called 'speed'"),
        ([f"{__name__}:accuracy"], {}, "'.*:accuracy' would be called 'accuracy', as 'accuracy' is; rename its class"),
        ([{"name": f"{__name__}:Spread", "pover": 2}], {}, "pover: unknown option .* did you mean 'power'"),
    ],
)
def test_measures_that_there_are_not_are_refused(names: list[Any], bounds: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        measures(names, bounds)


def test_what_takes_probabilities_of_choices_is_no_measure_of_written_answers() -> None:
    with pytest.raises(ConfigError, match=r"'entropy' is no measure of this task, .* expected one of accuracy, tokens"):
        measures(["entropy"], task=Writing())
    assert measures(["accuracy"], task=Writing()).names == ("accuracy", "tokens")
