"""Examples as the rest of this domain sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from emoprune.records import Split

__all__ = ["Example", "Parts"]


@dataclass(frozen=True, slots=True)
class Example:
    """What fills a prompt's placeholders, in their order, and the answer that is wanted.

    `place` says where it was read, `options` how many of the choices it offers, None for all of them.
    """

    inputs: tuple[str, ...]
    answer: str
    place: str
    options: int | None = None

    @property
    def digest(self) -> bytes:
        """What it is known by: its inputs without regard to case and white space."""
        plain = "\x1f".join(" ".join(text.casefold().split()) for text in self.inputs)
        return hashlib.blake2b(plain.encode(), digest_size=16).digest()


Parts = Mapping[Split, tuple[Example, ...]]
