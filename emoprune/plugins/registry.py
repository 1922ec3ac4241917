"""Names to objects: the only place that loads plug-ins, through entry points or an import target `module:name`."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from emoprune.errors import ConfigError, ContractError
from emoprune.plugins.complaints import nearest

__all__ = [
    "GIVEN",
    "METHOD_KINDS",
    "OPERATOR_KINDS",
    "PLURALS",
    "available",
    "find",
    "import_target",
    "importable_from",
    "is_given",
    "is_import_target",
    "nearest",
    "serving",
]

OPERATOR_KINDS = ("sampling", "seeding", "crossover", "mutation", "repair")
# What a problem is built of. Each kind has a contract, and each plug-in says with `about` which problems it serves.
METHOD_KINDS = (
    "criterion",
    "saliency",
    "compensation",
    "reference",
    "proxy",
    "objective",
    "recovery",
    "mask",
    "audit",
    "architecture",
    "selector",
)
PLURALS: Mapping[str, str] = MappingProxyType(
    {
        "problem": "problems",
        "algorithm": "algorithms",
        "criterion": "criteria",
        "saliency": "saliencies",
        "compensation": "compensations",
        "reference": "references",
        "proxy": "proxies",
        "objective": "objectives",
        "recovery": "recoveries",
        "mask": "masks",
        "audit": "audits",
        "architecture": "architectures",
        "selector": "selectors",
    }
)
GIVEN = "given"  # `given:<class>` is the name of a problem that was handed over as a Python object

_GROUPS = {
    **{kind: f"emoprune.{plural}" for kind, plural in PLURALS.items()},
    "example": "emoprune.examples",
    "sample": "emoprune.samples",
    "check": "emoprune.checks",
    "taxonomy": "emoprune.taxonomies",
    **dict.fromkeys(OPERATOR_KINDS, "emoprune.operators"),
}


def available(kind: str) -> dict[str, EntryPoint]:
    """Return the installed plug-ins of `kind` by name, sorted.

    A kind is problem, algorithm, one of METHOD_KINDS or OPERATOR_KINDS, example, sample (a small instance of a problem,
    on which methods are tried), check (what a problem's methods of a kind are checked for by themselves), or taxonomy
    (what kinds of criteria there are). An operator's entry point is called `<kind>.<name>`, as in `crossover.uniform`;
    a method's `<problem>.<name>`, as in `channels.uniform`, where methods of other problems have the same name, and its
    name alone elsewhere; a check's `<problem>.<kind>`.

    Raises:
        ConfigError: Two installed packages claim one name.
    """
    prefix = f"{kind}." if kind in OPERATOR_KINDS else ""
    found = {entry.name: entry for entry in _entry_points(_GROUPS[kind], tuple(sys.path))}
    return {name.removeprefix(prefix): entry for name, entry in sorted(found.items()) if name.startswith(prefix)}


def serving(kind: str, problem: str) -> dict[str, EntryPoint]:
    """Return the installed methods of `kind` that a problem may ask for, by the names it knows them by, sorted.

    Those that are installed for this problem, `<problem>.<name>`, and those that are for no problem in particular,
    which say with `about` whom they serve; they are not imported here.
    """
    own, anyone = {}, {}
    for name, entry in available(kind).items():
        owner, _, short = name.rpartition(".")
        if owner == problem:
            own[short] = entry
        elif not owner:
            anyone[short] = entry
    return dict(sorted({**anyone, **own}.items()))


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
    """Whether `name` is meant as `package.module:attribute`, a plug-in that is not installed by name."""
    return ":" in name and not is_given(name)


def import_target(text: str) -> tuple[str, str] | None:
    """Return the module and the attribute that `find` imports for `text`; None if it imports nothing for it.

    What may be imported for a run is told by this as well, so that nothing is imported that was not recognised.
    """
    module, _, attribute = text.partition(":")
    if is_given(text) or not attribute.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        return None
    return module, attribute


def is_given(name: str) -> bool:
    """Whether `name` stands for a problem that was handed over as a Python object."""
    return name.startswith(f"{GIVEN}:")


@contextmanager
def importable_from(*folders: Path) -> Iterator[None]:
    """Let import targets be found in `folders` too, behind what is installed; none of them ends the program.

    They come last, so that a `json.py` or `torch.py` that lies there is not taken for the real one.

    Raises:
        ContractError: A plug-in called `sys.exit`.
    """
    added = [folder for folder in dict.fromkeys(str(each.resolve()) for each in folders) if folder not in sys.path]
    sys.path += added
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


def find(kind: str, name: str, problem: str | None = None) -> Callable[..., Any]:
    """Return the class or function behind a plug-in's name or import target; behind a taxonomy's, its module.

    Args:
        kind: Of what.
        name: As a config has it.
        problem: The problem that asks for a method; None where no problem does.

    Raises:
        ConfigError: Nothing of that name is installed, or importing it failed; the import's own error is the cause.
    """
    if is_import_target(name):
        return _import_target(name)
    entries = available(kind) if problem is None else serving(kind, problem)
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
    parts = import_target(target)
    if parts is None:
        raise ConfigError(f"expected an import target such as 'package.module:Name', found {target!r}")
    module_name, attribute = parts
    module = _module(module_name, target)
    found = getattr(module, attribute, None)
    if not callable(found):
        own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        raise ConfigError(f"{module_name!r} has no class or function {attribute!r}{nearest(attribute, own)}")
    return found  # type: ignore[no-any-return]  # getattr cannot say more


def _module(name: str, target: str) -> object:
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
