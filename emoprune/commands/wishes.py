"""What a person wishes of one candidate of a front, in the words of the command line, checked and read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emoprune.errors import ConfigError

__all__ = ["Condition", "Margin", "Wishes"]

OPERATORS: Mapping[str, Callable[[Any, float], Any]] = {
    "<=": np.less_equal,
    ">=": np.greater_equal,
    "<": np.less,
    ">": np.greater,
    "=": np.equal,
}
CONDITION = re.compile(r"\s*([^<>=]+?)\s*(<=|>=|<|>|==?)\s*([^<>=%]+?)\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on an objective, in its own unit or in percent of the unpruned's value."""

    text: str
    objective: str
    sign: str
    bound: float
    percent: bool

    @classmethod
    def of(cls, text: str) -> Condition:
        """Read `error<0.03` or `macs<=50%`.

        Raises:
            ConfigError: It is no condition.
        """
        found = CONDITION.fullmatch(text)
        if found is None:
            raise ConfigError(
                f"--where: expected an objective, one of <, <=, >, >=, = and a number, found {text[:80]!r}"
            )
        name, sign, bound, percent = found.groups()
        return cls(" ".join(text.split()), name, sign.replace("==", "="), _number("--where", bound), bool(percent))

    def kept(self, values: Any, unpruned: float) -> Any:
        """Say which values, shape (n,), keep it; the unpruned's is needed for percent alone."""
        return OPERATORS[self.sign](values, self._limit(unpruned))

    def words(self, unpruned: float) -> str:
        """Return it as it was written, with what a percentage comes to."""
        return f"{self.text} ({self._limit(unpruned):.6g})" if self.percent else self.text

    def _limit(self, unpruned: float) -> float:
        return self.bound * unpruned / 100 if self.percent else self.bound


@dataclass(frozen=True, slots=True)
class Margin:
    """By how much something may be worse, in its own unit or in percent of a reference's value."""

    text: str
    amount: float
    percent: bool

    @classmethod
    def of(cls, text: str) -> Margin:
        """Read `0.01` or `2%`.

        Raises:
            ConfigError: It is no number from 0 on.
        """
        amount = _number("--at-most-worse", text.removesuffix("%"))
        if amount < 0:
            raise ConfigError(f"--at-most-worse: expected a number from 0 on, found {text[:80]!r}")
        return cls(text, amount, text.endswith("%"))


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted of a candidate of a front; all of it is optional.

    Args:
        where: What it must keep.
        at_most_worse: By how much the first objective may be worse than the reference's.
        reference: The reference's name; the unpruned where it is empty.
        least: The objective of which the least is wanted.
        most: The objective of which the most is wanted.
        weights: How much each objective counts; one that is not named does not.
        marked: `knee` or `best`.

    Raises:
        ConfigError: More than one thing would decide, one would be ignored, or a weight is not above zero.
    """

    where: Sequence[Condition] = ()
    at_most_worse: Margin | None = None
    reference: str = ""
    least: str = ""
    most: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    marked: str = ""

    def __post_init__(self) -> None:
        """Refuse wishes of which one would be ignored."""
        deciding = {"--min": self.least, "--max": self.most, "--weights": self.weights, f"--{self.marked}": self.marked}
        named = [option for option, value in deciding.items() if value]
        if len(named) > 1:
            raise ConfigError(f"expected one of --knee, --best, --min, --max, --weights, found {' and '.join(named)}")
        if self.reference and self.at_most_worse is None:
            raise ConfigError(
                "--reference says beside what --at-most-worse is held; give that as well, or leave it out"
            )
        wrong = [name for name, weight in self.weights.items() if not (np.isfinite(weight) and weight > 0)]
        if wrong:
            raise ConfigError(f"--weights: expected numbers above 0, found {self.weights[wrong[0]]:g} for {wrong[0]}")

    @classmethod
    def of(
        cls,
        where: Sequence[str] = (),
        at_most_worse: str = "",
        weights: str = "",
        **others: str,
    ) -> Wishes:
        """Read what was given on a command line, `weights` as in `error=.7,macs=.3`; raises as the class does."""
        pairs = [each.rpartition("=")[::2] for each in weights.split(",")] if weights else []
        names = [name.strip() for name, _ in pairs]
        if len(set(names)) < len(names):
            raise ConfigError(f"--weights: expected each objective once, found {weights[:80]!r}")
        return cls(
            tuple(Condition.of(text) for text in where),
            Margin.of(at_most_worse) if at_most_worse else None,
            weights={name.strip(): _number("--weights", value) for name, value in pairs},
            **others,
        )

    @property
    def any(self) -> bool:
        """Whether anything is wished."""
        return self != Wishes()


def _number(option: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = np.nan
    if not np.isfinite(found):
        raise ConfigError(f"{option}: expected a number, found {text[:80]!r}")
    return found
