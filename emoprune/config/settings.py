"""A whole search as data: read from YAML, every mistake reported at once with its line and the nearest valid name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from emoprune import plugins
from emoprune.config import source as config_source
from emoprune.config.plugin_options import kind_at, name_and_options, plugin_complaints, plugin_paths
from emoprune.config.source import Given
from emoprune.errors import ConfigError, RunCorrupt
from emoprune.plugins.complaints import (
    CONTRADICTION,
    Complaint,
    KeyPath,
    as_error,
    dotted,
    from_validation,
    shown,
    value_at,
)

__all__ = [
    "ALLOWED_ON_RESUME",
    "Config",
    "EvaluationSettings",
    "Origin",
    "Plugin",
    "SearchSettings",
    "as_yaml",
    "changed",
    "check_resume",
    "json_schema",
    "load",
    "recorded",
    "resolved",
    "stage_settings",
]

ALLOWED_ON_RESUME = ("search.generations", "search.evaluations", "search.time_limit", "evaluation.")

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Plugin(BaseModel):
    """A plug-in's name and its options; in YAML either `uniform` or `{name: uniform, rate: 0.9}`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Everything beside the name."""
        return dict(self.model_extra or {})


def _from_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


_PLUGIN_WORDS = {"expected": "a name (`emoprune list` shows them), or a mapping with the name and options"}
PluginField = Annotated[
    Plugin,
    BeforeValidator(_from_name, json_schema_input_type=Annotated[str | Plugin, Field(json_schema_extra=_PLUGIN_WORDS)]),
]


class SearchSettings(BaseModel):
    """How the search goes: algorithm, sizes, budget, seed, operators."""

    model_config = _STRICT

    algorithm: PluginField = Plugin(name="nsga2")
    population: int = Field(default=40, ge=4, le=1_000_000)
    generations: int = Field(default=25, ge=1)
    evaluations: int | None = Field(default=None, ge=1)
    time_limit: float | None = Field(default=None, gt=0)
    seed: int = Field(default=1, ge=0, lt=2**63)
    sampling: PluginField = Plugin(name="latin")
    seeding: PluginField = Plugin(name="neighbours")
    crossover: PluginField = Plugin(name="uniform")
    mutation: PluginField = Plugin(name="by-kind")
    repair: tuple[PluginField, ...] = (Plugin(name="legal"),)
    reconsider: float = Field(default=0.0, ge=0, le=1)
    grades: Literal["auto", "none"] = "auto"
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    warm_start: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _a_budget_holds_the_first_generation(self) -> Self:
        if self.evaluations is not None and self.evaluations < self.population:
            raise PydanticCustomError(
                CONTRADICTION,
                "expected at least the population of {population}, found {found}; the first generation needs as many",
                {"key": "evaluations", "population": self.population, "found": self.evaluations},
            )
        return self


class EvaluationSettings(BaseModel):
    """Where candidates are evaluated, with how much, and how long one may take (seconds)."""

    model_config = _STRICT

    backend: Literal["ray", "serial"] = "ray"
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    address: str | None = None
    cpus_per_worker: float = Field(default=1.0, ge=0)
    gpus_per_worker: float = Field(default=0.0, ge=0)
    memory_per_worker: float = Field(default=0.0, ge=0)
    resources_per_worker: dict[str, Annotated[float, Field(gt=0)]] = {}
    node_labels: dict[str, str] = {}
    runtime_env: dict[str, Any] = {}
    threads: int = Field(default=1, ge=1)
    time_limit: float | None = Field(default=300.0, gt=0)
    start_limit: float = Field(default=120.0, gt=0)
    retries: int = Field(default=2, ge=0, le=100)
    chunk: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"

    @property
    def device(self) -> str:
        """What workers are told to compute on."""
        return "cuda" if self.gpus_per_worker > 0 else "cpu"

    @model_validator(mode="after")
    def _only_ray_shares_out_machines(self) -> Self:
        if self.backend == "serial" and self.gpus_per_worker > 0:
            raise PydanticCustomError(
                CONTRADICTION,
                "the serial backend has no GPU to share out; use 'backend: ray', or set this to 0",
                {"key": "gpus_per_worker"},
            )
        others = ("address", "memory_per_worker", "resources_per_worker", "node_labels", "runtime_env")
        for key in others if self.backend == "serial" else ():
            if getattr(self, key):
                raise PydanticCustomError(
                    CONTRADICTION,
                    "the serial backend stays in this process; use 'backend: ray', or leave this out",
                    {"key": key},
                )
        return self


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a config came from: its text as given, what was set over it, and where its import targets may lie.

    `problem_given` says that the problem is handed over as a Python object, so its name means nothing here. Origins
    compare equal: two configs that say the same are the same, wherever they came from.
    """

    label: str = field(default=config_source.MAPPING, compare=False)
    text: str | None = field(default=None, compare=False)
    overrides: tuple[str, ...] = field(default=(), compare=False)
    folders: tuple[Path, ...] = field(default=(), compare=False)
    problem_given: bool = field(default=False, compare=False)


class Config(BaseModel):
    """A search: what is pruned, how it is searched, where it is evaluated."""

    model_config = _STRICT

    config_version: Literal[1] = 1
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$",
        json_schema_extra={"expected": "1 to 32 letters, digits, '.', '_' or '-', the first a letter or a digit"},
    )
    problem: PluginField
    search: SearchSettings = SearchSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @property
    def origin(self) -> Origin:
        """Where this config came from; empty for one made in Python."""
        return self._origin


def load(
    source: str | os.PathLike[str] | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    folders: Sequence[Path] | None = None,
    problem_given: bool = False,
) -> Config:
    """Return the checked config from a path to YAML, an example's name, or a mapping.

    A plug-in given by an import target `module:Name` is imported, from the folder of the config file if need be, when
    all else is right: a config is as trusted as a script.

    Args:
        source: Where to read; a bare name means an example before it means a file.
        overrides: `search.generations=60`, `search.crossover.rate=0.8` and the like; the values are YAML.
        folders: Where import targets may lie; None for the folder of the config file, or the working folder.
        problem_given: The problem is handed over as an object, so the config's is not looked up.

    Raises:
        ConfigError: Everything that is wrong, one line for each mistake.
    """
    before = config_source.given(source)
    places = ((before.folder or Path.cwd()).resolve(),) if folders is None else tuple(folders)
    given = config_source.with_overrides(before, overrides, _DEFAULTS, lambda path: kind_at(path) is not None)
    config, complaints = _validated(given)
    complaints += plugin_complaints(given.values, problem_given, by_import=False)
    if not complaints:
        with plugins.importable_from(*places):
            complaints = plugin_complaints(given.values, problem_given, by_import=True)
    if config is None or complaints:
        raise as_error(sorted(complaints, key=given.place), given.place, given.label)
    config._origin = Origin(given.label, given.text, tuple(overrides), places, problem_given)  # noqa: SLF001  # frozen for everyone else
    return config


_SECTIONS = ("search", "evaluation")
_DEFAULTS: Mapping[str, Any] = {"search": SearchSettings().model_dump(mode="json")}


def _validated(given: Given) -> tuple[Config | None, list[Complaint]]:
    """Return the config, or what is wrong with its keys and values; plug-ins are looked at elsewhere."""
    complaints = list(given.complaints)
    if not isinstance(given.values, dict):
        return None, complaints
    # A section whose every line is commented out is null in YAML.
    values = {key: value for key, value in given.values.items() if value is not None or key not in _SECTIONS}
    try:
        # Through JSON, because only there strictness lets a list be a tuple, and nothing else.
        config = Config.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        known = {complaint.path for complaint in complaints}
        found = from_validation(error, Config, given.values)
        return None, complaints + [complaint for complaint in found if complaint.path not in known]
    return (None if complaints else config), complaints


Section = TypeVar("Section", bound=BaseModel)


def recorded(section: type[Section], plain: object, run: Path) -> Section:
    """Return a config, or a section of it, as `config.resolved.json` in the folder `run` has it.

    Raises:
        RunCorrupt: It is none.
    """
    try:
        return section.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        place = run / "config.resolved.json"
        raise RunCorrupt(f"{place}: {key}: {first['msg']}; restore the file from a copy") from error


def resolved(config: Config) -> dict[str, Any]:
    """Return the whole config as plain data: defaults, overrides and the plug-ins' own defaults filled in.

    Raises:
        ConfigError: A plug-in or its options are wrong, in a config that did not come from `load`.
    """
    plain = config.model_dump(mode="json")
    with plugins.importable_from(*config.origin.folders):
        for path in plugin_paths(plain):
            holder: Any = value_at(plain, path[:-1])
            holder[path[-1]] = _settled(kind_at(path) or "", holder[path[-1]], config.origin)
    return plain


def _settled(kind: str, plain: dict[str, Any], origin: Origin) -> dict[str, Any]:
    name, options = name_and_options(plain)
    if name is None or plugins.is_given(name) or (kind == "problem" and origin.problem_given):
        return plain
    try:
        return {"name": name, **plugins.settled(kind, name, options)}
    except ValidationError as error:
        raise ConfigError(f"{kind} {name!r}: {error.errors()[0]['msg']}") from error


def stage_settings(settings: SearchSettings, changes: Mapping[str, Any], stage: str) -> SearchSettings:
    """Return the settings of a stage: the config's with the stage's own changes, and no former run's front.

    Raises:
        ConfigError: The stage changes something that is no setting, or to something that it cannot be.
    """
    plain = {**settings.model_dump(mode="json"), "warm_start": [], **changes}
    try:
        return SearchSettings.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        found = from_validation(error, SearchSettings, plain, under=("search",))
        lines = [f"{dotted(complaint.path)}: {complaint.text}" for complaint in found]
        raise ConfigError("\n".join([f"stage {stage!r} cannot be searched like this", *lines])) from error


def as_yaml(config: Config) -> str:
    """Return the config as it was given, with what was set over it as comments at the end."""
    text = config.origin.text
    if text is None:
        text = yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True)
    overrides = "".join(f"# --set {override!r}\n" for override in config.origin.overrides)
    return text if not overrides else f"{text.rstrip()}\n\n# given on the command line:\n{overrides}"


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a config, for editors that complete and check YAML."""
    return Config.model_json_schema()


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, object, object]]:
    """Return what differs between two resolved configs as (dotted path, old, new); None stands for absent."""
    return list(_differences(old, new, ()))


def _differences(old: object, new: object, path: KeyPath) -> Iterator[tuple[str, object, object]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), (*path, key))
    elif old != new:
        yield dotted(path), old, new


def check_resume(old: Mapping[str, Any], new: Mapping[str, Any], bounds: Sequence[str] = ()) -> None:
    """Refuse what a resumed run cannot change: only its budget and its resources may differ.

    Args:
        old: The resolved config as it is.
        new: As it would be.
        bounds: What else may change, such as a bound of the problem's own on what measuring is charged.

    Raises:
        ConfigError: With every change that is not allowed, old and new value.
    """
    may = (*ALLOWED_ON_RESUME, *bounds)
    refused = [
        f"{path}: {shown(before)} -> {shown(after)}"
        for path, before, after in changed(old, new)
        if not any(path == allowed or (allowed.endswith(".") and path.startswith(allowed)) for allowed in may)
    ]
    if refused:
        lines = "\n".join(refused)
        raise ConfigError(
            f"a resumed run keeps the search it was begun with, so this cannot change:\n{lines}\n"
            f"only {', '.join(allowed + '*' * allowed.endswith('.') for allowed in may)} may; "
            "begin a new run with `emoprune run` for the rest"
        )
