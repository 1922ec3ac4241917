from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from emoprune import plugins
from emoprune.commands.questions import Question, answered, offers_no
from emoprune.contracts import Audit, Finding
from emoprune.errors import ConfigError, ContractError


class Asked:
    def audit(
        self,
        candidates: Sequence[int],
        folder: Path,
        *,
        epochs: Annotated[int, Field(ge=1)] = 5,
        mode: Literal["fast", "slow"] = "fast",
        shares: tuple[float, ...] = (),
    ) -> Audit:
        sentence = f"{len(candidates)} {folder} {epochs} {mode} {shares}"
        return Audit([Finding("said", 0.0, None, None, False, sentence)])

    def inspect(self) -> dict[str, int]:
        return {}

    def recover(self, genome: object, *, target: float) -> None: ...

    def unreadable(self, *, size: NotImportedAnywhere = 1) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # the point of the test


def complaints(member: str, *words: str) -> list[str]:
    with pytest.raises(ConfigError, match=r".") as caught:
        Question.of(getattr(Asked(), member), words)
    return str(caught.value).split("\n")


def test_options_are_given_as_declared_and_settled_as_plain_data_with_defaults() -> None:
    question = Question.of(Asked().audit, ["epochs=3", "shares=[0.5, 1]"])
    assert question.given == {"epochs": 3, "shares": (0.5, 1.0)}
    assert question.settled == {"epochs": 3, "mode": "fast", "shares": [0.5, 1.0]}
    found = answered(question, ([7, 8], Path("f")), Audit)
    assert found.findings[0].sentence == "2 f 3 fast (0.5, 1.0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    epochs: Annotated[int, Field(ge=1)] = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Own(Shared):
    mode: Literal["fast", "slow"] = "fast"


class Taking:
    @plugins.taking(Own)
    def recover(self, genome: object, folder: Path, seed: int, **given: Any) -> Own:
        return Own(**given)


def test_a_member_that_takes_the_options_of_a_record_is_asked_as_if_they_were_its_own() -> None:
    question = Question.of(Taking().recover, ["mode=slow"])
    assert question.settled == {"epochs": 5, "mode": "slow"}
    assert answered(question, (0, Path("f"), 1), Own) == Own(mode="slow")
    with pytest.raises(ConfigError, match=r"--set genome=1: unknown option of recover \(there are: epochs, mode\)"):
        Question.of(Taking().recover, ["genome=1"])
    with pytest.raises(ConfigError, match="--set epochs=0: expected an integer >= 1, found 0"):
        Question.of(Taking().recover, ["epochs=0"])


def test_the_last_of_two_words_for_one_option_holds() -> None:
    assert Question.of(Asked().audit, ["epochs=3", "epochs=4"]).given == {"epochs": 4}


def test_arguments_before_the_star_are_not_the_users_to_give() -> None:
    assert complaints("audit", "candidates=[]") == [
        "1 error in the options of audit",
        "--set candidates=[]: unknown option of audit (there are: epochs, mode, shares)",
    ]


def test_every_mistake_is_said_at_once_each_with_its_word() -> None:
    said = complaints("audit", "epocs=3", "mode=fsat", "shares=[1, x]", "epochs", "epochs=0")
    assert said[0] == "5 errors in the options of audit"
    assert set(said[1:]) == {
        "--set epochs: expected KEY=VALUE, for instance epochs=3",
        "--set epocs=3: unknown option of audit; did you mean 'epochs'?",
        "--set mode=fsat: expected one of 'fast', 'slow', found 'fsat'; did you mean 'fast'?",
        "--set shares=[1, x]: shares.1: expected a number, found 'x'",
        "--set epochs=0: expected an integer >= 1, found 0",
    }


def test_a_missing_option_is_named_with_what_it_takes() -> None:
    assert complaints("recover") == ["1 error in the options of recover", "target: required: a number"]


def test_a_member_without_options_takes_none() -> None:
    assert Question.of(Asked().inspect, []).given == {}
    assert complaints("inspect", "a=1")[1] == "--set a=1: unknown option of inspect, which takes none; remove it"


def test_a_value_that_is_no_yaml_is_said_to_be_none() -> None:
    assert "its value is wrong: " in complaints("audit", "epochs=[3")[1]


def test_annotations_that_cannot_be_read_are_the_problems_fault() -> None:
    with pytest.raises(ContractError, match=r"unreadable: its arguments cannot be read as options: .*; annotate them"):
        Question.of(Asked().unreadable, [])


def test_an_answer_of_another_kind_is_refused_with_the_member_that_gave_it() -> None:
    with pytest.raises(ContractError, match=r"Asked\.inspect: expected Audit in return, found dict"):
        answered(Question.of(Asked().inspect, []), (), Audit)


def test_what_a_problem_does_not_offer_is_said_with_the_missing_member() -> None:
    said = str(offers_no(Asked(), "export_as", "formats"))
    assert said.startswith("Asked offers no formats: it has no member 'export_as'; ")
    assert "What a problem may offer besides" in said
