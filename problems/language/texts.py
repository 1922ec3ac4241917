"""Texts: the one that comes with Python, and files of the user's."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.language.labelled import labelled_texts
from emoprune.problems.storage.located import located

__all__ = ["BUILT_IN_TEXT", "SOURCE_TEXT", "text_named"]

BUILT_IN_TEXT = "python-topics"
SOURCE_TEXT = "python-source"
_MODULES = ("argparse.py", "ast.py", "collections/__init__.py", "json/decoder.py", "pathlib.py", "statistics.py")
_TABLES = (".csv", ".tsv")


def text_named(name: str) -> str:
    """Return a text, its line ends as they were written.

    Args:
        name: `python-topics`, the reference that comes with Python itself, or `python-source`, some modules of its
            library (both differ between Python's versions); or a file in UTF-8, or a folder of *.txt files, found from
            here or beside the config. Of a CSV or TSV file the column of sentences is taken, a line each.

    Raises:
        ConfigError: There is no such text, or it cannot be read.
    """
    if name == BUILT_IN_TEXT:
        from pydoc_data.topics import topics

        return "\n\n".join(topics[topic] for topic in sorted(topics))
    if name == SOURCE_TEXT:
        library = Path(sysconfig.get_path("stdlib"))
        return "\n\n".join(_read(library / module) for module in _MODULES if (library / module).exists())
    place = located(name)
    if place is None:
        raise ConfigError(
            f"text: there is no file or folder {name!r} here or beside the config; expected one, {BUILT_IN_TEXT!r} or "
            f"{SOURCE_TEXT!r}{nearest(name, [BUILT_IN_TEXT, SOURCE_TEXT])}"
        )
    if place.suffix.lower() in _TABLES:
        return "\n".join(map(str, labelled_texts(name, labelled=False).texts))
    files = sorted(place.glob("*.txt")) if place.is_dir() else [place]
    if not files:
        raise ConfigError(f"text: the folder {name!r} has no *.txt files; put some there, or name a file")
    return "\n\n".join(_read(path) for path in files)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"text: {path.name} cannot be read as UTF-8: {error}; convert it") from error
