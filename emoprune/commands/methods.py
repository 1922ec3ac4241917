"""The menu of methods: what each plug-in says it is, chosen by what a person needs, as plain data or as a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from emoprune import plugins
from emoprune.commands.taxonomies import taxonomies
from emoprune.contracts import About, Paper, about_of
from emoprune.errors import ConfigError, EmopruneError

__all__ = ["METHODS", "Wanted", "described", "menu", "methods", "page", "plain"]

# Everything that the papers of the field speak of; examples, samples and taxonomies are none.
METHODS = ("problem", "algorithm", *plugins.OPERATOR_KINDS, *plugins.METHOD_KINDS)

# A short name, what it is, what it needs, and the papers' arXiv ids or where they appeared.
Line = tuple[str, str, tuple[str, ...], tuple[str, ...]]

_HEAD = """\
# Methods

What there is to choose from, and the paper behind each. This page is written from what each method says of itself, by
`emoprune list methods --markdown`, with `--package emoprune` for those that come with emoprune alone. `emoprune list
methods --tuning-free --serves channels` shows those that train nothing and can be asked for by the problem `channels`,
`--paper 2302.05601` those that come from a paper. Names without a paper are common knowledge of the field.
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which methods a person wants to see; all of them unless something is said."""

    tuning_free: bool = False
    serves: str | None = None
    paper: str | None = None
    package: str | None = None

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


@dataclass(frozen=True, slots=True, eq=False)
class _Method:
    """What a name leads to, what that does and says it is; where it does not say so, `does` is the reason."""

    kind: str
    name: str
    does: str
    own: About | None
    found: object

    @property
    def shown(self) -> str:
        """The name by which its problems know it."""
        return self.name.rpartition(".")[2] if self.own else self.name

    @property
    def problems(self) -> tuple[str, ...]:
        """Those that it serves; none if it serves all."""
        return (self.own.serves or _owner(self.kind, self.name)) if self.own else ()


def methods(wanted: Wanted) -> dict[str, Any]:
    """Return the methods that are wanted by kind and name, each with what it says it is.

    A method that does not say it, or cannot be imported, is listed with the reason where all are wanted.

    Raises:
        ConfigError: No method names the paper, or the package has none.
    """
    return _by_kind(wanted, lambda each, own: described(each.kind, each.name, own))


def plain(wanted: Wanted) -> dict[str, Any]:
    """Return the same for a script: lists, truths and arXiv ids instead of words.

    Raises:
        ConfigError: As `methods`.
    """
    return _by_kind(wanted, lambda each, own: _facts(own) | {"serves": list(each.problems)})


def _facts(own: About) -> dict[str, Any]:
    """Return what a method says it is; whom it refuses only if there are such."""
    return {name: value for name, value in asdict(own).items() if name != "refuses" or value}


def _by_kind(wanted: Wanted, said: Callable[[_Method, About], Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for each in _chosen(wanted):
        row = {"does": each.does, **said(each, each.own)} if each.own else {"unusable": each.does}
        found.setdefault(_plural(each.kind), {})[each.name] = row
    return found


def menu(wanted: Wanted) -> dict[str, list[Line]]:
    """Return what `methods` does as lines, under their kind and the problems that can ask for them.

    A method that several problems ask for is there once, by its short name.

    Raises:
        ConfigError: As `methods`.
    """
    sections: dict[tuple[int, str], list[Line]] = {}
    for each, problems in _once(wanted):
        line: Line = (each.shown, f"unusable: {each.does}", (), ())
        if each.own:
            line = (
                each.shown,
                each.does,
                _needs(each.own),
                tuple(own.arxiv or own.appeared for own in each.own.papers),
            )
        known = ", ".join(problems) if each.kind != "problem" else ""
        heading = f"{_plural(each.kind)} for {known}" if known else _plural(each.kind)
        sections.setdefault((METHODS.index(each.kind), heading), []).append(line)
    return {heading: sections[place, heading] for place, heading in sorted(sections)}


def _once(wanted: Wanted) -> list[tuple[_Method, tuple[str, ...]]]:
    """Return what is wanted, each method once, by the first of its names, with all problems that it serves."""
    found: dict[tuple[str, str, object], tuple[_Method, dict[str, None]]] = {}
    for each in _chosen(wanted):
        _, problems = found.setdefault((each.kind, each.shown, each.found), (each, {}))
        problems.update(dict.fromkeys(each.problems))
    return [(each, tuple(problems)) for each, problems in found.values()]


def _chosen(wanted: Wanted) -> list[_Method]:
    """Return what is wanted.

    Raises:
        ConfigError: No method names the paper, or the package has none.
    """
    chosen: list[_Method] = []
    for kind, name, found in _every(wanted.package):
        own = about_of(found)
        if own is not None and own.serves and not plugins.available("problem").keys() & set(own.serves):
            reason = f"it serves {', '.join(own.serves)}, and no problem of that name is installed"
            chosen.append(_Method(kind, name, reason, None, found))
        elif own is not None and wanted.holds(kind, name, own):
            assert callable(found)  # noqa: S101  # what says what it is was imported; narrows the type
            chosen.append(_Method(kind, name, plugins.summary(found), own, found))
        elif own is None and wanted == Wanted(package=wanted.package):
            reason = str(found) if isinstance(found, EmopruneError) else "it does not say what it is"
            chosen.append(_Method(kind, name, reason, None, found))
    if not chosen and wanted.paper is not None:
        raise ConfigError(f"--paper: no method names {wanted.paper}; give an arXiv id such as 2302.05601, or a title")
    if not chosen and wanted.package is not None:
        raise ConfigError(f"--package: no method that is wanted comes with {wanted.package}; name what pip installed")
    return chosen


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
        **({"papers": _papers(own)} if own.papers else {}),
    }


def _papers(own: About) -> str:
    return "; ".join(map(str, own.papers))


def _needs(own: About) -> tuple[str, ...]:
    return tuple(word for word, needed in (("gradients", own.gradients), ("training", own.training)) if needed)


def page(wanted: Wanted) -> str:
    """Return docs/methods.md: one table for each kind, in which each method has one line.

    Raises:
        ConfigError: As `methods`, or a method does not say what it is.
    """
    rows: dict[str, list[list[str]]] = {}
    for each, problems in _once(wanted):
        if each.own is None:
            raise ConfigError(f"{each.kind} {each.name!r}: {each.does}; the page would be without it")
        said = [each.own.family, ", ".join(each.own.granularity), ", ".join(problems) or "all problems"]
        said += [", ".join(_needs(each.own)), each.own.cost, _papers(each.own)]
        rows.setdefault(_plural(each.kind), []).append([f"`{each.shown}`", each.does, *said])
    tables = (f"\n## {kind.capitalize()}\n\n{_table(sorted(own))}\n" for kind, own in rows.items())
    return "".join(
        [_HEAD, *tables, *(_leaves() if "criteria" in rows and wanted.serves is wanted.paper is None else ())]
    )


def _leaves() -> Iterator[str]:
    """Return a table of the surveys' taxonomies: which criteria stand where, and why none does."""
    leaves = taxonomies()["leaves"]
    if leaves:
        named = {leaf: found if isinstance(found, str) else _ticked(found) for leaf, found in leaves.items()}
        rows = [["place in the surveys", "criteria"], ["---"] * 2, *(list(pair) for pair in named.items())]
        yield "\n## Places of the criteria\n\n" + "\n".join(map(_row, rows)) + "\n"


def _ticked(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(rows: Sequence[Sequence[str]]) -> str:
    head = ["name", "does", "family", "acts on", "serves", "needs", "cost", "paper"]
    return "\n".join(map(_row, [head, ["---"] * len(head), *rows]))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _every(package: str | None) -> Iterator[tuple[str, str, Callable[..., Any] | EmopruneError]]:
    for kind in METHODS:
        for name, entry in plugins.available(kind).items():
            if package is not None and (entry.dist is None or entry.dist.name != package):
                continue
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
