"""Where a config comes from: a file, an example by name, or a mapping, with `--set` overrides put over it."""

from __future__ import annotations

import copy
import hashlib
import importlib.resources
import json
import numbers
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emoprune import plugins
from emoprune.config.yaml_reader import Document, parse
from emoprune.errors import ConfigError
from emoprune.plugins.complaints import Complaint, KeyPath, Place, dotted, nearest, shown

__all__ = ["MAPPING", "Given", "edited", "example_text", "given", "meaning", "with_overrides"]

LARGEST = 1_000_000  # bytes
MAPPING = "the config"  # what a config without a file is called


@dataclass(frozen=True, slots=True)
class Given:
    """A config before it is checked: plain values, where each came from, and what is wrong already.

    `label` names the source in messages; `text` is what was read and `folder` where it lay, None for a mapping.
    """

    label: str
    text: str | None
    folder: Path | None
    values: Any
    places: Mapping[KeyPath, Place]
    complaints: tuple[Complaint, ...]

    def place(self, complaint: Complaint) -> Place:
        """Return where the complaint's key, or the nearest one around it, was given."""
        if complaint.place is not None:
            return complaint.place
        path = complaint.path
        known = (self.places[path[:length]] for length in range(len(path), 0, -1) if path[:length] in self.places)
        return next(known, Place(0, "" if self.label == MAPPING else self.label))


def given(source: str | os.PathLike[str] | Mapping[str, Any]) -> Given:
    """Read a config's source: a mapping, an example's name, or a path to YAML.

    Raises:
        ConfigError: There is no such source, or it is not a readable text of at most 1 MB.
    """
    if isinstance(source, Mapping):
        return _from_mapping(source)
    name = os.fspath(source)
    if isinstance(source, str) and _may_be_example(name) and name in plugins.available("example"):
        return _from_text(example_text(name), f"{name}.yaml", None)
    path = Path(name)
    return _from_text(_file_text(path), name, path.parent)


def _may_be_example(name: str) -> bool:
    return not name.endswith((".yaml", ".yml")) and "/" not in name and os.sep not in name


def example_text(name: str) -> str:
    """Return the YAML of an installed example, comments included.

    Raises:
        ConfigError: No example has that name.
    """
    entries = plugins.available("example")
    if name not in entries:
        hint = nearest(name, list(entries)) or "; `emoprune list examples` names all"
        raise ConfigError(f"no example is called {name!r}{hint}")
    package = entries[name].value
    try:
        return (importlib.resources.files(package) / f"{name}.yaml").read_text(encoding="utf-8")
    except (OSError, ImportError) as error:
        raise ConfigError(f"example {name!r}: expected {name}.yaml in {package}, found none; reinstall it") from error


def meaning(text: str | bytes) -> str:
    """Return a digest of what YAML says; comments and white space say nothing, and what is no YAML says itself."""
    said = text.decode("utf-8-sig", "backslashreplace") if isinstance(text, bytes) else text
    try:
        document = parse(said, "config.yaml")
        plain = json.dumps(said if document.complaints else document.value, sort_keys=True, default=str)
    except (ConfigError, RecursionError, TypeError):
        plain = said
    return hashlib.sha256(plain.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def edited(path: Path, content: bytes, before: str | None) -> str | None:
    """Say that a run's config.yaml no longer says what it was begun with, and what to do; None if it does.

    Args:
        path: The file.
        content: What is in it.
        before: The `meaning` that the manifest has; None if it has none.
    """
    if before is None or meaning(content) == before:
        return None
    return (
        f"{path} was edited, but a resume goes by config.resolved.json: give what shall change to `emoprune resume "
        f"{path.resolve().parent.name} --set KEY=VALUE`, and undo the edit or remove config.yaml"
    )


def _file_text(path: Path) -> str:
    """Return a file's text; it is bounded before it is read, and must be a regular file, so that nothing blocks."""
    try:
        mode = path.stat().st_mode
        data = _first_bytes(path) if stat.S_ISREG(mode) else b""
    except FileNotFoundError:
        raise ConfigError(f"there is no config file {str(path)!r}{_nearest_source(path)}") from None
    except (OSError, ValueError) as error:  # a NUL in a path is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"config file {str(path)[:200]!r} cannot be read: {reason}") from error
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "something that is not a regular file"
        raise ConfigError(f"expected a YAML file, found {found}: {path}")
    if len(data) > LARGEST:
        raise ConfigError(f"{path}: expected a config of at most {LARGEST:,} bytes, found more; is it a config?")
    return _decoded(data, path)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST + 1)


def _nearest_source(path: Path) -> str:
    examples = list(plugins.available("example"))
    beside = sorted(str(path.with_name(found.name)) for found in path.parent.glob("*.y*ml"))
    close = [nearest(str(path), beside), nearest(path.stem, examples)]
    known = f"; the examples are: {', '.join(examples)}" if examples else ""
    return next((hint for hint in close if hint.startswith(";")), known)


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: expected UTF-8 text, found the byte 0x{data[error.start]:02x}; save the file as UTF-8"
        ) from None


def _from_text(text: str, label: str, folder: Path | None) -> Given:
    document = parse(text, label)
    values, complaints = _top(document)
    return Given(label, text, folder, values, document.places, complaints)


def _top(document: Document) -> tuple[Any, tuple[Complaint, ...]]:
    """Return the keys at the top, or say why there are none."""
    if isinstance(document.value, dict):
        return document.value, document.complaints
    if document.complaints:
        return None, document.complaints
    if document.value is None:
        hint = "; `emoprune init EXAMPLE` writes one to start from"
        return None, (Complaint((), f"empty; expected at least the key 'problem'{hint}"),)
    return None, (Complaint((), f"expected keys such as 'problem:' at the top, found {shown(document.value)}"),)


def _from_mapping(source: Mapping[str, Any]) -> Given:
    try:
        values = json.loads(json.dumps(dict(source), default=_plain, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the config holds what YAML cannot: {error}") from error
    return Given(MAPPING, None, None, values, {}, ())


def _plain(value: object) -> object:
    if isinstance(value, numbers.Integral):  # numpy's numbers are registered as such
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"expected text, numbers, lists and mappings, found {type(value).__name__}")


def with_overrides(
    source: Given,
    overrides: Sequence[str],
    defaults: Mapping[str, Any],
    is_plugin: Callable[[KeyPath], bool],
) -> Given:
    """Put `a.b=value` overrides over what was given, later ones over earlier ones; values are read as YAML.

    An override of a plug-in's option also works where the plug-in stands as a bare name, or only in `defaults`.
    """
    if not isinstance(source.values, dict):
        return source
    values = copy.deepcopy(source.values)
    places, complaints = dict(source.places), list(source.complaints)
    for number, override in enumerate(overrides):
        place = Place(LARGEST + number, f"--set {override if len(override) <= 80 else override[:77] + '...'}")
        try:
            keys, value = _split(override)
            path = _put(values, keys, value, defaults, is_plugin)
        except ConfigError as error:
            complaints.append(Complaint((), str(error), place))
            continue
        places = {known: there for known, there in places.items() if known[: len(path)] != path}
        places[path] = place
    return replace(source, values=values, places=places, complaints=tuple(complaints))


def _split(override: str) -> tuple[list[str], object]:
    key, sign, text = override.partition("=")
    keys = key.strip().split(".")
    if not sign or not all(keys):
        raise ConfigError("expected KEY=VALUE, for instance search.population=80")
    document = parse(text, "value")
    if document.complaints:
        raise ConfigError(f"its value is wrong: {document.complaints[0].text}")
    return keys, document.value


def _put(
    values: dict[str, Any],
    keys: Sequence[str],
    value: object,
    defaults: object,
    is_plugin: Callable[[KeyPath], bool],
) -> KeyPath:
    """Set the value and return its path; what it is an option of is filled in on the way."""
    place: Any = values
    path: KeyPath = ()
    for key in keys[:-1]:
        part = _part(place, key, path)
        path = (*path, part)
        defaults = defaults.get(key) if isinstance(defaults, Mapping) else None
        inner = place[part] if isinstance(place, list) else place.get(part)
        if inner is None:
            inner = copy.deepcopy(defaults) if is_plugin(path) or isinstance(defaults, list) else {}
        if isinstance(inner, str) and is_plugin(path):
            inner = {"name": inner}
        place[part] = {} if inner is None else inner
        place = place[part]
    last = _part(place, keys[-1], path)
    place[last] = value
    return (*path, last)


def _part(place: object, key: str, path: KeyPath) -> Any:
    """Return the key or index that `key` means in `place`; refuse what holds neither."""
    if isinstance(place, dict):
        return key
    if not isinstance(place, list):
        raise ConfigError(f"{dotted(path)!r} is {shown(place)}, which has no key {key!r}")
    if not key.isdecimal() or int(key) >= len(place):
        raise ConfigError(f"{dotted(path)!r} is a list of {len(place)}, counted from 0; there is no entry {key!r}")
    return int(key)
