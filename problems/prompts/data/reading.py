"""Examples by name: a built-in set, one file, or a file for each part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.language.labelled import LABEL_COLUMNS
from emoprune.problems.language.tabular import TabularFile, tabular_file
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.storage.located import located
from emoprune.records import Split

__all__ = ["BUILT_IN", "Tables", "examples_of", "tables_named"]

# Written for emoprune: short film reviews, half of them for, half against.
BUILT_IN: Mapping[str, str] = MappingProxyType({"film-reviews": "film_reviews_{part}.tsv"})

ANSWER_COLUMNS = (*LABEL_COLUMNS, "answer", "gold")


@dataclass(frozen=True, slots=True)
class Tables:
    """Rows as they were read: by part, or all in one if `parts` holds only the search part and `single` is true."""

    parts: Mapping[Split, TabularFile]
    answer: str
    single: bool

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns other than the answer's."""
        return tuple(name for name in next(iter(self.parts.values())).columns if name != self.answer)

    @property
    def known(self) -> dict[str, str]:
        """What a placeholder may be called, and which column it stands for: `sentence_1` may mean `sentence`."""
        return {f"{name}_1": name for name in self.inputs} | {name: name for name in self.inputs}


def tables_named(given: str | Mapping[str, str], answer: str | None) -> Tables:
    """Return the rows of the examples that a config names.

    Args:
        given: A built-in set's name, a file, or a file for each of `search`, `select` and `test`.
        answer: The column that holds the answers; None for the usual names.

    Raises:
        ConfigError: There is no such file, or it is of another form.
    """
    if isinstance(given, str):
        parts = _built_in(given) if given in BUILT_IN else {Split.SEARCH: _file(given)}
    else:
        wanted = {split.value for split in Split}
        if set(given) != wanted:
            raise ConfigError(
                f"examples: expected one file, or a file for each of search, select and test, found {sorted(given)}"
            )
        parts = {split: _file(given[split.value]) for split in Split}
    columns = parts[Split.SEARCH].columns
    different = next((table for table in parts.values() if set(table.columns) != set(columns)), None)
    if different is not None:
        raise ConfigError(
            f"examples: {different.name} has the columns {', '.join(different.columns)}, the search part has "
            f"{', '.join(columns)}; give all parts the same"
        )
    return Tables(parts, _answer_column(columns, answer), single=len(parts) == 1)


def _built_in(name: str) -> dict[Split, TabularFile]:
    found = {}
    for split in Split:
        file = BUILT_IN[name].format(part=split.value)
        with resources.as_file(resources.files("emoprune.problems.prompts.built_in") / file) as place:
            found[split] = tabular_file(Path(place))
    return found


def _file(name: str) -> TabularFile:
    place = located(name)
    if place is None or not place.is_file():
        raise ConfigError(
            f"examples: there is no file {name!r} here or beside the config; expected CSV, TSV or JSONL, or one of "
            f"{', '.join(map(repr, BUILT_IN))}{nearest(name, list(BUILT_IN))}"
        )
    return tabular_file(place)


def _answer_column(columns: Sequence[str], answer: str | None) -> str:
    if answer is not None:
        if answer.lower() not in columns:
            raise ConfigError(
                f"answer: the examples have no column {answer!r}; expected one of {', '.join(columns)}"
                f"{nearest(answer, list(columns))}"
            )
        return answer.lower()
    found = next((name for name in ANSWER_COLUMNS if name in columns), None)
    if found is None:
        raise ConfigError(
            f"examples: expected a column called {', '.join(ANSWER_COLUMNS[:-1])} or {ANSWER_COLUMNS[-1]}, found "
            f"{', '.join(columns)}; rename one, or name it as `answer`"
        )
    return found


def examples_of(table: TabularFile, answer: str, columns: Sequence[str], options: Sequence[str] = ()) -> list[Example]:
    """Return the rows as examples: the texts of `columns` in their order, and the answer.

    Args:
        table: The rows.
        answer: The column of answers.
        columns: The columns of the placeholders.
        options: The columns of a multiple choice's options; a row may leave the last ones empty.

    Raises:
        ConfigError: A row has nothing for a placeholder, or no answer.
    """
    found = []
    for line, row in zip(table.lines, table.as_mappings(), strict=True):
        place = f"{table.name} row {line}"
        empty = next((name for name in columns if name not in options and not row[name].strip()), None)
        if empty is not None or not row[answer].strip():
            raise ConfigError(f"examples: {place}: expected a text in {empty or answer!r}, found nothing; fill it in")
        offered = [bool(row[name].strip()) for name in options]
        count = sum(offered)
        if options and (count < 2 or not all(offered[:count])):
            raise ConfigError(f"examples: {place}: expected two or more options, the last ones empty; mend it")
        inputs = tuple(row[name] for name in columns)
        found.append(Example(inputs, row[answer].strip(), place, count if options else None))
    return found
