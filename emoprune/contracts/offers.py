"""What a problem may offer besides: checks, alarms, costs, formats, marked text, a pre-flight, a choice, an audit ...

A problem offers one of these by having its members; nothing is inherited. Keyword-only arguments of `audit` and
`recover` are the problem's own options: `--set name=value` on the command line, checked against the annotations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ContractError
from emoprune.records import Candidate, Split
from emoprune.space import IntArray

__all__ = [
    "Alarming",
    "Audit",
    "Audited",
    "Cell",
    "Checking",
    "Choosing",
    "Combining",
    "Description",
    "Exporting",
    "Finding",
    "Inspected",
    "Inspection",
    "Marked",
    "Passage",
    "Picture",
    "Pictured",
    "Recovered",
    "Recovering",
    "Spending",
    "Table",
    "Trying",
]

FloatArray = NDArray[np.float64]

LARGEST_PICTURE = 2_000_000  # characters; a page with a dozen of them still opens
Cell = str | int | float | None
Table = Sequence[Mapping[str, Cell]]
Description = Mapping[str, str | int | float]


def _plain(value: object, where: str) -> Cell:
    """Return a value as JSON keeps it, numpy's numbers as Python's."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        raise ContractError(f"{where}: expected a finite number, found {plain}; use None for what was not measured")
    if plain is not None and not isinstance(plain, str | int | float):
        raise ContractError(f"{where}: expected text or a number, found {type(value).__name__}")
    return plain


def _labelled(members: Mapping[str, object], where: str, *, gaps: bool = False) -> dict[str, Cell]:
    """Return plain labels and values; None is a value only where there may be gaps."""
    checked = {str(name): _plain(value, f"{where} {name!r}") for name, value in members.items()}
    missing = [name for name, value in checked.items() if value is None and not gaps]
    if missing:
        raise ContractError(f"{where} {missing[0]!r}: expected text or a number, found None; leave the label out")
    return checked


def _tables(tables: Mapping[str, Table], where: str) -> dict[str, list[dict[str, Cell]]]:
    checked = {}
    for title, rows in tables.items():
        places = (f"{where}, table {title!r}, row {number}:" for number in range(len(rows)))
        checked[str(title)] = [_labelled(row, place, gaps=True) for row, place in zip(rows, places, strict=True)]
    return checked


def _number(value: object, where: str) -> float:
    plain = _plain(value, where)
    if not isinstance(plain, int | float):
        raise ContractError(f"{where}: expected a number, found {type(value).__name__}")
    return float(plain)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a problem is before any search.

    `summary` holds what matters most; `tables` have a title each and one mapping per row, None where there is nothing
    to say; `notes` are paragraphs, such as what cannot be pruned and why.
    """

    summary: Mapping[str, str | int | float | bool]
    tables: Mapping[str, Table] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "summary", _labelled(self.summary, "inspection's summary"))
        object.__setattr__(self, "tables", _tables(self.tables, "inspection"))
        if isinstance(self.notes, str):
            raise ContractError(
                f"inspection's notes: expected a list of paragraphs, found one text {self.notes[:40]!r}"
            )
        object.__setattr__(self, "notes", tuple(str(note) for note in self.notes))


@dataclass(frozen=True, slots=True)
class Finding:
    """One audited statistic: its value, its interval from `low` to `high`, and a sentence that says what it means.

    `alarm` says that the front should not be believed in this respect. A bound that was not computed is None.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    alarm: bool
    sentence: str

    def __post_init__(self) -> None:
        where = f"finding {self.name!r}"
        object.__setattr__(self, "value", _number(self.value, where))
        for bound in ("low", "high"):
            given = getattr(self, bound)
            object.__setattr__(self, bound, None if given is None else _number(given, f"{where}, {bound}"))
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ContractError(f"{where}: expected low <= high, found {self.low} and {self.high}")
        object.__setattr__(self, "alarm", bool(self.alarm))
        if not self.name.strip() or not self.sentence.strip():
            raise ContractError(f"{where}: expected a name and a sentence, found {self.name!r}, {self.sentence!r}")


@dataclass(frozen=True, slots=True)
class Audit:
    """Whether a front can be believed: findings, the alarms among them, and the tables they were computed from."""

    findings: Sequence[Finding]
    tables: Mapping[str, Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = [type(finding).__name__ for finding in self.findings if not isinstance(finding, Finding)]
        if wrong or not self.findings:
            raise ContractError(f"audit: expected at least one Finding, found {', '.join(wrong) or 'none'}")
        object.__setattr__(self, "findings", tuple(self.findings))
        object.__setattr__(self, "tables", _tables(self.tables, "audit"))


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of a pruned thing: its values again, by split (`search`, `select`, `test`) and objective."""

    values: Mapping[str, Mapping[str, float]]
    description: Description

    def __post_init__(self) -> None:
        splits = [split.value for split in Split]
        wrong = [name for name in self.values if name not in splits]
        if wrong or not self.values:
            found = ", ".join(map(repr, wrong)) or "none"
            raise ContractError(f"recovered: expected values by split, of {', '.join(splits)}; found {found}")
        measured = {
            str(split): {str(name): _number(value, f"recovered, {name!r} on {split}") for name, value in row.items()}
            for split, row in self.values.items()
        }
        object.__setattr__(self, "values", measured)
        object.__setattr__(self, "description", _labelled(self.description, "recovered, description"))


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a text, and whether a candidate keeps it; what goes is shown struck through."""

    text: str
    kept: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ContractError(f"passage: expected a text, found {type(self.text).__name__}")
        object.__setattr__(self, "kept", bool(self.kept))


@runtime_checkable
class Marked(Protocol):
    """A problem whose pruned things are read as text, such as a prompt: what stays of it, and what goes."""

    def marked(self, genome: IntArray) -> Sequence[Passage]:
        """Return the passages that make the text, in order; works without `setup`.

        Where every genome is a choice from one text, its passages are the same for all of them, and only `kept`
        differs: a report then also shows how many of the front keep each.
        """
        ...


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing of a candidate as one SVG document, and a caption that says what is seen.

    Raises:
        ContractError: It is no SVG, has no caption, or is larger than `LARGEST_PICTURE`.
    """

    caption: str
    svg: str

    def __post_init__(self) -> None:
        if not isinstance(self.svg, str) or not self.svg.startswith("<svg "):
            raise ContractError(f"picture: expected a text that begins with <svg, found {str(self.svg)[:20]!r}")
        if not self.caption.strip():
            raise ContractError("picture: expected a caption, found none; say what is seen")
        if len(self.svg) > LARGEST_PICTURE:
            raise ContractError(
                f"picture: expected at most {LARGEST_PICTURE:,} characters, found {len(self.svg):,}; draw less"
            )


@runtime_checkable
class Pictured(Protocol):
    """A problem whose pruned things can be looked at, such as images; a report shows some of the front's."""

    def picture(self, genome: IntArray) -> Picture:
        """Return a drawing of one candidate; works without `setup`, once `prepare` was called."""
        ...


@runtime_checkable
class Checking(Protocol):
    """A problem that can find out, before there is a run, what `prepare` would refuse: a file, say, that is damaged."""

    def check(self) -> None:
        """Raise a ConfigError for whatever keeps a search from being begun.

        Called before a new run's folder is made and before an inspection, never when a run is resumed.
        """
        ...


@runtime_checkable
class Trying(Protocol):
    """A problem that can try its unpruned thing before anything is searched: by noise nothing can be chosen."""

    def try_unpruned(self, folder: Path, seed: int) -> None:
        """Raise a ConfigError if the unpruned thing scores like guessing, with the likely reasons.

        Called for a new run and a dry run with what `prepare` is called with next: before references are made, which
        may take long or be paid for; never when a run is resumed. What lies in `folder` then is there for `prepare`.
        """
        ...


@runtime_checkable
class Alarming(Protocol):
    """A problem that can tell when what was measured means nothing."""

    def alarms(self, candidates: Sequence[Candidate], values: FloatArray) -> Sequence[str]:
        """Return what a person should be alarmed by, a sentence each; none if all is well.

        Args:
            candidates: The front so far and the references, by id, so that the unpruned one comes first.
            values: What was measured of them on the search split: objectives and then constraints, in natural signs,
                shape (candidates, objectives + constraints).
        """
        ...


@runtime_checkable
class Spending(Protocol):
    """A problem whose measuring is charged for, such as calls to an endpoint; what it counts outlives a process."""

    def spent(self) -> Mapping[str, str]:
        """Return what the run has spent so far, in words by what it is called; nothing where nothing is charged."""
        ...

    def unaffordable(self, searched: int, shown: int) -> str | None:
        """Say why a bound of the problem's own ends the search, asked before each generation; None if it goes on.

        Args:
            searched: How many candidates the generation would measure on the search split.
            shown: How many would at present be measured on the other splits at the end.
        """
        ...


@runtime_checkable
class Exporting(Protocol):
    """A problem whose pruned things can be written in several formats."""

    @property
    def formats(self) -> Sequence[str]:
        """The formats' names; the first is what is written unless others are asked for."""
        ...

    def export_as(self, genome: IntArray, folder: Path, formats: Sequence[str], verify: bool) -> Description:
        """Write the pruned thing into `folder` in each of `formats`; return what was written and verified.

        A later export of the same candidate is asked for the formats that were written before as well: its folder
        replaces the older one.

        As for `Problem.export`, `setup` has been called, and `folder` exists and is empty. Raise if `verify` is asked
        for and something reloaded differs; the folder is then removed.
        """
        ...


@runtime_checkable
class Combining(Exporting, Protocol):
    """An exporting problem that decides for itself which formats are written together into one folder."""

    def formats_to_write(self, asked: Sequence[str], there: Sequence[str]) -> Sequence[str]:
        """Return which formats are written, all that are asked for among them; `setup` has been called.

        Args:
            asked: What the user named; nothing for the problem's own choice.
            there: What lies in the candidate's folder already, and is lost if it is not written again.
        """
        ...


@runtime_checkable
class Inspected(Protocol):
    """A problem that can say, before any search, what can be pruned of it and how far."""

    def inspect(self) -> Inspection:
        """Return what is known without `prepare` and `setup`."""
        ...


@runtime_checkable
class Audited(Protocol):
    """A problem that can say whether its fronts can be believed; keyword-only arguments are options of its own."""

    def audit(self, candidates: Sequence[Candidate], folder: Path, seed: int) -> Audit:
        """Compare what the search measured of `candidates`, which lie along the front, with what it stands for.

        `prepare` and `setup` have been called. What lies in `folder` is there again when the same run is audited again,
        so costly parts can be kept in it.
        """
        ...


@runtime_checkable
class Recovering(Protocol):
    """A problem that can win back what pruning cost; keyword-only arguments are options of its own."""

    def recover(self, genome: IntArray, folder: Path, seed: int) -> Recovered:
        """Write the recovered pruned thing into `folder`, which exists and is empty, and measure it again.

        `prepare` and `setup` have been called. What cannot be verified is raised; the folder is then removed.
        """
        ...


@runtime_checkable
class Choosing(Protocol):
    """A problem that can show by evidence of its own which candidate is the best, though its scores have no blocks."""

    def best(self, front: Any, genomes: Mapping[int, IntArray], seed: int) -> int:
        """Return the number of the best candidate: the unpruned one where nothing is shown to be better.

        `prepare` and `setup` have been called. It may take a while, for it measures.

        Args:
            front: The run's table of front and references as in pareto.csv, a frame of pandas.
            genomes: Of its rows, by the candidate's number.
            seed: All randomness.
        """
        ...
