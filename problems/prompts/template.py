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
        """Return the prompt in `text`, in which `{name}` is a placeholder.

        Args:
            text: The prompt; braces around anything but a single word are plain text.
            known: What placeholders may be called, besides `{mask_token}`.

        Raises:
            ConfigError: There is no placeholder, or one that is not known.
        """
        parts = _PLACEHOLDER.split(text)
        template = cls(tuple(parts[0::2]), tuple(parts[1::2]))
        usual = "{" + (min(known) if known else "sentence") + "}"
        unknown = [slot for slot in template.slots if slot not in known and slot != MASK]
        if unknown:
            raise ConfigError(
                f"prompt: the examples have nothing for the placeholder {{{unknown[0]}}}; expected some of "
                f"{', '.join(f'{{{name}}}' for name in sorted(known))}{nearest(unknown[0], sorted(known))}"
            )
        if not [slot for slot in template.slots if slot != MASK]:
            raise ConfigError(
                f"prompt: expected a placeholder such as {usual} for what the prompt is about, found none in "
                f"{text[:80]!r}; put one where the input belongs"
            )
        if template.slots.count(MASK) > 1:
            raise ConfigError(f"prompt: expected {{{MASK}}} at most once, found it {template.slots.count(MASK)} times")
        return template

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
