"""How placeholders are written: in braces, which can be escaped, or between other signs."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from emoprune.errors import ConfigError

__all__ = ["BRACES", "Marker"]

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
OPENED, CLOSED = "{{", "}}"


@dataclass(frozen=True, slots=True)
class Marker:
    """What stands before and after a placeholder's name, and whether `{{` and `}}` stand for braces of the text."""

    before: str = "{"
    after: str = "}"
    escapes: bool = True

    @classmethod
    def of(cls, given: str | None) -> Marker:
        """Return the marker of an option such as `<<{}>>`; None stands for braces with escapes.

        Raises:
            ConfigError: It does not say what stands before a name and what after it.
        """
        if given is None:
            return BRACES
        before, found, after = ("{", "{}", "}") if given == "{}" else given.partition("{}")
        if not found or not before or not after or "{}" in after:
            raise ConfigError(
                f"placeholder: expected what stands before a placeholder's name, {{}} for the name, and what stands "
                f"after it, as in <<{{}}>>, found {given!r}"
            )
        return cls(before, after, escapes=False)

    def around(self, name: str) -> str:
        """Return a placeholder as it is written."""
        return f"{self.before}{name}{self.after}"

    def names(self, text: str) -> list[str]:
        """Return the names that are written as placeholders in a text."""
        return [found["name"] for found in self._pattern(text).finditer(text) if found["name"]]

    def cut(self, text: str, known: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the texts around the placeholders of these names, escapes undone, and the names in their order."""
        texts, slots, begin = [""], list[str](), 0
        for found in self._pattern(text).finditer(text):
            if found["name"] and found["name"] not in known:
                continue
            texts[-1] += text[begin : found.start()]
            begin = found.end()
            if found["name"]:
                slots.append(found["name"])
                texts.append("")
            else:
                texts[-1] += found[0][0]
        texts[-1] += text[begin:]
        return tuple(texts), tuple(slots)

    def escaped(self, text: str) -> str:
        """Return a text in which no brace is read as a placeholder's."""
        return text.replace("{", OPENED).replace("}", CLOSED)

    def advice(self, name: str) -> str:
        """Return what to do about a name that was not meant as a placeholder."""
        if self.escapes:
            return (
                f"; if it is no placeholder, write {OPENED}{name}{CLOSED}, or choose another `placeholder`, as <<{{}}>>"
            )
        return "; if it is no placeholder, choose another `placeholder`"

    def remark(self, text: str) -> str:
        """Say why a text may hold no placeholder although it seems to."""
        meant = self.escapes and re.search(rf"\{{{NAME}\}}", text)
        return f" ({OPENED} and {CLOSED} stand for braces of the text)" if meant else ""

    def _pattern(self, text: str) -> re.Pattern[str]:
        """Return what finds placeholders and escapes; where nothing opens with two braces, two that close are text."""
        name = f"{re.escape(self.before)}(?P<name>{NAME}){re.escape(self.after)}"
        doubled = rf"{re.escape(OPENED)}|{re.escape(CLOSED)}|" if self.escapes and OPENED in text else ""
        return re.compile(doubled + name)


BRACES = Marker()
