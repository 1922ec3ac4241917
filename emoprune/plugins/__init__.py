"""Names to objects, their options checked before they are made."""

from __future__ import annotations

from emoprune.plugins.documentation import meanings, summary
from emoprune.plugins.methods import method, methods, named, naming, serves
from emoprune.plugins.options import (
    build,
    checked_options,
    given_options,
    made,
    made_with,
    option_names,
    options_model,
    plain_options,
    settled,
    taking,
)
from emoprune.plugins.registry import (
    GIVEN,
    METHOD_KINDS,
    OPERATOR_KINDS,
    PLURALS,
    available,
    find,
    import_target,
    importable_from,
    is_given,
    is_import_target,
    nearest,
    serving,
)

__all__ = [
    "GIVEN",
    "METHOD_KINDS",
    "OPERATOR_KINDS",
    "PLURALS",
    "available",
    "build",
    "checked_options",
    "find",
    "given_options",
    "import_target",
    "importable_from",
    "is_given",
    "is_import_target",
    "made",
    "made_with",
    "meanings",
    "method",
    "methods",
    "named",
    "naming",
    "nearest",
    "option_names",
    "options_model",
    "plain_options",
    "serves",
    "serving",
    "settled",
    "summary",
    "taking",
]
