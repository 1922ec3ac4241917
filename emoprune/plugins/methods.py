"""Methods by name, made with their options for the problem that asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any

from pydantic import AfterValidator

from emoprune.contracts.methods import about_of, check_method
from emoprune.errors import ConfigError
from emoprune.plugins.options import made_with, option_names
from emoprune.plugins.registry import PLURALS, available, find

__all__ = ["method", "methods", "named", "naming", "serves"]

Given = str | Mapping[str, Any]


def named(option: str, given: Given) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a plug-in that a config names, or describes by a mapping of both.

    Raises:
        ConfigError: There is no name.
    """
    options = {"name": given} if isinstance(given, str) else dict(given)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"{option}: expected a name, or a mapping with a name and options, found {given!r}")
    return name, options


def method(
    kind: str, given: Given, problem: str, *, option: str | None = None, shared: Mapping[str, Any] | None = None
) -> Any:
    """Return a method made with its options, all of them checked.

    Args:
        kind: One of METHOD_KINDS.
        given: Its name or import target, or a mapping of that under `name` and its options.
        problem: The name of the problem that asks.
        option: What the config calls it; the kind unless said.
        shared: Options that the problem takes on behalf of several methods; those that this one knows are handed on,
            unless `given` has them itself.

    Raises:
        ConfigError: There is none of that name, it does not serve the problem, or an option is wrong.
        ContractError: It lacks a member of its kind.
    """
    name, options = named(option or kind, given)
    try:
        _check_unclaimed(kind, name, problem)
        factory = find(kind, name, problem)
    except ConfigError as error:
        raise ConfigError(
            f"{option or kind}: {error}"
            f"{_served_elsewhere(kind, name) or _listed(kind, name, error)}{_why_not(kind, name, problem)}"
        ) from error
    if not serves(factory, problem):
        raise ConfigError(
            f"{option or kind}: {name!r} serves {', '.join(_served(factory))}, not {problem}; `emoprune list "
            f"{PLURALS[kind]}` says which serve what{_why_not(kind, name, problem)}"
        )
    known = option_names(factory)
    handed = {key: value for key, value in (shared or {}).items() if key in known}
    made = made_with(factory, {**handed, **options}, f"{kind} {name!r}")
    check_method(kind, name, made)
    return made


def methods(kind: str, given: Sequence[Given], problem: str, *, option: str | None = None) -> dict[str, Any]:
    """Return several methods by name, in order, each made as `method` does.

    Raises:
        ConfigError: As `method`, or one of them is there twice.
    """
    made: dict[str, Any] = {}
    for own in given:
        name, _ = named(option or kind, own)
        if name in made:
            raise ConfigError(f"{option or kind}: expected each once, found {name!r} again")
        made[name] = method(kind, own, problem, option=option)
    return made


def naming(kind: str, problem: str) -> AfterValidator:
    """Return what an option that names a method is annotated with, so that its mistakes are refused with the others.

    An option of `audit` or `recover` is read before a run is opened again, which may take long:

        method: Annotated[str | Mapping[str, Any], naming("recovery", "channels")] = "finetune"

    Args:
        kind: One of METHOD_KINDS.
        problem: The name of the problem that asks.
    """

    def checked(given: Given) -> Given:
        try:
            method(kind, given, problem)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return given

    return AfterValidator(checked)


def serves(factory: object, problem: str) -> bool:
    """Whether a method serves a problem; one that does not say whom it serves is believed to serve all."""
    own = about_of(factory)
    return own is None or not own.serves or problem in own.serves


def _check_unclaimed(kind: str, name: str, problem: str) -> None:
    """Refuse a name that one package has for this problem alone, and another for any that it serves, this one too.

    Raises:
        ConfigError: Which of them is meant cannot be told; a config would mean another method than it did.
    """
    entries = available(kind)
    own, anyone = entries.get(f"{problem}.{name}"), entries.get(name)
    if own is None or anyone is None or _package(own) == _package(anyone):
        return
    try:
        contested = serves(find(kind, name), problem)
    except ConfigError:
        return  # what cannot be imported serves nobody
    if contested:
        raise ConfigError(
            f"{_package(own)} and {_package(anyone)} both offer a {kind} {name!r} to {problem}: {own.value} and "
            f"{anyone.value}; uninstall one, or name its import target"
        )


def _package(entry: EntryPoint) -> str:
    return "" if entry.dist is None else entry.dist.name


def _served(factory: object) -> tuple[str, ...]:
    own = about_of(factory)
    return () if own is None else own.serves


def _served_elsewhere(kind: str, name: str) -> str:
    owners = [each.rpartition(".")[0] for each in available(kind) if each.rpartition(".")[2] == name]
    return f"; one of that name serves {', '.join(sorted(owners))}" if any(owners) else ""


def _why_not(kind: str, name: str, problem: str) -> str:
    """Return why the methods of a name do not serve a problem, as far as they say so."""
    for each in available(kind):
        if each.rpartition(".")[2] == name:
            try:
                own = about_of(find(kind, each))
            except ConfigError:
                continue  # what cannot be imported says nothing
            if own is not None and problem in own.refuses:
                return f": {own.refuses[problem]}"
    return ""


def _listed(kind: str, name: str, error: ConfigError) -> str:
    """Say where all names stand, after an error that ends with a name that nothing is near to."""
    return f"; `emoprune list {PLURALS[kind]}` names those there are" if str(error).endswith(repr(name)) else ""
