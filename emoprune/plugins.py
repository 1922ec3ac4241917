"""Names to objects: the only place that loads plug-ins, through entry points or an import target `module:name`."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from emoprune.complaints import dotted, from_validation, nearest
from emoprune.errors import ConfigError, ContractError

__all__ = [
    "GIVEN",
    "OPERATOR_KINDS",
    "available",
    "build",
    "checked_options",
    "find",
    "given_options",
    "importable_from",
    "is_given",
    "is_import_target",
    "made",
    "made_with",
    "nearest",
    "options_model",
    "plain_options",
    "settled",
    "summary",
]

OPERATOR_KINDS = ("sampling", "seeding", "crossover", "mutation", "repair")
GIVEN = "given"  # `given:<class>` is the name of a problem that was handed over as a Python object

_GROUPS = {
    "problem": "emoprune.problems",
    "algorithm": "emoprune.algorithms",
    "example": "emoprune.examples",
    "criterion": "emoprune.criteria",
    "compensation": "emoprune.compensations",
    "taxonomy": "emoprune.taxonomies",
    **dict.fromkeys(OPERATOR_KINDS, "emoprune.operators"),
}


def available(kind: str) -> dict[str, EntryPoint]:
    """Return the installed plug-ins of `kind` by name, sorted.

    A kind is problem, algorithm, example, criterion (what ranks the parts of a thing that is pruned), compensation
    (how the parts that stay make up for those that go), taxonomy (what kinds of
    criteria there are), or an operator kind. An operator's entry point is called `<kind>.<name>`, as in
    `crossover.uniform`.

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
    """Let import targets be found in `folders` first, as a script's own folder is; none of them ends the program.

    Raises:
        ContractError: A plug-in called `sys.exit`.
    """
    added = [str(folder.resolve()) for folder in folders]
    sys.path[:0] = added
    try:
        yield
    except SystemExit as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise ContractError(
            f"a plug-in called sys.exit({error.code!r}) in {last.name} ({Path(last.filename).name}:{last.lineno}); "
            "let it raise an error that says what is wrong"
        ) from error
    finally:
        for entry in added:
            if entry in sys.path:
                sys.path.remove(entry)


def find(kind: str, name: str) -> Callable[..., Any]:
    """Return the class or function behind a plug-in's name or import target; behind a taxonomy's, its module.

    Raises:
        ConfigError: Nothing of that name is installed, or importing it failed; the import's own error is the cause.
    """
    if is_import_target(name):
        return _import_target(name)
    entries = available(kind)
    if name not in entries:
        raise ConfigError(f"no {kind} is called {name!r}{_of_another_kind(kind, name) or nearest(name, list(entries))}")
    return _loaded(kind, entries[name])


def _of_another_kind(kind: str, name: str) -> str:
    others = [other for other in OPERATOR_KINDS if other != kind and name in available(other)]
    return f" (there are: {', '.join(available(kind))}); {name!r} is a {others[0]}" if others else ""


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


def options_model(factory: Callable[..., Any], *, keyword_only: bool = False) -> type[BaseModel]:
    """Return a pydantic model of the factory's arguments, so that options are checked before it is called.

    With `keyword_only` these are the arguments after the `*`: the ones before are not the user's to give.

    Raises:
        ContractError: Its annotations cannot be read.
    """
    settings = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=(), allow_inf_nan=False)
    name = getattr(factory, "__name__", type(factory).__name__)
    try:
        return create_model(name, __config__=settings, **_fields(factory, keyword_only=keyword_only))
    except (NameError, TypeError, ValueError, PydanticUserError) as error:
        raise ContractError(f"{name}: its arguments cannot be read as options: {error}; annotate them") from error


def _fields(factory: Callable[..., Any], *, keyword_only: bool) -> dict[str, Any]:
    owner = factory.__init__ if inspect.isclass(factory) else factory
    hints = get_type_hints(owner, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if keyword_only and parameter.kind is not parameter.KEYWORD_ONLY:
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


def checked_options(
    factory: Callable[..., Any], options: Mapping[str, Any], *, keyword_only: bool = False
) -> BaseModel:
    """Return the options as an instance of the factory's model; they are plain data and checked as strictly as JSON.

    Raises:
        pydantic.ValidationError: An option is unknown, missing or of the wrong type.
    """
    model = options_model(factory, keyword_only=keyword_only)
    # Through JSON, because only there strictness lets a list be a tuple and text be a path, and nothing else.
    return model.model_validate_json(json.dumps(dict(options)), strict=True)


def given_options(checked: BaseModel) -> dict[str, Any]:
    """Return the checked options that were given, as what they are declared to be; defaults stay with the factory."""
    return {option: getattr(checked, option) for option in checked.model_fields_set}


def plain_options(checked: BaseModel) -> dict[str, Any]:
    """Return all checked options as plain data, defaults filled in where they can be written down."""
    written: dict[str, Any] = {}
    for option in type(checked).model_fields:
        try:
            written |= checked.model_dump(mode="json", include={option})
        except PydanticSerializationError:
            continue  # only a default can be such an object: what was given came from plain data
    return written


def settled(kind: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a plug-in as plain data, its own defaults filled in where they can be written down.

    Raises:
        ConfigError: The name is unknown.
        pydantic.ValidationError: An option is unknown, missing or of the wrong type.
    """
    return plain_options(checked_options(find(kind, name), options))


def build(kind: str, name: str, options: Mapping[str, Any]) -> Any:
    """Return the plug-in `name` of `kind`, made with checked `options`.

    Raises:
        ConfigError: The name is unknown.
        pydantic.ValidationError: An option is unknown, missing or of the wrong type (`emoprune.config` renders it).
    """
    factory = find(kind, name)
    return factory(**given_options(checked_options(factory, options)))


def made(kind: str, name: str, options: Mapping[str, Any]) -> Any:
    """Return the plug-in as `build` does, for a plug-in that is built of others, such as a problem of a criterion.

    Raises:
        ConfigError: The name is unknown, or an option is unknown, missing or of the wrong type.
    """
    return made_with(find(kind, name), options, f"{kind} {name!r}")


def made_with(factory: Callable[..., Any], options: Mapping[str, Any], what: str) -> Any:
    """Return what a factory makes of a user's options; `what` says in a complaint what it is.

    Raises:
        ConfigError: An option is unknown, missing or of the wrong type.
    """
    try:
        checked = checked_options(factory, options)
    except ValidationError as error:
        wrong = from_validation(error, options_model(factory), options, key=f"option of {what}")
        raise ConfigError("\n".join(f"{what}: {dotted(each.path)}: {each.text}" for each in wrong)) from error
    return factory(**given_options(checked))


def summary(factory: Callable[..., Any]) -> str:
    """Return the first line of a plug-in's documentation; empty if it has none of its own."""
    return _documentation(factory).partition("\n")[0]


def meanings(factory: Callable[..., Any]) -> dict[str, str]:
    """Return what the `Args:` of a plug-in's documentation say of each of its arguments."""
    found: dict[str, list[str]] = {}
    name, _, block = "", *_documentation(factory).partition("\nArgs:\n")[1:]
    for line in block.splitlines():
        if line and not line.startswith(" "):
            break
        began = re.match(r"    (\w+): (.+)", line)
        if began:
            name = began[1]
            found[name] = [began[2]]
        elif name and line.strip():
            found[name].append(line.strip())
    return {argument: " ".join(words) for argument, words in found.items()}


def _documentation(factory: Callable[..., Any]) -> str:
    text = vars(factory).get("__doc__") if inspect.isclass(factory) else factory.__doc__
    return inspect.cleandoc(text) if text else ""
