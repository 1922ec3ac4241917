"""Names to objects: the only place that loads plug-ins, through entry points or an import target `module:name`."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from emoprune.complaints import nearest
from emoprune.errors import ConfigError, ContractError

__all__ = [
    "GIVEN",
    "OPERATOR_KINDS",
    "available",
    "build",
    "checked_options",
    "find",
    "importable_from",
    "is_given",
    "is_import_target",
    "nearest",
    "options_model",
    "settled",
    "summary",
]

OPERATOR_KINDS = ("sampling", "seeding", "crossover", "mutation", "repair")
GIVEN = "given"  # `given:<class>` is the name of a problem that was handed over as a Python object

_GROUPS = {
    "problem": "emoprune.problems",
    "example": "emoprune.examples",
    **dict.fromkeys(OPERATOR_KINDS, "emoprune.operators"),
}


def available(kind: str) -> dict[str, EntryPoint]:
    """Return the installed plug-ins of `kind` (problem, example, or an operator kind) by name, sorted.

    An operator's entry point is called `<kind>.<name>`, as in `crossover.uniform`.

    Raises:
        ConfigError: Two installed packages claim one name.
    """
    prefix = f"{kind}." if kind in OPERATOR_KINDS else ""
    found = {entry.name: entry for entry in _entry_points(_GROUPS[kind], tuple(sys.path))}
    return {name.removeprefix(prefix): entry for name, entry in sorted(found.items()) if name.startswith(prefix)}


@cache
def _entry_points(group: str, _path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Read the installed metadata once per search path; refuse two packages that claim one name."""
    entries = tuple(entry_points(group=group))
    claimed: dict[str, EntryPoint] = {}
    for entry in entries:
        other = claimed.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise ConfigError(
                f"two installed packages offer {entry.name!r} in {group}: {other.value} and {entry.value}; "
                "uninstall one"
            )
    return entries


def is_import_target(name: str) -> bool:
    """Whether `name` has the form `package.module:attribute` of a plug-in that is not installed by name."""
    return ":" in name and not is_given(name)


def is_given(name: str) -> bool:
    """Whether `name` stands for a problem that was handed over as a Python object."""
    return name.startswith(f"{GIVEN}:")


@contextmanager
def importable_from(*folders: Path) -> Iterator[None]:
    """Let import targets be found in `folders` first, as a script's own folder is."""
    added = [str(folder.resolve()) for folder in folders]
    sys.path[:0] = added
    try:
        yield
    finally:
        for entry in added:
            if entry in sys.path:
                sys.path.remove(entry)


def find(kind: str, name: str) -> Callable[..., Any]:
    """Return the class or function behind a plug-in's name or import target.

    Raises:
        ConfigError: Nothing of that name is installed, or importing it failed; the import's own error is the cause.
    """
    if is_import_target(name):
        return _import_target(name)
    entries = available(kind)
    if name not in entries:
        raise ConfigError(f"no {kind} is called {name!r}{nearest(name, list(entries))}{_other_kind(kind, name)}")
    return _loaded(kind, entries[name])


def _other_kind(kind: str, name: str) -> str:
    others = [other for other in OPERATOR_KINDS if other != kind and name in available(other)]
    return f"; {name!r} is a {others[0]}" if others else ""


def _loaded(kind: str, entry: EntryPoint) -> Callable[..., Any]:
    try:
        loaded: Callable[..., Any] = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{kind} {entry.name!r} cannot be imported: {error}{_install(entry)}") from error
    return loaded


def _install(entry: EntryPoint) -> str:
    """Say which extra brings what an entry point needs, if it names one: `name = "module:attribute [extra]"`."""
    package = entry.dist.name if entry.dist is not None else "emoprune"
    return f"; install it with: pip install '{package}[{','.join(entry.extras)}]'" if entry.extras else ""


def _import_target(target: str) -> Callable[..., Any]:
    module_name, _, attribute = target.partition(":")
    module = _module(module_name, target)
    found = getattr(module, attribute, None)
    if not callable(found):
        own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise ConfigError(f"{module_name!r} has no class or function {attribute!r}{nearest(attribute, own)}")
    return found  # type: ignore[no-any-return]  # getattr cannot say more


def _module(name: str, target: str) -> object:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"expected an import target such as 'package.module:Name', found {target!r}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name is not None and f"{name}.".startswith(f"{error.name}.")
        remedy = "it must be installed or lie beside the config file" if missing else "install what it imports"
        raise ConfigError(f"cannot import {name!r} for {target!r}: {error}; {remedy}") from error
    except Exception as error:  # a stranger's module may raise anything; its own error is the cause
        raise ConfigError(
            f"importing {name!r} for {target!r} failed: {type(error).__name__}: {error}; mend that module"
        ) from error


def options_model(factory: Callable[..., Any]) -> type[BaseModel]:
    """Return a pydantic model of the factory's keyword arguments, so that options are checked before it is called.

    Raises:
        ContractError: Its annotations cannot be read.
    """
    settings = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=(), allow_inf_nan=False)
    name = getattr(factory, "__name__", type(factory).__name__)
    try:
        return create_model(name, __config__=settings, **_fields(factory))
    except (NameError, TypeError, ValueError, PydanticUserError) as error:
        raise ContractError(f"{name}: its arguments cannot be read as options: {error}; annotate them") from error


def _fields(factory: Callable[..., Any]) -> dict[str, Any]:
    owner = factory.__init__ if inspect.isclass(factory) else factory
    hints = get_type_hints(owner, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints.get(name, Any), default)
    return fields | _made_defaults(factory, hints)


def _made_defaults(factory: Callable[..., Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a dataclass whose defaults are made anew each time; its signature hides them."""
    made = {}
    for field in dataclasses.fields(factory) if dataclasses.is_dataclass(factory) else ():
        if field.init and field.default_factory is not dataclasses.MISSING:
            made[field.name] = (hints.get(field.name, Any), Field(default_factory=field.default_factory))
    return made


def checked_options(factory: Callable[..., Any], options: Mapping[str, Any]) -> BaseModel:
    """Return the options as an instance of the factory's model; they are plain data and checked as strictly as JSON.

    Raises:
        pydantic.ValidationError: An option is unknown, missing or of the wrong type.
    """
    # Through JSON, because only there strictness lets a list be a tuple and text be a path, and nothing else.
    return options_model(factory).model_validate_json(json.dumps(dict(options)), strict=True)


def settled(kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a plug-in as plain data, its own defaults filled in where they can be written down.

    Raises:
        ConfigError: The name is unknown.
        pydantic.ValidationError: An option is unknown, missing or of the wrong type.
    """
    checked = checked_options(find(kind, name), options)
    plain: dict[str, Any] = {}
    for option in type(checked).model_fields:
        try:
            plain |= checked.model_dump(mode="json", include={option})
        except PydanticSerializationError:
            continue  # only a default can be such an object: what was given came from plain data
    return plain


def build(kind: str, name: str, options: Mapping[str, Any]) -> Any:
    """Return the plug-in `name` of `kind`, made with checked `options`.

    Raises:
        ConfigError: The name is unknown.
        pydantic.ValidationError: An option is unknown, missing or of the wrong type (`emoprune.config` renders it).
    """
    factory = find(kind, name)
    checked = checked_options(factory, options)
    return factory(**{option: getattr(checked, option) for option in checked.model_fields_set})


def summary(factory: Callable[..., Any]) -> str:
    """Return the first line of a plug-in's documentation; empty if it has none of its own."""
    text = vars(factory).get("__doc__") if inspect.isclass(factory) else factory.__doc__
    return inspect.cleandoc(text).partition("\n")[0] if text else ""
