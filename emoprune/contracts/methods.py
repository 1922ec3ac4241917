"""What every method says of itself, and what those promise that a problem is made of.

A method is a plug-in that does something the field has a name for: it ranks, measures, picks, repairs, recovers or
audits. It need not inherit from anything here; it only has to have these members. What it is given is a record of the
problem that asks, documented there. Check one with `emoprune.testing`.
"""

from __future__ import annotations

import contextlib
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, get_args, runtime_checkable

from emoprune.contracts.objectives import Direction, FloatArray
from emoprune.contracts.offers import Audit
from emoprune.contracts.problem import Reference
from emoprune.errors import ContractError
from emoprune.space import IntArray

__all__ = [
    "About",
    "AuditMethod",
    "Family",
    "Found",
    "Measure",
    "MeasuredErrors",
    "Paper",
    "Recovery",
    "ReferenceMethod",
    "Saliency",
    "Starts",
    "SurveyingMethod",
    "about",
    "about_of",
    "check_method",
    "number_of",
]

Family = Literal["pruning", "quantisation", "feature generation", "search", "measurement", "recovery", "audit"]

_ARXIV = re.compile(r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}")


@dataclass(frozen=True, slots=True)
class Paper:
    """Where a method comes from: a title, and its arXiv id as in `2302.05601`, or where else it appeared.

    Raises:
        ContractError: There is neither an id nor a place, or the id is of another form.
    """

    title: str
    arxiv: str = ""
    appeared: str = ""

    def __post_init__(self) -> None:
        if not self.title.strip() or not (self.arxiv or self.appeared):
            raise ContractError(f"paper: expected a title, and an arXiv id or where it appeared, found {self}")
        if self.arxiv and not _ARXIV.fullmatch(self.arxiv):
            raise ContractError(f"paper {self.title!r}: expected an arXiv id such as 2302.05601, found {self.arxiv!r}")

    def __str__(self) -> str:
        where = f"arXiv {self.arxiv}" if self.arxiv else self.appeared
        return f"{self.title} ({where})"


@dataclass(frozen=True, slots=True)
class About:
    """What a method is, so that a person can choose one without reading its code.

    Attributes:
        family: What it is for.
        granularity: What it acts on, the field's words: channels, heads, neurons, layers, weights, tokens, columns.
        serves: The names of the problems that can ask for it; none says that all can.
        papers: Where it comes from; none for what is common knowledge.
        gradients: Whether it needs gradients of the loss.
        training: Whether it changes weights by training; what does not is tuning-free.
        refuses: Why it cannot serve some problems, by their names; said to whoever asks for it there.
        cost: What it takes, in the field's measures, as in `one pass over the calibration images`.

    Raises:
        ContractError: The family is none, or a text is empty.
    """

    family: Family
    granularity: tuple[str, ...]
    serves: tuple[str, ...]
    cost: str
    papers: tuple[Paper, ...] = ()
    gradients: bool = False
    training: bool = False
    refuses: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.family not in get_args(Family):
            raise ContractError(f"about: expected a family of {', '.join(get_args(Family))}, found {self.family!r}")
        for name in ("granularity", "serves", "papers"):
            if not isinstance(getattr(self, name), tuple):
                raise ContractError(f"about: {name}: expected a tuple, found {getattr(self, name)!r}")
        if not self.cost.strip() or not self.granularity or not all((*self.granularity, *self.serves)):
            raise ContractError(f"about: expected words for granularity, serves and cost, found {self}")


Described = TypeVar("Described", bound=Callable[..., Any])


def about(
    family: Family,
    granularity: Sequence[str],
    *,
    serves: Sequence[str] = (),
    cost: str,
    papers: Sequence[Paper] = (),
    gradients: bool = False,
    training: bool = False,
    refuses: Mapping[str, str] | None = None,
) -> Callable[[Described], Described]:
    """Return a decorator that writes down what the class or function below it is, as `About` has it.

    Raises:
        ContractError: Something of it is missing or of another form.
    """
    own = About(
        family,
        tuple(granularity),
        tuple(serves),
        cost,
        tuple(papers),
        gradients=gradients,
        training=training,
        refuses=dict(refuses or {}),
    )

    def described(factory: Described) -> Described:
        factory.about = own  # type: ignore[attr-defined]  # classes and functions take attributes; Callable does not say so
        return factory

    return described


def about_of(factory: object) -> About | None:
    """Return what a plug-in's class or function says it is; None if it does not say."""
    own = getattr(factory, "about", None)
    return own if isinstance(own, About) else None


Inputs_contra = TypeVar("Inputs_contra", contravariant=True)
Scores_co = TypeVar("Scores_co", covariant=True)
Thing_co = TypeVar("Thing_co", covariant=True)

Starts = Mapping[str, IntArray]  # genomes to measure, (n, genes), by what a method calls them
# Genomes (n, genes) to errors (n,), infinite where nothing was measured: the error, or whatever else the problem takes
# for how good a pruned thing is, its sign turned where more is better.
MeasuredErrors = Callable[[IntArray], FloatArray]


@dataclass(frozen=True, slots=True)
class Found:
    """The references of one method, what has to be measured for more of them, and what a person should know."""

    references: tuple[Reference, ...] = ()
    starts: Starts = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class ReferenceMethod(Protocol[Inputs_contra]):
    """Picks genomes without a search: what a user would have taken otherwise. Its options are its own."""

    def found(self, inputs: Inputs_contra) -> Found:
        """Return the references that nothing has to be measured for, and what has to be for others.

        Args:
            inputs: The problem's record of what can be looked at, among it `space` and `rng`, from which all randomness
                comes.
        """
        ...


@runtime_checkable
class SurveyingMethod(ReferenceMethod[Any], Protocol):
    """A reference method that picks some of its genomes from what was measured in generation 0."""

    def picked(self, inputs: Any, starts: Starts, measured: MeasuredErrors) -> Found:
        """Return more references, from the errors of `starts`, which `found` returned."""
        ...


class Saliency(Protocol[Inputs_contra, Scores_co]):
    """Says how much each single weight of a layer matters."""

    def __call__(self, layer: Inputs_contra) -> Scores_co:
        """Return one finite score per weight, in the weight's shape, the larger the more it is worth keeping."""
        ...


class Measure(Protocol[Inputs_contra]):
    """A number that says how good or how large a pruned thing is: what `objectives` and bounds name."""

    unit: str  # as a person writes it; empty for shares and counts
    direction: Direction

    def __call__(self, seen: Inputs_contra) -> float:
        """Return the number in natural sign and unit; one that is not finite makes the evaluation a failure.

        Args:
            seen: The problem's record of a pruned thing: what it put out, what was counted, the thing itself.
        """
        ...


def number_of(name: str, measure: Measure[Inputs_contra], seen: Inputs_contra) -> float:
    """Return what a measure says, as a float; it need not be finite.

    Args:
        name: What the measure is called in the config.
        measure: It.
        seen: The problem's record of a pruned thing.

    Raises:
        ContractError: It is not one number.
    """
    found: object = measure(seen)
    value = found
    with contextlib.suppress(ValueError, RuntimeError):  # an array of several, a tensor of several
        value = found.item() if hasattr(found, "item") else found
    if isinstance(value, numbers.Real):
        return float(value)
    shape = getattr(found, "shape", None)
    told = repr(found)[:40] if shape is None else f"{type(found).__name__} of shape {tuple(shape)}"
    raise ContractError(f"objective {name!r}: expected one number, found {told}; return a float")


class Recovery(Protocol[Inputs_contra, Thing_co]):
    """Wins back what pruning cost."""

    def __call__(self, case: Inputs_contra) -> Thing_co:
        """Return the recovered thing; `case` stays as it was, and all randomness comes from its `seed`."""
        ...


class AuditMethod(Protocol[Inputs_contra]):
    """Says whether a front can be believed."""

    def __call__(self, front: Inputs_contra) -> Audit:
        """Return findings on candidates along the front; all randomness comes from the front's `seed`."""
        ...


# What the engine and the problems read of a made method, by its kind, so that what is missing is named when a config is
# read. A compensation is called in one way by one problem and in another way by another.
_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "criterion": ("__call__",),
    "saliency": ("__call__",),
    "proxy": ("__call__",),
    "reference": ("found",),
    "objective": ("__call__", "unit", "direction"),
    "recovery": ("__call__",),
    "mask": ("begin", "soft", "penalty", "hard", "rate", "trains_weights"),
    "audit": ("__call__",),
    "architecture": ("layer", "tiny"),
}


def check_method(kind: str, name: str, method: object) -> None:
    """Refuse a method that lacks a member of its kind.

    Args:
        kind: One of METHOD_KINDS.
        name: What the config calls it.
        method: As it was made.

    Raises:
        ContractError: It names what is missing, or says that a direction is none.
    """
    members = _MEMBERS.get(kind, ())
    missing = [member for member in members if not hasattr(method, member)]
    if missing:
        raise ContractError(
            f"{kind} {name!r}: expected the members {', '.join(members)}, found none called {', '.join(missing)}; "
            "emoprune.contracts says what each is"
        )
    direction = getattr(method, "direction", None)
    if kind == "objective" and direction not in list(Direction):
        raise ContractError(
            f"objective {name!r}: direction: expected one of {', '.join(Direction)}, found {direction!r}"
        )
