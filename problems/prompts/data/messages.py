"""A prompt of two messages: what the model is told of its task, and what the user says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.few_shot import prompt_text
from emoprune.problems.prompts.marker import Marker
from emoprune.problems.prompts.template import MASK, Template

__all__ = ["Messages"]

ROLES = ("system", "user")


@dataclass(frozen=True, slots=True)
class Messages:
    """A system message and a user's message, texts or .txt files; those that `keep` names are not pruned."""

    system: str
    user: str
    keep: Sequence[str] = ()

    def __post_init__(self) -> None:
        strange = next((role for role in self.keep if role not in ROLES), None)
        if strange is not None:
            raise ConfigError(f"prompt: keep: expected some of {', '.join(ROLES)}, found {strange!r}")
        if not self.system.strip():
            raise ConfigError("prompt: system: expected a text, found none; give the user's message alone as prompt")

    def template(self, known: Collection[str], marker: Marker) -> Template:
        """Return the prompt; the user's message holds the placeholder for what it is about.

        Raises:
            ConfigError: A placeholder is not known, or the user's message has none.
        """
        system, user = (Template.written(prompt_text(text), known, marker) for text in (self.system, self.user))
        if MASK in (*system.slots, *user.slots):
            raise ConfigError(f"prompt: {marker.around(MASK)} has no place in messages; leave it out")
        user.check(known)
        return Template.messages(system, user)
