"""A prompt as texts with placeholders between them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.prompts.marker import BRACES, Marker

__all__ = ["MASK", "USER", "Template"]

MASK = "mask_token"  # the placeholder where a masked language model fills in its answer
USER = "user-message"  # stands where the system message ends and the user's begins; no column can be called so


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt: the placeholders `slots`, and the `texts` before, between and after them, one more than slots.

    `marker` says how placeholders are written.
    """

    texts: tuple[str, ...]
    slots: tuple[str, ...]
    marker: Marker = field(default=BRACES, repr=False)  # whatever it is, the prompt is the same

    @classmethod
    def of(cls, text: str, known: Collection[str], marker: Marker = BRACES) -> Template:
        """Return the prompt in `text`, in which the known names are placeholders where they stand in braces.

        Args:
            text: The prompt; braces around anything else are plain text.
            known: What placeholders may be called, besides `{mask_token}`.
            marker: How placeholders are written, if not in braces.

        Raises:
            ConfigError: There is no placeholder.
        """
        template = cls._cut(text, known, marker)
        template.check(known)
        return template

    @classmethod
    def written(cls, text: str, known: Collection[str], marker: Marker = BRACES) -> Template:
        """Return a prompt, or a part of one, that a person wrote: a placeholder that is not known is a mistake.

        Raises:
            ConfigError: There is a placeholder that is not known.
        """
        unknown = next((name for name in marker.names(text) if name not in known and name != MASK), None)
        if unknown is not None:
            listed, meant = ", ".join(map(marker.around, sorted(known))), nearest(unknown, sorted(known))
            raise ConfigError(
                f"prompt: the examples have nothing for the placeholder {marker.around(unknown)}; expected some of "
                f"{listed}{meant}{marker.advice(unknown)}"
            )
        return cls._cut(text, known, marker)

    @classmethod
    def joined(cls, parts: Sequence[Template], separator: str = "") -> Template:
        """Return one prompt of several parts; what is text in a part stays text, whatever braces are in it."""
        texts, slots = [""], list[str]()
        for number, part in enumerate(parts):
            texts[-1] += (separator if number else "") + part.texts[0]
            texts += part.texts[1:]
            slots += part.slots
        return cls(tuple(texts), tuple(slots), parts[-1].marker)

    @classmethod
    def _cut(cls, text: str, known: Collection[str], marker: Marker) -> Template:
        texts, slots = marker.cut(text, {*known, MASK})
        return cls(texts, slots, marker)

    @classmethod
    def messages(cls, system: Template, user: Template) -> Template:
        """Return one prompt of a system message and a user's message."""
        texts = (*system.texts, *user.texts)
        return cls(texts, (*system.slots, USER, *user.slots), user.marker)

    def check(self, known: Collection[str]) -> None:
        """Refuse what is no whole prompt; `known` is what placeholders may be called.

        Raises:
            ConfigError: There is no placeholder for an input, or more than one for the answer.
        """
        if not self.inputs:
            usual = self.marker.around(min(known) if known else "sentence")
            raise ConfigError(
                f"prompt: expected a placeholder such as {usual} for what the prompt is about, found none in "
                f"{self.text[:80]!r}; put one where the input belongs{self.marker.remark(self.text)}"
            )
        if self.slots.count(MASK) > 1:
            raise ConfigError(
                f"prompt: expected {self.marker.around(MASK)} at most once, found it {self.slots.count(MASK)} times"
            )

    @property
    def alike(self) -> str | None:
        """The placeholder that some of the prompt's own text reads as, and cannot help it; None if there is none."""
        _, spelt = self.marker.cut(self.source, set(self.slots))
        return next((name for name in spelt if spelt.count(name) > self.slots.count(name)), None)

    def check_alike(self) -> None:
        """Refuse a prompt that whoever reads its text would fill in where it is no placeholder.

        Raises:
            ConfigError: Some of its own text reads as a placeholder.
        """
        if self.alike is not None:
            raise ConfigError(
                f"export: the prompt's own words hold {self.marker.around(self.alike)}, which reads as a placeholder "
                "does, so its text cannot say where the input belongs; call the placeholder otherwise, as sentence_1 "
                "for sentence, choose another `placeholder`, or export a candidate that leaves these words out"
            )

    def shown(self, slot: str) -> str:
        """Return how one of its placeholders is written."""
        return "\n[user]\n" if slot == USER else self.marker.around(slot)

    @property
    def text(self) -> str:
        """The prompt with its placeholders as they are written, and its own words as they are put to the model."""
        return self.filled([self.shown(slot) for slot in self.slots])

    @property
    def _read_back(self) -> bool:
        return self.marker.cut(self.text, set(self.slots)) == (self.texts, self.slots)

    @property
    def doubled(self) -> bool:
        """Whether every brace of its own is doubled as a person writes it, because one of them needs it."""
        names = tuple(self.marker.names(self.text))
        return self.marker.escapes and not (names == self.slots and self._read_back)

    @property
    def source(self) -> str:
        """The prompt as a person writes it: its text, every brace of its own doubled where one of them needs it."""
        if not self.doubled:
            return self.text
        texts = tuple(map(self.marker.escaped, self.texts))
        return replace(self, texts=texts).text

    @property
    def masked(self) -> bool:
        """Whether a masked language model is to fill in the answer."""
        return MASK in self.slots

    @property
    def inputs(self) -> tuple[str, ...]:
        """The placeholders that an example fills, in their order."""
        return tuple(slot for slot in self.slots if slot not in (MASK, USER))

    @property
    def parts(self) -> tuple[Template | None, Template]:
        """The system message, None if there is none, and the user's message."""
        if USER not in self.slots:
            return None, self
        place = self.slots.index(USER)
        system = replace(self, texts=self.texts[: place + 1], slots=self.slots[:place])
        return system, replace(self, texts=self.texts[place + 1 :], slots=self.slots[place + 1 :])

    def filled(self, words: Sequence[str]) -> str:
        """Return the prompt with `words` in place of its placeholders, in their order."""
        pairs = zip(self.texts, [*words, ""], strict=True)
        return "".join(part for pair in pairs for part in pair)

    def about(self, inputs: Sequence[str], mask: str = "") -> str:
        """Return the prompt about an example's `inputs`, with `mask` where the answer is filled in."""
        given = iter(inputs)
        apart = {MASK: mask, USER: self.shown(USER)}
        return self.filled([apart[slot] if slot in apart else next(given) for slot in self.slots])

    def with_text(self, slot: str, text: str) -> Template:
        """Return the prompt with a text in place of one of its placeholders.

        Raises:
            ConfigError: It does not have that placeholder exactly once.
        """
        if self.slots.count(slot) != 1:
            raise ConfigError(
                f"prompt: expected {self.shown(slot)} once, found it {self.slots.count(slot)} times; put it in"
            )
        place = self.slots.index(slot)
        joined = f"{self.texts[place]}{text}{self.texts[place + 1]}"
        slots = (*self.slots[:place], *self.slots[place + 1 :])
        return replace(self, texts=(*self.texts[:place], joined, *self.texts[place + 2 :]), slots=slots)

    def between(self, before: str, after: str) -> Template:
        """Return the prompt with texts put before and after it."""
        if not self.slots:
            return replace(self, texts=(before + self.texts[0] + after,))
        return replace(self, texts=(before + self.texts[0], *self.texts[1:-1], self.texts[-1] + after))
