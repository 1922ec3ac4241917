"""A plug-in's options: checked against its signature before it is made."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from emoprune.errors import ConfigError, ContractError
from emoprune.plugins.complaints import dotted, from_validation
from emoprune.plugins.registry import find

__all__ = [
    "build",
    "checked_options",
    "given_options",
    "is_record",
    "made",
    "made_with",
    "option_names",
    "options_model",
    "plain_options",
    "record_of",
    "settled",
    "taking",
]

Member = TypeVar("Member", bound=Callable[..., Any])


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


def option_names(factory: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the options that a factory takes."""
    return frozenset(options_model(factory).model_fields)


def record_of(factory: Callable[..., Any]) -> Callable[..., Any]:
    """Return what declares a factory's options: the record in its `options`, or the factory itself.

    A class whose options are many, or shared with other classes, has them as a frozen dataclass; it takes them by name.
    So does a member of a problem below `taking`.
    """
    record = getattr(factory, "options", None) if inspect.isclass(factory) or inspect.isroutine(factory) else None
    return record if is_record(record) else factory


def taking(record: type) -> Callable[[Member], Member]:
    """Return a decorator for a member of a problem, such as `recover`, that takes the options of a record by name.

        @plugins.taking(RecoveryOptions)
        def recover(self, genome, folder, seed, **given):
            own = RecoveryOptions(**given)

    Args:
        record: A frozen dataclass whose fields are the options, and whose `Args` say what they mean.
    """

    def taken(member: Member) -> Member:
        member.options = record  # type: ignore[attr-defined]  # functions take attributes; Callable does not say so
        return member

    return taken


def is_record(factory: object) -> TypeGuard[type]:
    """Whether this is a dataclass that is made from its fields, and by no other initialiser."""
    return (
        inspect.isclass(factory)
        and "__dataclass_fields__" in vars(factory)
        and vars(factory)["__dataclass_params__"].init
    )


def _fields(factory: Callable[..., Any], *, keyword_only: bool) -> dict[str, Any]:
    factory = record_of(factory)
    if is_record(factory):
        return _fields_of_record(factory)
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
    return fields


def _fields_of_record(record: Any) -> dict[str, Any]:
    """Return the options of a dataclass, each annotation read in the file where it was written, inherited ones too."""
    hints = get_type_hints(record, include_extras=True)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        if not field.init:
            continue
        default: Any = ... if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            default = Field(default_factory=field.default_factory)
        fields[field.name] = (hints.get(field.name, Any), default)
    return fields


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
