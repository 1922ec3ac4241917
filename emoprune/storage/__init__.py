"""Files that survive a crash and say so when they were altered.

`files` replaces a file whole or not at all; `sealed` reads and writes JSON with a checksum of itself, and `journal`
appends lines of it.
"""

from __future__ import annotations

from emoprune.storage.files import (
    OF_THE_DISK,
    abandoned,
    alive,
    check_lockable,
    content_of,
    guarded,
    unfinished,
    write_atomically,
)
from emoprune.storage.journal import Journal, finished_lines, numbered_lines, parsed_line, read_lines
from emoprune.storage.sealed import (
    as_text,
    fingerprint,
    read_checked,
    read_json,
    read_sealed,
    sealed_line,
    unsealed_object,
    write_checked,
    write_sealed,
)

__all__ = [
    "OF_THE_DISK",
    "Journal",
    "abandoned",
    "alive",
    "as_text",
    "check_lockable",
    "content_of",
    "fingerprint",
    "finished_lines",
    "guarded",
    "numbered_lines",
    "parsed_line",
    "read_checked",
    "read_json",
    "read_lines",
    "read_sealed",
    "sealed_line",
    "unfinished",
    "unsealed_object",
    "write_atomically",
    "write_checked",
    "write_sealed",
]
