"""A prompt as messages: what a model's chat template puts before, between and after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.prompts.template import USER, Template

__all__ = ["NO_CHAT", "Chat", "chat_of", "messages_of"]

_CONTENTS = {"system": "\x00system\x00", "user": "\x00user\x00"}


@dataclass(frozen=True, slots=True)
class Chat:
    """The texts before a prompt, between its system message and its user's message, and after it.

    `trims` says whether white space around a message is cut off, as many templates do.
    """

    before: str = ""
    after: str = ""
    between: str = ""
    trims: bool = False

    def put(self, template: Template) -> Template:
        """Return the prompt as it is put to the model; a server puts messages through a template of its own."""
        if self == NO_CHAT:
            return template
        whole = _trimmed(template) if self.trims else template
        whole = whole.with_text(USER, self.between) if USER in whole.slots else whole
        return whole.between(self.before, self.after)


NO_CHAT = Chat()


def _trimmed(template: Template) -> Template:
    """Return a prompt whose messages neither begin nor end with white space of its own."""
    parts = [
        replace(part, texts=(part.texts[0].lstrip(), *part.texts[1:])) for part in template.parts if part is not None
    ]
    parts = [replace(part, texts=(*part.texts[:-1], part.texts[-1].rstrip())) for part in parts]
    return parts[0] if len(parts) == 1 else Template.messages(*parts)


def messages_of(template: Template) -> list[dict[str, str]]:
    """Return a prompt's messages, its placeholders as they are written."""
    system, user = template.parts
    own = [] if system is None else [{"role": "system", "content": system.source}]
    return [*own, {"role": "user", "content": user.source}]


def chat_of(tokenizer: Any | None, roles: Sequence[str] = ("user",)) -> Chat:
    """Return what a model's chat template puts around messages of these roles, the last of which is to be answered.

    Raises:
        ConfigError: There is no tokenizer at hand, it has no chat template, or the template takes no such messages.
    """
    if getattr(tokenizer, "chat_template", None) is None or tokenizer is None:
        raise ConfigError("chat: the model's tokenizer has no chat template; leave it out, or give another model")
    messages = [{"role": role, "content": _within(_CONTENTS[role])} for role in roles]
    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # a template raises what it likes, such as that it knows no system message
        why = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"chat: the model's chat template takes no {' and '.join(roles)} message: {why}; give one prompt"
        ) from error
    trims = all(_within(_CONTENTS[role]) not in text for role in roles)
    parts: list[str] = []
    for role in roles:
        before, found, text = text.partition(_CONTENTS[role] if trims else _within(_CONTENTS[role]))
        if not found:
            raise ConfigError("chat: the model's chat template changes a message's text; leave it out")
        parts.append(before)
    return Chat(parts[0], text, parts[1] if len(parts) > 1 else "", trims)


def _within(content: str) -> str:
    """Return a text within white space that no template puts around a message itself."""
    return f"\t{content}\t"
