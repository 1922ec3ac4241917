"""The plug-ins that a config names: where they stand in it, and whether their names and options are right."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from emoprune import plugins
from emoprune.errors import EmopruneError
from emoprune.plugins.complaints import Complaint, KeyPath, from_validation, value_at

__all__ = ["import_targets", "kind_at", "name_and_options", "plugin_complaints", "plugin_paths"]


def kind_at(path: KeyPath) -> str | None:
    """Return which kind of plug-in stands at `path` of a config, if one does."""
    match path:
        case ("problem",):
            return "problem"
        case ("search", ("algorithm" | "sampling" | "seeding" | "crossover" | "mutation") as kind):
            return kind
        case ("search", "repair", int()):
            return "repair"
    return None


def plugin_complaints(values: object, problem_given: bool, *, by_import: bool) -> list[Complaint]:
    """Check names and options of all plug-ins: the installed ones, or those named by import targets.

    A problem handed over as a Python object, `problem_given`, is passed over.
    """
    complaints = []
    for path in plugin_paths(values):
        kind = kind_at(path)
        name, options = name_and_options(value_at(values, path))
        if kind is None or name is None or (problem_given and kind == "problem") or plugins.is_given(name):
            continue
        if plugins.is_import_target(name) == by_import:
            named = (*path, "name") if isinstance(value_at(values, path), dict) else path
            complaints += _one_plugin(kind, name, options, path, named)
    return complaints


def plugin_paths(values: object) -> list[KeyPath]:
    """Return the paths at which plug-ins stand or may stand in `values`."""
    single = ("algorithm", *(kind for kind in plugins.OPERATOR_KINDS if kind != "repair"))
    singles: list[KeyPath] = [("problem",), *(("search", kind) for kind in single)]
    repairs = value_at(values, ("search", "repair"))
    return singles + [("search", "repair", index) for index in range(len(repairs) if isinstance(repairs, list) else 0)]


def name_and_options(value: object) -> tuple[str | None, dict[str, Any]]:
    """Return the two parts of a plug-in, given as a bare name or a mapping; no name if it is neither."""
    plain = {"name": value} if isinstance(value, str) else value
    if not isinstance(plain, dict) or not isinstance(plain.get("name"), str):
        return None, {}
    return plain["name"], {option: given for option, given in plain.items() if option != "name"}


def import_targets(values: object) -> list[str]:
    """Return every text in a config, at any depth, that the importer may import code for: `module:name`.

    Of a plug-in's own name everything is returned that is meant as one, also where the importer would refuse it.
    """
    names = (name_and_options(value_at(values, path))[0] for path in plugin_paths(values))
    meant = {name for name in names if name is not None and plugins.is_import_target(name)}
    return sorted(meant | {text for text in _texts(values) if plugins.import_target(text) is not None})


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in (*value, *value.values()) if isinstance(value, Mapping) else value:
            yield from _texts(item)


def _one_plugin(kind: str, name: str, options: dict[str, Any], path: KeyPath, named: KeyPath) -> list[Complaint]:
    try:
        factory = plugins.find(kind, name)
        plugins.checked_options(factory, options)
    except EmopruneError as error:
        return [Complaint(named, str(error))]
    except ValidationError as error:
        model = plugins.options_model(factory)
        wrong = from_validation(error, model, options, under=path, key=f"option of {kind} {name!r}")
        if kind == "problem" and plugins.is_import_target(name) and not inspect.isclass(factory):
            wrong.append(Complaint(named, f"{name!r} is a function; is it meant to make a problem?"))
        return wrong
    return [] if kind == "problem" else _made(kind, name, options, path)


def _made(kind: str, name: str, options: dict[str, Any], path: KeyPath) -> list[Complaint]:
    """Make the operator, a small record that checks the ranges of its options itself; a problem may be expensive."""
    try:
        plugins.build(kind, name, options)
    except (EmopruneError, ValueError) as error:
        return [Complaint(path, str(error))]
    return []
