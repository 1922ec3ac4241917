"""Names to objects, their options checked before they are made."""

from __future__ import annotations

from emoprune.plugins.documentation import meanings, summary
from emoprune.plugins.options import (
    build,
    checked_options,
    given_options,
    made,
    made_with,
    options_model,
    plain_options,
    settled,
)
from emoprune.plugins.registry import (
    GIVEN,
    OPERATOR_KINDS,
    available,
    find,
    importable_from,
    is_given,
    is_import_target,
    nearest,
)

__all__ = [
    "GIVEN",
    "OPERATOR_KINDS",
    "available",
    "build",
    "checked_options",
    "find",
    "given_options",
    "importable_from",
    "is_given",
    "is_import_target",
    "made",
    "made_with",
    "meanings",
    "nearest",
    "options_model",
    "plain_options",
    "settled",
    "summary",
]
