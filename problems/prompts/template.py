"""A prompt as texts with placeholders between them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from emoprune.errors import ConfigError
from emoprune.plugins import nearest

__all__ = ["MASK", "Template"]

MASK = "mask_token"  # the placeholder where a masked language model fills in its answer

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt: the placeholders `slots`, and the `texts` before, between and after them, one more than slots."""

    texts: tuple[str, ...]
    slots: tuple[str, ...]

    @classmethod
    def of(cls, text: str, known: Collection[str]) -> Template:
        """Return the prompt in `text`, in which the known names are placeholders where they stand in braces.

        Args:
            text: The prompt; braces around anything else are plain text.
            known: What placeholders may be called, besides `{mask_token}`.

        Raises:
            ConfigError: There is no placeholder.
        """
        template = cls._cut(text, known)
        template.check(known)
        return template

    @classmethod
    def written(cls, text: str, known: Collection[str]) -> Template:
        """Return a prompt, or a part of one, that a person wrote: a name in braces that is not known is a mistake.

        Raises:
            ConfigError: There is a placeholder that is not known.
        """
        unknown = next((name for name in _PLACEHOLDER.findall(text) if name not in known and name != MASK), None)
        if unknown is not None:
            raise ConfigError(
                f"prompt: the examples have nothing for the placeholder {{{unknown}}}; expected some of "
                f"{', '.join(f'{{{name}}}' for name in sorted(known))}{nearest(unknown, sorted(known))}"
            )
        return cls._cut(text, known)

    @classmethod
    def joined(cls, parts: Sequence[Template], separator: str = "") -> Template:
        """Return one prompt of several parts; what is text in a part stays text, whatever braces are in it."""
        texts, slots = [""], list[str]()
        for number, part in enumerate(parts):
            texts[-1] += (separator if number else "") + part.texts[0]
            texts += part.texts[1:]
            slots += part.slots
        return cls(tuple(texts), tuple(slots))

    @classmethod
    def _cut(cls, text: str, known: Collection[str]) -> Template:
        texts, slots, begin = list[str](), list[str](), 0
        for found in _PLACEHOLDER.finditer(text):
            if found[1] in known or found[1] == MASK:
                texts.append(text[begin : found.start()])
                slots.append(found[1])
                begin = found.end()
        return cls((*texts, text[begin:]), tuple(slots))

    def check(self, known: Collection[str]) -> None:
        """Refuse what is no whole prompt; `known` is what placeholders may be called.

        Raises:
            ConfigError: There is no placeholder for an input, or more than one for the answer.
        """
        if not self.inputs:
            usual = "{" + (min(known) if known else "sentence") + "}"
            raise ConfigError(
                f"prompt: expected a placeholder such as {usual} for what the prompt is about, found none in "
                f"{self.text[:80]!r}; put one where the input belongs"
            )
        if self.slots.count(MASK) > 1:
            raise ConfigError(f"prompt: expected {{{MASK}}} at most once, found it {self.slots.count(MASK)} times")

    @property
    def alike(self) -> str | None:
        """The placeholder that some of the prompt's own text reads as; None if its text says which is which."""
        spelt = self._cut(self.text, self.slots).slots
        return next((name for name in spelt if spelt.count(name) > self.slots.count(name)), None)

    def check_alike(self) -> None:
        """Refuse a prompt that whoever reads its text would fill in where it is no placeholder.

        Raises:
            ConfigError: Some of its own text reads as a placeholder.
        """
        if self.alike is not None:
            raise ConfigError(
                f"export: the prompt's own words hold {{{self.alike}}}, which reads as a placeholder does, so its text "
                "cannot say where the input belongs; call the placeholder otherwise, as sentence_1 for sentence, or "
                "export a candidate that leaves these words out"
            )

    @property
    def text(self) -> str:
        """The prompt with its placeholders in braces."""
        return self.filled([f"{{{slot}}}" for slot in self.slots])

    @property
    def masked(self) -> bool:
        """Whether a masked language model is to fill in the answer."""
        return MASK in self.slots

    @property
    def inputs(self) -> tuple[str, ...]:
        """The placeholders that an example fills, in their order."""
        return tuple(slot for slot in self.slots if slot != MASK)

    def filled(self, words: Sequence[str]) -> str:
        """Return the prompt with `words` in place of its placeholders, in their order."""
        pairs = zip(self.texts, [*words, ""], strict=True)
        return "".join(part for pair in pairs for part in pair)

    def about(self, inputs: Sequence[str], mask: str = "") -> str:
        """Return the prompt about an example's `inputs`, with `mask` where the answer is filled in."""
        given = iter(inputs)
        return self.filled([mask if slot == MASK else next(given) for slot in self.slots])

    def with_text(self, slot: str, text: str) -> Template:
        """Return the prompt with a text in place of one of its placeholders.

        Raises:
            ConfigError: It does not have that placeholder exactly once.
        """
        if self.slots.count(slot) != 1:
            raise ConfigError(f"prompt: expected {{{slot}}} once, found it {self.slots.count(slot)} times; put it in")
        place = self.slots.index(slot)
        joined = f"{self.texts[place]}{text}{self.texts[place + 1]}"
        slots = (*self.slots[:place], *self.slots[place + 1 :])
        return Template((*self.texts[:place], joined, *self.texts[place + 2 :]), slots)

    def between(self, before: str, after: str) -> Template:
        """Return the prompt with texts put before and after it."""
        if not self.slots:
            return Template((before + self.texts[0] + after,), ())
        return Template((before + self.texts[0], *self.texts[1:-1], self.texts[-1] + after), self.slots)
