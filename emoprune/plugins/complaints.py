"""What is wrong with a config, in our own words: one line per mistake, with its place, what was expected and found."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from emoprune.errors import ConfigError

__all__ = [
    "CONTRADICTION",
    "Complaint",
    "KeyPath",
    "Place",
    "as_error",
    "dotted",
    "expectation",
    "from_validation",
    "nearest",
    "schema_of",
    "shown",
    "value_at",
]

KeyPath = tuple[str | int, ...]
Schema = Mapping[str, Any]

CONTRADICTION = "contradiction"  # the type of errors raised by our own cross-checks; their context names the key


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something was given: what a message about it starts with, and how it sorts among the others."""

    order: int
    text: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """One mistake: the path of the key it is about, what is wrong, and its place if it is not that of the key."""

    path: KeyPath
    text: str
    place: Place | None = None


def dotted(path: KeyPath) -> str:
    """Return a path the way `--set` takes it, `search.repair.0.share`, with line ends and the like spelt out."""
    text = ".".join(str(part) for part in path)
    return text if text.isprintable() else repr(text)[1:-1]


def as_error(complaints: Sequence[Complaint], place: Callable[[Complaint], Place], of: str) -> ConfigError:
    """Return one error with a line for every complaint, in this order.

    Args:
        complaints: One or more.
        place: Where the complaint's key was given.
        of: What is wrong, as in `2 errors in the config`.
    """
    lines = []
    for complaint in complaints:
        start, key = place(complaint).text, dotted(complaint.path)
        said = start.startswith(f"--set {key}=")
        lines.append(": ".join(part for part in (start, "" if said else key, complaint.text) if part))
    count = "1 error" if len(lines) == 1 else f"{len(lines)} errors"
    return ConfigError("\n".join([f"{count} in {of}", *lines]))


def nearest(name: str, names: Sequence[str]) -> str:
    """Return a sentence that helps after a wrong name: the nearest valid one, or all of them if they are few."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f" (there are: {', '.join(names)})" if 0 < len(names) <= 12 else ""


def value_at(values: object, path: KeyPath) -> object:
    """Return what lies at `path` in plain data; None where nothing does."""
    for part in path:
        if not _holds(values, part):
            return None
        values = values[part]  # type: ignore[index]  # _holds has looked
    return values


def _holds(values: object, part: str | int) -> bool:
    if isinstance(values, Mapping):
        return part in values
    return isinstance(values, list) and isinstance(part, int) and 0 <= part < len(values)


def from_validation(
    error: ValidationError, model: type[BaseModel], values: object, *, under: KeyPath = (), key: str = "key"
) -> list[Complaint]:
    """Return one complaint per key that pydantic rejected.

    Args:
        error: What validating `values` as `model` raised.
        model: Its JSON schema says what was expected.
        values: The plain data that was validated.
        under: Where in the config `values` stand.
        key: What an unknown key is called: `key`, or `option of crossover 'uniform'`.
    """
    schema = schema_of(model)
    by_path: dict[KeyPath, list[Mapping[str, Any]]] = {}
    for detail in error.errors(include_url=False):
        by_path.setdefault(_path(detail, values), []).append(detail)
    return [Complaint((*under, *path), _text(path, details, schema, values, key)) for path, details in by_path.items()]


def _path(detail: Mapping[str, Any], values: object) -> KeyPath:
    """Return the part of an error's location that is a path in the data; the rest names branches of a union."""
    location: KeyPath = detail["loc"]
    length = 0
    while length < len(location) and _holds(values, location[length]):
        values = values[location[length]]  # type: ignore[index]  # _holds has looked
        length += 1
    if detail["type"] == "missing":
        length += 1
    path = location[:length]
    return (*path, detail["ctx"]["key"]) if detail["type"] == CONTRADICTION else path


def _text(path: KeyPath, details: Sequence[Mapping[str, Any]], schema: Schema, values: object, key: str) -> str:
    kinds = {detail["type"] for detail in details}
    first = details[0]
    if "missing" in kinds:
        expected = expectation(_descend(schema, path, schema), schema)
        return "required" if expected is None else f"required: {expected}"
    if "extra_forbidden" in kinds:
        return _unknown(path, schema, key)
    if CONTRADICTION in kinds:
        return str(first["msg"])
    if "value_error" in kinds:
        return str(first["ctx"]["error"])
    found = value_at(values, path)
    fragment = _descend(schema, path, schema)
    expected = expectation(fragment, schema)
    if expected is None:
        message = str(first["msg"])
        return f"{message[:1].lower()}{message[1:]}, found {shown(found)}"
    return f"expected {expected}, found {shown(found)}{_remedy(found, fragment)}"


def _unknown(path: KeyPath, schema: Schema, key: str) -> str:
    fragment = _descend(schema, path[:-1], schema) or {}
    names = list(_resolved(fragment, schema).get("properties", {}))
    wrong = str(path[-1])
    home = [section for section, part in _sections(schema) if wrong in part.get("properties", {})]
    if wrong not in names and home and home != [path[0]]:
        return f"unknown {key}; it belongs under {home[0]!r}"
    return f"unknown {key}{nearest(wrong, names)}" if names else f"unknown {key}, which takes none; remove it"


def _sections(schema: Schema) -> Iterator[tuple[str, Schema]]:
    for name, fragment in schema.get("properties", {}).items():
        part = _resolved(fragment, schema)
        if part.get("additionalProperties") is False:
            yield name, part


def _remedy(found: object, fragment: Schema | None) -> str:
    numeric = any(branch.get("type") in ("integer", "number") for branch in _branches(fragment or {}))
    if isinstance(found, str) and numeric and _is_number(found):
        return "; remove the quotes"
    if isinstance(found, bool | int | float) and fragment and "string" in _free_types(fragment) <= {"string", "null"}:
        return "; put it in quotes"
    allowed = [str(name) for branch in _branches(fragment or {}) for name in branch.get("enum", ())]
    hint = nearest(found, allowed) if isinstance(found, str) else ""
    return hint if hint.startswith(";") else ""  # all the names are in what was expected


def _free_types(fragment: Schema) -> set[str]:
    return {str(branch.get("type")) for branch in _branches(fragment) if not branch.keys() & {"const", "enum"}}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def shown(value: object) -> str:
    """Return a value as an error message shows it, short and in the words of YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Lenient(GenerateJsonSchema):
    """A schema in which a type that JSON cannot express is left open instead of failing the whole."""

    def handle_invalid_for_json_schema(self, schema: core_schema.CoreSchema, error_info: str) -> JsonSchemaValue:
        del schema, error_info
        return {}


def schema_of(model: type[BaseModel]) -> Schema:
    """Return the JSON schema of `model`, with `{}` for what it cannot express."""
    try:
        return model.model_json_schema(schema_generator=_Lenient)
    except PydanticInvalidForJsonSchema:
        return {}


def expectation(fragment: Schema | None, schema: Schema) -> str | None:
    """Say in words what a piece of JSON schema expects: `an integer from 1 to 9 or 'auto'`; None if it leaves it open.

    A piece may bring its own words, in `expected`.
    """
    if not fragment:
        return None
    if "expected" in fragment:
        return str(fragment["expected"])
    words = [_one(_resolved(branch, schema), schema) for branch in _branches(fragment)]
    return None if None in words else " or ".join(dict.fromkeys(word for word in words if word))


def _one(fragment: Schema, schema: Schema) -> str | None:
    if "expected" in fragment:
        return str(fragment["expected"])
    if "const" in fragment:
        return shown(fragment["const"])
    if "enum" in fragment:
        names = [shown(value) for value in fragment["enum"]]
        return names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    if "anyOf" in fragment:
        return expectation(fragment, schema)
    kind = fragment.get("type")
    if kind == "array":
        inner = expectation(fragment.get("items"), schema)
        return f"a list, each entry {inner}" if inner else "a list"
    noun = _NOUNS.get(str(kind))
    return None if noun is None else f"{noun}{_bounds(fragment)}"


_NOUNS = {
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "object": "a mapping",
    "null": "nothing",
}


def _bounds(fragment: Schema) -> str:
    if "minimum" in fragment and "maximum" in fragment:
        return f" from {fragment['minimum']:g} to {fragment['maximum']:.16g}"
    limits = (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
    found = [f"{sign} {fragment[name]}" for name, sign in limits if name in fragment]
    return f" {' and '.join(found)}" if found else ""


def _branches(fragment: Schema) -> list[Schema]:
    return list(fragment.get("anyOf") or fragment.get("oneOf") or [fragment])


def _resolved(fragment: Schema, schema: Schema) -> Schema:
    reference = fragment.get("$ref")
    if reference is None:
        return fragment
    target = schema.get("$defs", {}).get(str(reference).rpartition("/")[2], {})
    return {**target, **{name: value for name, value in fragment.items() if name != "$ref"}}


def _descend(fragment: Schema, path: KeyPath, schema: Schema) -> Schema | None:
    """Return the piece of `schema` that describes what stands at `path`; None where it is silent."""
    if not path:
        return fragment
    for branch in _branches(_resolved(fragment, schema)):
        plain = _resolved(branch, schema)
        others = plain.get("additionalProperties")  # of a mapping with any keys; else it says whether there may be some
        named = plain.get("properties", {}).get(path[0], others if isinstance(others, Mapping) else None)
        step = plain.get("items") if isinstance(path[0], int) else named
        if step is not None:
            return _descend(step, path[1:], schema)
    return None
