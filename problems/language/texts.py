"""Texts: the one that comes with Python, and files of the user's."""

from __future__ import annotations

from pathlib import Path

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.language.labelled import labelled_texts
from emoprune.problems.places.located import located

__all__ = ["BUILT_IN_TEXT", "text_named"]

BUILT_IN_TEXT = "python-topics"
_TABLES = (".csv", ".tsv")


def text_named(name: str) -> str:
    """Return a text, its line ends as they were written.

    Args:
        name: `python-topics`, the reference that comes with Python itself (it differs between Python's versions); or a
            file in UTF-8, or a folder of *.txt files, found from here or beside the config. Of a CSV or TSV file the
            column of sentences is taken, a line each.

    Raises:
        ConfigError: There is no such text, or it cannot be read.
    """
    if name == BUILT_IN_TEXT:
        from pydoc_data.topics import topics

        return "\n\n".join(topics[topic] for topic in sorted(topics))
    place = located(name)
    if place is None:
        raise ConfigError(
            f"text: there is no file or folder {name!r} here or beside the config; expected one, or "
            f"{BUILT_IN_TEXT!r}{nearest(name, [BUILT_IN_TEXT])}"
        )
    if place.suffix.lower() in _TABLES:
        return "\n".join(labelled_texts(name, labelled=False).texts)
    files = sorted(place.glob("*.txt")) if place.is_dir() else [place]
    if not files:
        raise ConfigError(f"text: the folder {name!r} has no *.txt files; put some there, or name a file")
    return "\n\n".join(_read(path) for path in files)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"text: {path.name} cannot be read as UTF-8: {error}; convert it") from error
