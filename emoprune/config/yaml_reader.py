"""YAML as plain data with a line for every value: the safe and unsurprising part of YAML 1.2, bounded in size.

Scalars follow YAML 1.2: `no` and `1:30` are text, `1e-3` is a number. Only plain values are made, never objects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import yaml

from emoprune.plugins.complaints import Complaint, KeyPath, Place

__all__ = ["Document", "parse"]

MOST_VALUES = 10_000  # aliases count as often as they are used, which is what stops an alias bomb
DEEPEST = 40

_STANDARD = "tag:yaml.org,2002:"
_FINITE = "expected a finite number"


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML text holds: plain data, the place of each value's key, and what is wrong with it."""

    value: object
    places: Mapping[KeyPath, Place] = field(default_factory=dict)
    complaints: tuple[Complaint, ...] = ()


class _Loader(yaml.SafeLoader):
    """PyYAML's parser up to its nodes, with the scalars of YAML 1.2 and limits on depth and number."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # PyYAML declares it so; add_implicit_resolver fills this class's own

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        self._nodes += 1
        # peek_event is a real method; the stubs of PyYAML leave it untyped.
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {DEEPEST} levels", problem_mark=mark)
        if self._nodes > 2 * MOST_VALUES:  # every key is a node as well
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_VALUES} values", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.add_implicit_resolver(f"{_STANDARD}null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(f"{_STANDARD}bool", re.compile(r"^(?:[tT]rue|TRUE|[fF]alse|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(f"{_STANDARD}int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    f"{_STANDARD}float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)


def parse(text: str, label: str) -> Document:
    """Read one YAML document, called `label` in messages; what is wrong is collected, and what is right is kept.

    A text that is not YAML at all gives one complaint and no value.
    """
    reading = _Reading(label)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        value = None if node is None else reading.plain(node, ())
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"not YAML: the character U+{ord(text[error.position]):04X} is not allowed; remove it"
        return Document(None, complaints=(Complaint((), problem, reading.place(line)),))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 0 if mark is None else mark.line + 1
        return Document(None, complaints=(Complaint((), _problem(error), reading.place(line)),))
    return Document(value, reading.places, tuple(reading.complaints))


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be parsed"
    if "'\\t'" in problem:
        return "a tab; YAML is indented with spaces, so replace it"
    context = f" {error.context}" if error.context else ""
    return f"not YAML: {problem}{context}"


class _Reading:
    """One walk over a document's nodes."""

    def __init__(self, label: str) -> None:
        self.places: dict[KeyPath, Place] = {}
        self._label = label
        self.complaints: list[Complaint] = []
        self._values = 0

    def place(self, line: int) -> Place:
        return Place(line, f"{self._label}:{line}")

    def plain(self, node: yaml.Node, path: KeyPath) -> object:
        self._values += 1
        if self._values > MOST_VALUES or len(path) > DEEPEST:
            problem = f"more than {MOST_VALUES} values, or nested deeper than {DEEPEST} levels, with aliases spelt out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_STANDARD}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_STANDARD}seq":
            return self._sequence(node, path)
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node, path)
        self._complain(path, f"the tag {_shown(node.tag)} is refused; a config holds plain values only", node)
        return None

    def _sequence(self, node: yaml.SequenceNode, path: KeyPath) -> list[object]:
        values = []
        for index, item in enumerate(node.value):
            self.places[*path, index] = self.place(item.start_mark.line + 1)
            values.append(self.plain(item, (*path, index)))
        return values

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag not in _SCALARS:
                self._complain(path, "expected a plain name as a key, found something else before a ':'", key_node)
                continue
            key = key_node.value
            here = (*path, key)
            if key in values:
                text = f"given twice, first on line {self.places[here].order}; remove one of them"
                self._complain(here, text, key_node)
                continue
            self.places[here] = self.place(key_node.start_mark.line + 1)
            values[key] = self.plain(value_node, here)
        return values

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> object:
        try:
            return _SCALARS[node.tag](node.value)
        except ValueError as error:
            self._complain(path, f"{error}, found {node.value[:40]!a}", node)
            return None

    def _complain(self, path: KeyPath, text: str, node: yaml.Node) -> None:
        self.complaints.append(Complaint(path, text, self.place(node.start_mark.line + 1)))


def _words(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("expected text, and half of a surrogate pair is none") from None
    return text


def _integer(text: str) -> int:
    if not re.fullmatch(r"[-+]?[0-9]{1,100}", text):
        raise ValueError("expected an integer")
    return int(text)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(_FINITE) from None
    if not math.isfinite(number):
        raise ValueError(_FINITE)
    return number


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return text.lower() == "true"


_SCALARS: Mapping[str, Callable[[str], object]] = {
    f"{_STANDARD}str": _words,
    f"{_STANDARD}int": _integer,
    f"{_STANDARD}float": _number,
    f"{_STANDARD}bool": _truth,
    f"{_STANDARD}null": lambda _: None,
}


def _shown(tag: str) -> str:
    return f"!!{tag.removeprefix(_STANDARD)}" if tag.startswith(_STANDARD) else tag
