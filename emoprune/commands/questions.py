"""How a problem is asked for what it may offer: whether it does, with which options of its own, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from emoprune import plugins
from emoprune.config.source import MAPPING, Given, with_overrides
from emoprune.errors import ConfigError, ContractError
from emoprune.plugins.complaints import Complaint, Place, as_error, from_validation

__all__ = ["Question", "answered", "offers_no"]

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Question:
    """A member of a problem with the checked options it will be called with.

    `given` are those the user gave; `settled` are all of them as plain data, to be written down.
    """

    member: Callable[..., object]
    given: Mapping[str, Any]
    settled: Mapping[str, Any]

    @classmethod
    def of(cls, member: Callable[..., object], words: Sequence[str]) -> Question:
        """Read the keyword-only options of `member` from words such as `epochs=3`; the values are YAML.

        Raises:
            ConfigError: Everything that is wrong with the words, one line for each mistake.
            ContractError: The member's annotations cannot be read.
        """
        pairs = [word for word in words if "=" in word]
        written = with_overrides(Given(MAPPING, None, None, {}, {}, ()), pairs, {}, lambda _: False)
        complaints = [
            Complaint((), "expected KEY=VALUE, for instance epochs=3", Place(0, f"--set {word[:80]}"))
            for word in words
            if word not in pairs
        ]
        complaints += written.complaints
        try:
            checked = plugins.checked_options(member, written.values, keyword_only=True)
        except ValidationError as error:
            model = plugins.options_model(member, keyword_only=True)
            complaints += from_validation(error, model, written.values, key=f"option of {_name(member)}")
            raise as_error(complaints, written.place, f"the options of {_name(member)}") from error
        if complaints:
            raise as_error(complaints, written.place, f"the options of {_name(member)}")
        return cls(member, plugins.given_options(checked), plugins.plain_options(checked))


def _name(member: Callable[..., object]) -> str:
    return str(getattr(member, "__name__", type(member).__name__))


def answered(question: Question, arguments: Sequence[object], kind: type[Answer]) -> Answer:
    """Call the member with `arguments` and its options; the answer is a `kind`.

    Raises:
        ContractError: The answer is something else.
    """
    answer = question.member(*arguments, **question.given)
    if not isinstance(answer, kind):
        owner = type(getattr(question.member, "__self__", None)).__name__
        found = type(answer).__name__
        raise ContractError(f"{owner}.{_name(question.member)}: expected {kind.__name__} in return, found {found}")
    return answer


def offers_no(problem: object, member: str, what: str) -> ConfigError:
    """Return the error that says that a problem lacks an optional member, and what can be done."""
    return ConfigError(
        f"{type(problem).__name__} offers no {what}: it has no member {member!r}; choose another problem, or add what "
        "docs/write-a-problem.md says under 'What a problem may offer besides'"
    )
