"""What a written answer says: what stands behind the thoughts before it, without what it denies."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["Reading", "answer_of", "denied", "still_thinking"]

Reading = Literal["answer", "words"]

THOUGHTS = r"(?:think|thinking|thought|reasoning)"
_BEGUN = re.compile(rf"<{THOUGHTS}>", re.IGNORECASE)
_ENDED = re.compile(rf"</{THOUGHTS}>", re.IGNORECASE)
_CLAUSE = re.compile(r"[.,;:!?()/\n—–]|\bbut\b")  # where what is denied before ends
_DENIAL = re.compile(r"\b(?:not|never|no|nor|neither|none|cannot|without|hardly)\b|n['’]t\b", re.IGNORECASE)


def answer_of(text: str) -> str:
    """Return what is said behind thoughts such as `<think>...</think>`; nothing where they do not end."""
    answer = _ENDED.split(text)[-1]
    return _BEGUN.split(answer)[0]


def still_thinking(text: str) -> bool:
    """Whether an answer is cut off within its thoughts."""
    return bool(_BEGUN.search(_ENDED.split(text)[-1]))


def denied(said: str, place: int) -> bool:
    """Whether what begins at a place of a text stands behind a negation of its clause, in English."""
    return bool(_DENIAL.search(_CLAUSE.split(said[:place].casefold())[-1]))
