"""The menu of methods: what each plug-in says it is, chosen by what a person needs, as plain data or as a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from emoprune import plugins
from emoprune.contracts import About, Paper, about_of
from emoprune.errors import ConfigError, EmopruneError

__all__ = ["METHODS", "Wanted", "described", "menu", "methods", "page", "plain"]

# Everything that the papers of the field speak of; examples, samples and taxonomies are none.
METHODS = ("problem", "algorithm", *plugins.OPERATOR_KINDS, *plugins.METHOD_KINDS)

# A short name, what it is, what it needs, and the papers' arXiv ids or where they appeared.
Line = tuple[str, str, tuple[str, ...], tuple[str, ...]]

_HEAD = """\
# Methods

What there is to choose from, and the paper behind each. This page is written by `emoprune list methods --markdown` from
what each method says of itself; `emoprune list methods --tuning-free --serves channels` shows those that train nothing
and can be asked for by the problem `channels`, `--paper 2302.05601` those that come from a paper. Names without a paper
are common knowledge of the field.
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which methods a person wants to see; all of them unless something is said."""

    tuning_free: bool = False
    serves: str | None = None
    paper: str | None = None

    def __post_init__(self) -> None:
        if self.serves is not None and self.serves not in plugins.available("problem"):
            near = plugins.nearest(self.serves, list(plugins.available("problem")))
            raise ConfigError(f"--serves: no problem is called {self.serves!r}{near}")

    def holds(self, kind: str, name: str, own: About) -> bool:
        """Whether a method of this kind and name is among them."""
        return (
            not (self.tuning_free and own.training)
            and (self.serves is None or self.serves in _served(kind, name, own))
            and (self.paper is None or any(_same(self.paper, paper) for paper in own.papers))
        )


def methods(wanted: Wanted) -> dict[str, Any]:
    """Return the methods that are wanted by kind and name, each with what it says it is.

    A method that does not say it, or cannot be imported, is listed with the reason where all are wanted.

    Raises:
        ConfigError: No method names the paper.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, name, does, own in _chosen(wanted):
        row = {"unusable": does} if own is None else {"does": does, **described(kind, name, own)}
        found.setdefault(_plural(kind), {})[name] = row
    return found


def plain(wanted: Wanted) -> dict[str, Any]:
    """Return the same for a script: lists, truths and arXiv ids instead of words.

    Raises:
        ConfigError: As `methods`.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, name, does, own in _chosen(wanted):
        row: dict[str, Any] = {"unusable": does}
        if own is not None:
            row = {"does": does, **asdict(own), "serves": list(own.serves or _owner(kind, name))}
        found.setdefault(_plural(kind), {})[name] = row
    return found


def menu(wanted: Wanted) -> dict[str, list[Line]]:
    """Return what `methods` does as lines, under their kind and the problems that can ask for them.

    A method that several problems ask for is there once, by its short name.

    Raises:
        ConfigError: As `methods`.
    """
    served: dict[tuple[str, Line], list[str]] = {}
    for kind, name, does, own in _chosen(wanted):
        if own is None:
            served[kind, (name, f"unusable: {does}", (), ())] = []
            continue
        papers = tuple(paper.arxiv or paper.appeared for paper in own.papers)
        line = (name.rpartition(".")[2], does, _needs(own), papers)
        served.setdefault((kind, line), []).extend(own.serves or _owner(kind, name))
    sections: dict[tuple[int, str], list[Line]] = {}
    for (kind, line), problems in served.items():
        known = ", ".join(dict.fromkeys(problems)) if kind != "problem" else ""
        heading = f"{_plural(kind)} for {known}" if known else _plural(kind)
        sections.setdefault((METHODS.index(kind), heading), []).append(line)
    return {heading: sections[place, heading] for place, heading in sorted(sections)}


def _chosen(wanted: Wanted) -> list[tuple[str, str, str, About | None]]:
    """Return kind, name, and what each method does and says it is; None and the reason where it does not say so.

    Raises:
        ConfigError: No method names the paper.
    """
    found: list[tuple[str, str, str, About | None]] = []
    for kind, name, factory in _every():
        own = about_of(factory)
        if own is not None and own.serves and not plugins.available("problem").keys() & set(own.serves):
            reason = f"it serves {', '.join(own.serves)}, and no problem of that name is installed"
            found.append((kind, name, reason, None))
        elif own is not None and wanted.holds(kind, name, own):
            assert callable(factory)  # noqa: S101  # what says what it is was imported; narrows the type
            found.append((kind, name, plugins.summary(factory), own))
        elif own is None and wanted == Wanted():
            reason = str(factory) if isinstance(factory, EmopruneError) else "it does not say what it is"
            found.append((kind, name, reason, None))
    if not found and wanted.paper is not None:
        raise ConfigError(f"--paper: no method names {wanted.paper}; give an arXiv id such as 2302.05601, or a title")
    return found


def _same(given: str, paper: Paper) -> bool:
    """Whether a person means a paper: by its title, or by its id, which may have a version and stand in an address."""
    meant = re.sub(r"(?i)^(https?://(www\.)?arxiv\.org/\w+/|arxiv[: ]*)|(v\d+)?(\.pdf)?$", "", given.strip())
    return given.strip().lower() == paper.title.lower() or (bool(meant) and meant == paper.arxiv)


def described(kind: str, name: str, own: About) -> dict[str, Any]:
    """Return what a method says it is, as plain data under the words that a person reads."""
    return {
        "family": own.family,
        "granularity": ", ".join(own.granularity),
        "serves": ", ".join(own.serves or _owner(kind, name)) or "all problems",
        "needs": ", ".join(_needs(own)) or "neither gradients nor training",
        "cost": own.cost,
        **({"papers": "; ".join(map(str, own.papers))} if own.papers else {}),
    }


def _needs(own: About) -> tuple[str, ...]:
    return tuple(word for word, needed in (("gradients", own.gradients), ("training", own.training)) if needed)


def page() -> str:
    """Return docs/methods.md: one table for each kind."""
    parts = [_HEAD]
    for kind, rows in methods(Wanted()).items():
        unusable = [name for name, row in rows.items() if "unusable" in row]
        if unusable:
            raise ConfigError(f"{kind} {unusable[0]!r}: {rows[unusable[0]]['unusable']}; the page would be without it")
        parts.append(f"\n## {kind.capitalize()}\n\n{_table(rows)}\n")
    return "".join(parts)


def _table(rows: Mapping[str, Mapping[str, str]]) -> str:
    head = ["name", "does", "family", "acts on", "serves", "needs", "cost", "paper"]
    lines = [_row(head), _row(["---"] * len(head))]
    for name, row in rows.items():
        needs = "" if row["needs"].startswith("neither") else row["needs"]
        said = [row["family"], row["granularity"], row["serves"], needs, row["cost"], row.get("papers", "")]
        lines.append(_row([f"`{name}`", row["does"], *said]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _every() -> Iterator[tuple[str, str, Callable[..., Any] | EmopruneError]]:
    for kind in METHODS:
        for name in plugins.available(kind):
            try:
                yield kind, name, plugins.find(kind, name)
            except EmopruneError as error:
                yield kind, name, error


def _served(kind: str, name: str, own: About) -> tuple[str, ...]:
    """Return the problems that can ask for a method: those that it names, or the one whose name it bears, or all."""
    return own.serves or _owner(kind, name) or tuple(plugins.available("problem"))


def _owner(kind: str, name: str) -> tuple[str, ...]:
    owner = name if kind == "problem" else name.rpartition(".")[0]
    return (owner,) if owner else ()


def _plural(kind: str) -> str:
    return plugins.PLURALS.get(kind, f"{kind} operators")
